//! Tests of workers without a reactor, because Miri supports none.

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::task::Wake;
use std::thread::{self, Thread};

use futures_lite::FutureExt;
use futures_lite::future::yield_now;

use crate::runtime::executor::worker::*;

/// Wakes a thread that parks itself.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<ThreadWaker>) {
        self.0.unpark();
    }
}

fn thread_waker() -> Waker {
    Waker::from(Arc::new(ThreadWaker(thread::current())))
}

/// Creates the only worker of a system, for this thread.
fn lone_worker() -> Arc<Worker> {
    Workers::new([thread_waker()].into_iter()).list[0].clone()
}

/// Runs a worker as [`WorkerThread::block_on`] does, with a parked thread in place of the reactor.
fn run_without_reactor<T>(worker: &Worker, done: impl Future<Output = T>) -> T {
    let waker = thread_waker();
    worker.enter(|| {
        let mut run = pin!(worker.run(done));
        loop {
            if let Poll::Ready(output) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            thread::park();
        }
    })
}

#[test]
fn tasks_run_in_wake_order() {
    let executor = lone_worker();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..3)
        .map(|number| {
            let seen = seen.clone();
            executor.clone().spawn(async move {
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
    let executor = lone_worker();
    let (sender, receiver) = async_channel::bounded(1);
    let task = executor.clone().spawn(async move {
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
    let executor = lone_worker();
    let panicking = executor.clone().spawn(async { std::panic::resume_unwind(Box::new(7)) });
    let other = executor.clone().spawn(async { yield_now().await });
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
    let (outer, seen) = (lone_worker(), Arc::new(Mutex::new(Vec::new())));
    let record = |text, seen: &Arc<Mutex<Vec<&str>>>| seen.lock().unwrap().push(text);
    let (first_seen, second_seen) = (seen.clone(), seen.clone());
    let first = outer.clone().spawn(async move {
        yield_now().await;
        let inner = lone_worker();
        let (own, task) = (first_seen.clone(), async move { record("inner", &first_seen) });
        run_without_reactor(&inner, inner.clone().spawn(task));
        record("first", &own);
    });
    let second = outer.clone().spawn(async move {
        yield_now().await;
        record("second", &second_seen);
    });
    run_without_reactor(&outer, async { (first.await, second.await) });
    assert_eq!(*seen.lock().unwrap(), ["inner", "first", "second"]);
}

#[test]
fn busy_tasks_do_not_starve_injected_task() {
    let executor = lone_worker();
    let (sender, receiver) = async_channel::bounded(1);
    let busy = executor.clone().spawn(async move {
        loop {
            yield_now().await;
        }
    });
    let waiting = executor.clone().spawn(async move { receiver.recv().await });
    let sending = std::thread::spawn(move || sender.send_blocking(7).unwrap());
    assert_eq!(run_without_reactor(&executor, waiting), Ok(7));
    drop(busy);
    sending.join().unwrap();
}

#[test]
fn runnable_task_is_dropped_at_end() {
    let executor = lone_worker();
    let held = Arc::new(());
    let captured = held.clone();
    let runnable = executor.clone().spawn(async move {
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
fn thread_waker_is_dropped_at_end() {
    struct Unused;

    impl Wake for Unused {
        fn wake(self: Arc<Unused>) {}
    }

    let thread = Arc::new(Unused);
    let workers = Workers::new([Waker::from(thread.clone())].into_iter());
    run_without_reactor(&workers.list[0], async {});
    assert_eq!(Arc::strong_count(&thread), 1);
}

#[test]
fn task_runs_only_on_its_worker() {
    const ROUNDS: usize = if cfg!(miri) { 50 } else { 20_000 };
    let (send_workers, workers) = std::sync::mpsc::channel();
    let (send_waker, waker) = std::sync::mpsc::channel();
    let other = thread::spawn(move || {
        send_waker.send(thread_waker()).unwrap();
        let (workers, end): (Arc<Workers>, async_channel::Receiver<()>) = workers.recv().unwrap();
        run_without_reactor(&workers.list[1], async {
            let _ = end.recv().await;
        });
        thread::current().id()
    });
    let workers = Workers::new([thread_waker(), waker.recv().unwrap()].into_iter());
    let (running, end) = async_channel::bounded(1);
    send_workers.send((workers.clone(), end)).unwrap();
    let (to_other, at_other) = async_channel::bounded(1);
    let (to_first, at_first) = async_channel::bounded(1);
    // Each round wakes a sleeping worker from the other one.
    let echo = workers.list[0].place(Placement::Worker(1)).spawn(async move {
        let thread = thread::current().id();
        for _ in 0..ROUNDS {
            to_first.send(at_other.recv().await.unwrap()).await.unwrap();
            assert_eq!(thread::current().id(), thread);
        }
        thread
    });
    let ping = workers.list[0].clone().spawn(async move {
        for round in 0..ROUNDS {
            to_other.send(round).await.unwrap();
            assert_eq!(at_first.recv().await, Ok(round));
        }
    });
    let thread = run_without_reactor(&workers.list[0], async {
        ping.await;
        echo.await
    });
    drop(running);
    assert_eq!(other.join().unwrap(), thread);
}

#[test]
fn spread_places_children_in_turn() {
    let workers = Workers::new([thread_waker(), thread_waker(), thread_waker()].into_iter());
    let number = |placement| {
        let placed = workers.list[1].place(placement);
        workers.list.iter().position(|worker| Arc::ptr_eq(worker, &placed)).unwrap()
    };
    assert_eq!([0; 4].map(|_| number(Placement::Spread)), [0, 1, 2, 0]);
    assert_eq!(number(Placement::Parent), 1);
    assert_eq!((number(Placement::Worker(2)), number(Placement::Worker(7))), (2, 1));
    let worker = workers.list[1].clone();
    drop(workers);
    assert!(Arc::ptr_eq(&worker.place(Placement::Spread), &worker));
}
