//! The reactor by itself, with pairs of sockets and a thread or two.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use std::time::Instant;

use futures_lite::future::{self, poll_fn, poll_once, yield_now};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::reactor::*;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    Reactor::new().unwrap().block_on(future)
}

fn pair() -> (Source, UnixStream) {
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let (ours, theirs) = socketpair(family, kind, SocketFlags::NONBLOCK, None).unwrap();
    (Source::new(ours), theirs.into())
}

fn read_some(source: &Source) -> usize {
    rustix::io::read(source.fd(), &mut [0; 16]).unwrap_or(0)
}

/// The directions that the kernel tells of, a bit each, for each descriptor here.
fn armed_directions() -> Vec<u8> {
    lock(&current().unwrap().registry).armed()
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn who_waits_for_input_is_woken_and_the_descriptor_stays_for_the_next_time() {
    block_on(async {
        let (source, mut theirs) = pair();
        for _ in 0..3 {
            assert!(poll_once(source.ready(Direction::Read)).await.is_none());
            theirs.write_all(b"x").unwrap();
            source.ready(Direction::Read).await.unwrap();
            assert_eq!((read_some(&source), armed_directions()), (1, vec![1]));
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn a_descriptor_that_nobody_wants_to_know_of_is_not_asked_for_and_keeps_nobody_awake() {
    block_on(async {
        let (source, theirs) = pair();
        assert!(poll_once(source.ready(Direction::Read)).await.is_none());
        assert_eq!(armed_directions(), [1]);
        // It is at its end from now on, which would be told for ever.
        drop(theirs);
        Timer::after(Duration::from_millis(1)).await;
        assert_eq!(armed_directions(), [0]);
        source.ready(Direction::Read).await.unwrap();
        assert_eq!(armed_directions(), [1]);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn input_and_room_are_waited_for_side_by_side() {
    block_on(async {
        let (source, mut theirs) = pair();
        while rustix::io::write(source.fd(), &[0; 4096]).is_ok() {}
        let mut waits =
            [source.ready(Direction::Write), source.ready(Direction::Read)].map(Box::pin);
        assert!(
            poll_once(&mut waits[0]).await.is_none() && poll_once(&mut waits[1]).await.is_none()
        );
        assert_eq!(armed_directions(), [3]);
        theirs.write_all(b"x").unwrap();
        waits[1].as_mut().await.unwrap();
        assert!(poll_once(&mut waits[0]).await.is_none());
        while theirs.read(&mut [0; 65536]).is_ok() {}
        waits[0].as_mut().await.unwrap();
    });
}

#[test]
fn a_thread_that_waits_for_a_time_sleeps_once() {
    let mut polls = 0;
    let mut times = Box::pin(async {
        for _ in 0..10 {
            Timer::after(Duration::from_millis(1)).await;
        }
    });
    block_on(poll_fn(|cx| {
        polls += 1;
        times.as_mut().poll(cx)
    }));
    // Fewer where the time had come before it was waited for.
    assert!(polls <= 11, "{polls}");
}

/// Counts how often it is woken.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<WakeCounter>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn any_number_wait_for_one_descriptor_and_each_is_woken_once() {
    block_on(async {
        let (source, mut theirs) = pair();
        let counts: [Arc<WakeCounter>; 4] = Default::default();
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(source.ready(Direction::Read))).collect();
        for (wait, count) in waits.iter_mut().zip(&counts) {
            let waker = Waker::from(count.clone());
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        let waker = Waker::from(counts[3].clone());
        assert!(source.poll_ready(Direction::Read, &mut Context::from_waker(&waker)).is_pending());
        drop(waits.swap_remove(1));
        theirs.write_all(b"x").unwrap();
        yield_now().await;
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 0, 1, 1]);
        for wait in waits {
            wait.await.unwrap();
        }
        poll_fn(|cx| source.poll_ready(Direction::Read, cx)).await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn who_waits_for_room_hears_that_there_will_never_be_any() {
    block_on(async {
        let (end, mouth) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let source = Source::new(mouth);
        while rustix::io::write(source.fd(), &[0; 4096]).is_ok() {}
        let mut wait = Box::pin(source.ready(Direction::Write));
        assert!(poll_once(&mut wait).await.is_none());
        // The kernel tells of an error here, and of no room.
        drop(end);
        wait.await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn who_was_told_and_does_not_come_leaves_no_word_for_the_next() {
    block_on(async {
        let (source, mut theirs) = pair();
        let mut wait = Box::pin(source.ready(Direction::Read));
        assert!(poll_once(&mut wait).await.is_none());
        theirs.write_all(b"x").unwrap();
        yield_now().await;
        drop(wait);
        assert_eq!(read_some(&source), 1);
        assert!(poll_once(source.ready(Direction::Read)).await.is_none());
    });
}

#[test]
fn timers_come_in_the_order_of_their_times_and_are_gone_when_they_are_dropped() {
    block_on(async {
        let begun = Instant::now();
        let [late, mut early, mut never] =
            [20, 1, 60_000].map(|millis| Timer::after(Duration::from_millis(millis)));
        assert!(poll_once(&mut never).await.is_none());
        let first = future::or(
            async {
                (&mut never).await;
                "never"
            },
            async {
                (&mut early).await;
                "early"
            },
        );
        assert_eq!(first.await, "early");
        late.await;
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(lock(&current().unwrap().timers).len(), 1);
        drop((early, never));
        assert_eq!(lock(&current().unwrap().timers).len(), 0);
        Timer::after(Duration::ZERO).await;
        assert!(poll_once(Timer::after(Duration::MAX)).await.is_none());
    });
}

#[test]
fn a_sleep_is_not_cut_short() {
    let reactor = Reactor::new().unwrap();
    let sleep = |limit| {
        let begun = Instant::now();
        reactor.wait_events(&mut Vec::with_capacity(1), Some(limit)).unwrap();
        begun.elapsed()
    };
    let limit = Duration::from_micros(1500);
    assert!(sleep(limit) >= limit);
    // Rung before, so that the longest of all ends at once, and not in an error.
    assert!(reactor.notifier.try_park());
    Arc::clone(&reactor.notifier).wake();
    assert!(sleep(Duration::MAX) < MAX_SLEEP);
}

#[test]
fn another_thread_wakes_one_that_sleeps() {
    let (sender, receiver) = async_channel::bounded(1);
    let calling =
        thread::spawn(move || (0..100).for_each(|number| sender.send_blocking(number).unwrap()));
    let sum = block_on(async {
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    assert_eq!(sum, 4950);
    calling.join().unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn who_is_always_ready_keeps_no_event_from_the_others() {
    block_on(async {
        let (source, mut theirs) = pair();
        let turns = AtomicUsize::new(0);
        let restless = async {
            loop {
                if turns.fetch_add(1, Ordering::Relaxed) == 100 {
                    theirs.write_all(b"x").unwrap();
                }
                yield_now().await;
            }
        };
        future::or(async { source.ready(Direction::Read).await.unwrap() }, restless).await;
    });
}

#[test]
#[cfg_attr(miri, ignore = "smol's reactor has a timerfd")]
fn what_waits_when_the_reactor_ends_goes_on_elsewhere() {
    let (source, mut theirs) = pair();
    let mut timer = Timer::after(Duration::from_millis(20));
    {
        let mut wait = Box::pin(source.ready(Direction::Read));
        block_on(async {
            assert!(poll_once(&mut wait).await.is_none());
            assert!(poll_once(&mut timer).await.is_none());
        });
        // In smol's reactor first, and in another one of ours.
        theirs.write_all(b"x").unwrap();
        smol::block_on(wait).unwrap();
    }
    block_on(async {
        source.ready(Direction::Read).await.unwrap();
        timer.await;
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri's epoll is edge-triggered alone")]
fn a_reactor_within_a_turn_of_another_has_sources_of_its_own() {
    block_on(async {
        let (source, mut theirs) = pair();
        assert!(poll_once(source.ready(Direction::Read)).await.is_none());
        block_on(async {
            let (inner, mut theirs) = pair();
            theirs.write_all(b"x").unwrap();
            inner.ready(Direction::Read).await.unwrap();
            assert_eq!(armed_directions(), [1]);
        });
        theirs.write_all(b"x").unwrap();
        source.ready(Direction::Read).await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "smol's reactor has a timerfd")]
fn smols_own_timers_and_sockets_can_be_awaited_beside_it() {
    block_on(async {
        smol::Timer::after(Duration::from_millis(1)).await;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = smol::Async::new(ours).unwrap();
        assert!(poll_once(ours.readable()).await.is_none());
        theirs.write_all(b"x").unwrap();
        ours.readable().await.unwrap();
    });
}
