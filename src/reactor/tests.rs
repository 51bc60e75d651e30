//! Tests of the reactor alone, with socket pairs and a second thread.

use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::{self, poll_fn, poll_once, yield_now};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::reactor::epoll::{MAX_SLEEP, Reactor, current};
use crate::reactor::{Direction, Source, Timer};
use crate::sync::lock;

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

/// Returns the armed directions of each descriptor of this thread, a bit each.
fn armed_directions() -> Vec<u8> {
    lock(&current().unwrap().registry).armed()
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn descriptor_stays_armed_between_waits() {
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
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn ready_descriptor_without_waiter_is_disarmed() {
    block_on(async {
        let (source, theirs) = pair();
        assert!(poll_once(source.ready(Direction::Read)).await.is_none());
        assert_eq!(armed_directions(), [1]);
        // The end of the stream stays ready for ever.
        drop(theirs);
        Timer::after(Duration::from_millis(1)).await;
        assert_eq!(armed_directions(), [0]);
        source.ready(Direction::Read).await.unwrap();
        assert_eq!(armed_directions(), [1]);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn read_and_write_waits_are_independent() {
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
fn timer_needs_one_sleep() {
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
    // Fewer if a time had passed before it was waited for.
    assert!(polls <= 11, "{polls}");
}

/// A waker that counts its wake-ups.
#[derive(Default)]
struct WakeCounter(AtomicUsize);

impl Wake for WakeCounter {
    fn wake(self: Arc<WakeCounter>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn event_wakes_each_waiter_once() {
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
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn closed_pipe_ends_write_wait() {
    block_on(async {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let source = Source::new(writer);
        while rustix::io::write(source.fd(), &[0; 4096]).is_ok() {}
        let mut wait = Box::pin(source.ready(Direction::Write));
        assert!(poll_once(&mut wait).await.is_none());
        // The kernel reports an error here, and no room.
        drop(reader);
        wait.await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn dropped_wait_leaves_no_stale_readiness() {
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
fn timers_fire_in_order_and_deregister_on_drop() {
    block_on(async {
        let start = Instant::now();
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
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert_eq!(lock(&current().unwrap().timers).len(), 1);
        drop((early, never));
        assert_eq!(lock(&current().unwrap().timers).len(), 0);
        Timer::after(Duration::ZERO).await;
        assert!(poll_once(Timer::after(Duration::MAX)).await.is_none());
    });
}

#[test]
fn sleep_is_never_early() {
    let reactor = Reactor::new().unwrap();
    let sleep = |limit| {
        let start = Instant::now();
        reactor.wait_events(&mut Vec::with_capacity(1), Some(limit)).unwrap();
        start.elapsed()
    };
    let limit = Duration::from_micros(1500);
    assert!(sleep(limit) >= limit);
    // Notified before, so that the longest sleep ends at once, and not with an error.
    assert!(reactor.notifier.try_park());
    Arc::clone(&reactor.notifier).wake();
    assert!(sleep(Duration::MAX) < MAX_SLEEP);
}

#[test]
fn other_thread_wakes_sleeping_reactor() {
    let (sender, receiver) = async_channel::bounded(1);
    let sending =
        thread::spawn(move || (0..100).for_each(|number| sender.send_blocking(number).unwrap()));
    let sum = block_on(async {
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    assert_eq!(sum, 4950);
    sending.join().unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn busy_task_does_not_starve_events() {
    block_on(async {
        let (source, mut theirs) = pair();
        let polls = AtomicUsize::new(0);
        let busy = async {
            loop {
                if polls.fetch_add(1, Ordering::Relaxed) == 100 {
                    theirs.write_all(b"x").unwrap();
                }
                yield_now().await;
            }
        };
        future::or(async { source.ready(Direction::Read).await.unwrap() }, busy).await;
    });
}

#[test]
#[cfg_attr(miri, ignore = "smol's reactor uses a timerfd")]
fn waits_continue_after_reactor_closes() {
    let (source, mut theirs) = pair();
    let mut timer = Timer::after(Duration::from_millis(20));
    {
        let mut wait = Box::pin(source.ready(Direction::Read));
        block_on(async {
            assert!(poll_once(&mut wait).await.is_none());
            assert!(poll_once(&mut timer).await.is_none());
        });
        // First in smol's reactor, then in a second reactor of ours.
        theirs.write_all(b"x").unwrap();
        smol::block_on(wait).unwrap();
    }
    block_on(async {
        source.ready(Direction::Read).await.unwrap();
        timer.await;
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has only edge-triggered epoll")]
fn nested_reactors_have_separate_sources() {
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
#[cfg_attr(miri, ignore = "smol's reactor uses a timerfd")]
fn smol_timers_and_sockets_work_inside_reactor() {
    block_on(async {
        smol::Timer::after(Duration::from_millis(1)).await;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = smol::Async::new(ours).unwrap();
        assert!(poll_once(ours.readable()).await.is_none());
        theirs.write_all(b"x").unwrap();
        ours.readable().await.unwrap();
    });
}
