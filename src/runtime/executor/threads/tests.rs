//! The turns of one thread.

use std::panic::AssertUnwindSafe;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;

use crate::runtime::executor::threads::*;

/// Drives the tasks without a reactor, which Miri has none of.
fn run_without_reactor<T>(threads: &TaskExecutor, done: impl Future<Output = T>) -> T {
    match threads {
        TaskExecutor::SingleThread(turns) => futures_lite::future::block_on(turns.run(done)),
        TaskExecutor::MultiThread(_) => unreachable!("one thread was asked for"),
    }
}

#[test]
fn tasks_have_their_turns_in_the_order_in_which_they_were_woken() {
    let threads = TaskExecutor::new(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|number| {
            let seen = seen.clone();
            threads.spawn(async move {
                for round in 0..2 {
                    seen.lock().unwrap().push((round, number));
                    yield_now().await;
                }
            })
        })
        .collect();
    run_without_reactor(&threads, async {
        for task in tasks {
            task.await;
        }
    });
    assert_eq!(*seen.lock().unwrap(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn a_task_is_woken_from_another_thread() {
    let threads = TaskExecutor::new(1);
    let (sender, receiver) = async_channel::bounded(1);
    let task = threads.spawn(async move {
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    let sending = std::thread::spawn(move || {
        (0..100).for_each(|number| sender.send_blocking(number).unwrap());
    });
    assert_eq!(run_without_reactor(&threads, task), 4950);
    sending.join().unwrap();
}

#[test]
fn what_a_task_throws_reaches_who_awaits_it_and_no_other_task() {
    let threads = TaskExecutor::new(1);
    let thrown = threads.spawn(async { std::panic::resume_unwind(Box::new(7)) });
    let other = threads.spawn(async { yield_now().await });
    let caught = AssertUnwindSafe(async {
        let _: () = thrown.await;
    });
    let seen = run_without_reactor(&threads, async {
        let seen = caught.catch_unwind().await;
        other.await;
        seen
    });
    assert_eq!(seen.unwrap_err().downcast_ref(), Some(&7));
}

#[test]
fn a_system_within_a_turn_of_another_has_turns_of_its_own() {
    let (outer, seen) = (TaskExecutor::new(1), Arc::new(Mutex::new(Vec::new())));
    let tell = |text, seen: &Arc<Mutex<Vec<&str>>>| seen.lock().unwrap().push(text);
    let (within, beside) = (seen.clone(), seen.clone());
    let first = outer.spawn(async move {
        yield_now().await;
        let inner = TaskExecutor::new(1);
        let (own, task) = (within.clone(), async move { tell("inner", &within) });
        run_without_reactor(&inner, inner.spawn(task));
        tell("first", &own);
    });
    let second = outer.spawn(async move {
        yield_now().await;
        tell("second", &beside);
    });
    run_without_reactor(&outer, async { (first.await, second.await) });
    assert_eq!(*seen.lock().unwrap(), ["inner", "first", "second"]);
}

#[test]
fn who_is_woken_from_elsewhere_has_a_turn_though_the_others_never_rest() {
    let threads = TaskExecutor::new(1);
    let (sender, receiver) = async_channel::bounded(1);
    let restless = threads.spawn(async move {
        loop {
            yield_now().await;
        }
    });
    let waiting = threads.spawn(async move { receiver.recv().await });
    let sending = std::thread::spawn(move || sender.send_blocking(7).unwrap());
    assert_eq!(run_without_reactor(&threads, waiting), Ok(7));
    drop(restless);
    sending.join().unwrap();
}

#[test]
fn a_task_that_is_left_at_the_end_is_dropped() {
    let threads = TaskExecutor::new(1);
    let held = Arc::new(());
    let woken = held.clone();
    let ready = threads.spawn(async move {
        let _held = woken;
        loop {
            yield_now().await;
        }
    });
    run_without_reactor(&threads, yield_now());
    ready.detach();
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn what_a_thread_slept_on_is_not_kept_beyond_the_end() {
    struct ParkedThread;

    impl std::task::Wake for ParkedThread {
        fn wake(self: Arc<ParkedThread>) {}
    }

    let turns = RunQueue::default();
    let bed = Arc::new(ParkedThread);
    let mut asked = 0;
    let mut run = Box::pin(turns.run(poll_fn(|_| {
        asked += 1;
        if asked > 1 { Poll::Ready(()) } else { Poll::Pending }
    })));
    let waker = Waker::from(bed.clone());
    assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(turns.state().parked_waker.is_some());
    assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    drop((run, waker));
    assert_eq!(Arc::strong_count(&bed), 1);
}
