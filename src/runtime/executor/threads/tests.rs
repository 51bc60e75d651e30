//! Tests of the executor of one thread.

use std::panic::AssertUnwindSafe;

use futures_lite::FutureExt;
use futures_lite::future::yield_now;

use crate::runtime::executor::threads::*;

/// Runs tasks without a reactor, because Miri supports none.
fn run_without_reactor<T>(executor: &TaskExecutor, done: impl Future<Output = T>) -> T {
    match executor {
        TaskExecutor::SingleThread(queue) => futures_lite::future::block_on(queue.run(done)),
        TaskExecutor::MultiThread(_) => unreachable!("the executor has one thread"),
    }
}

#[test]
fn tasks_run_in_wake_order() {
    let executor = TaskExecutor::new(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|number| {
            let seen = seen.clone();
            executor.spawn(async move {
                for round in 0..2 {
                    seen.lock().unwrap().push((round, number));
                    yield_now().await;
                }
            })
        })
        .collect();
    run_without_reactor(&executor, async {
        for task in tasks {
            task.await;
        }
    });
    assert_eq!(*seen.lock().unwrap(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
}

#[test]
fn other_thread_wakes_task() {
    let executor = TaskExecutor::new(1);
    let (sender, receiver) = async_channel::bounded(1);
    let task = executor.spawn(async move {
        let mut sum = 0;
        while let Ok(number) = receiver.recv().await {
            sum += number;
        }
        sum
    });
    let sending = std::thread::spawn(move || {
        (0..100).for_each(|number| sender.send_blocking(number).unwrap());
    });
    assert_eq!(run_without_reactor(&executor, task), 4950);
    sending.join().unwrap();
}

#[test]
fn task_panic_reaches_only_its_awaiter() {
    let executor = TaskExecutor::new(1);
    let panicking = executor.spawn(async { std::panic::resume_unwind(Box::new(7)) });
    let other = executor.spawn(async { yield_now().await });
    let caught = AssertUnwindSafe(async {
        let _: () = panicking.await;
    });
    let seen = run_without_reactor(&executor, async {
        let seen = caught.catch_unwind().await;
        other.await;
        seen
    });
    assert_eq!(seen.unwrap_err().downcast_ref(), Some(&7));
}

#[test]
fn nested_executors_have_separate_queues() {
    let (outer, seen) = (TaskExecutor::new(1), Arc::new(Mutex::new(Vec::new())));
    let record = |text, seen: &Arc<Mutex<Vec<&str>>>| seen.lock().unwrap().push(text);
    let (first_seen, second_seen) = (seen.clone(), seen.clone());
    let first = outer.spawn(async move {
        yield_now().await;
        let inner = TaskExecutor::new(1);
        let (own, task) = (first_seen.clone(), async move { record("inner", &first_seen) });
        run_without_reactor(&inner, inner.spawn(task));
        record("first", &own);
    });
    let second = outer.spawn(async move {
        yield_now().await;
        record("second", &second_seen);
    });
    run_without_reactor(&outer, async { (first.await, second.await) });
    assert_eq!(*seen.lock().unwrap(), ["inner", "first", "second"]);
}

#[test]
fn busy_tasks_do_not_starve_injected_task() {
    let executor = TaskExecutor::new(1);
    let (sender, receiver) = async_channel::bounded(1);
    let busy = executor.spawn(async move {
        loop {
            yield_now().await;
        }
    });
    let waiting = executor.spawn(async move { receiver.recv().await });
    let sending = std::thread::spawn(move || sender.send_blocking(7).unwrap());
    assert_eq!(run_without_reactor(&executor, waiting), Ok(7));
    drop(busy);
    sending.join().unwrap();
}

#[test]
fn runnable_task_is_dropped_at_end() {
    let executor = TaskExecutor::new(1);
    let held = Arc::new(());
    let captured = held.clone();
    let runnable = executor.spawn(async move {
        let _captured = captured;
        loop {
            yield_now().await;
        }
    });
    run_without_reactor(&executor, yield_now());
    runnable.detach();
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn parked_waker_is_dropped_at_end() {
    struct ParkedThread;

    impl std::task::Wake for ParkedThread {
        fn wake(self: Arc<ParkedThread>) {}
    }

    let queue = RunQueue::default();
    let parked = Arc::new(ParkedThread);
    let mut polls = 0;
    let mut run = Box::pin(queue.run(poll_fn(|_| {
        polls += 1;
        if polls > 1 { Poll::Ready(()) } else { Poll::Pending }
    })));
    let waker = Waker::from(parked.clone());
    assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(queue.state().parked_waker.is_some());
    assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    drop((run, waker));
    assert_eq!(Arc::strong_count(&parked), 1);
}
