//! Blocking work that a crash neither loses nor puts out of order.
//!
//! Disks and terminals block, so work on them goes to a thread that may. An actor that crashes while it
//! waits for such a thread cannot call the work back: it would run beside the work of the next incarnation.
//! So the jobs lie on a [`JobQueue`], which belongs to the tree. A job is on it until it is begun, one is done at
//! a time, in their order, and the next incarnation first works off what the last one left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::sync::lock;

/// Blocking jobs that are done one at a time, in their order, over the crashes of the actor that puts them.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use sockactors::runtime::JobQueue;
///
/// let done = Arc::new(Mutex::new(Vec::new()));
/// let desk = JobQueue::new();
/// desk.push("write");
/// desk.push("rename");
/// let list = done.clone();
/// smol::block_on(desk.run_all(move |job| list.lock().unwrap().push(job)));
/// assert_eq!(*done.lock().unwrap(), ["write", "rename"]);
/// ```
pub struct JobQueue<J>(Arc<JobQueueShared<J>>);

struct JobQueueShared<J> {
    jobs: Mutex<VecDeque<J>>,
    /// Held while a job is done.
    run_lock: Mutex<()>,
}

impl<J: Send + 'static> JobQueue<J> {
    /// Makes an empty desk.
    pub fn new() -> JobQueue<J> {
        JobQueue(Arc::new(JobQueueShared { jobs: Mutex::default(), run_lock: Mutex::default() }))
    }

    /// Puts a job on the desk. An actor puts one and clears the desk, so there is never a pile.
    pub fn push(&self, job: J) {
        self.jobs().push_back(job);
    }

    /// Does all the jobs on the desk, on a thread that may block.
    ///
    /// A wait that is dropped leaves the jobs to the next call; the one that is being done is finished first.
    pub async fn run_all(&self, mut work: impl FnMut(J) + Send + 'static) {
        let desk = self.clone();
        smol::unblock(move || {
            let _busy = lock(&desk.0.run_lock);
            loop {
                // Off the desk before it is begun: a job that panics does so once.
                let job = desk.jobs().pop_front();
                match job {
                    Some(job) => work(job),
                    None => return,
                }
            }
        })
        .await;
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<J>> {
        lock(&self.0.jobs)
    }
}

impl<J: Send + 'static> Default for JobQueue<J> {
    fn default() -> JobQueue<J> {
        JobQueue::new()
    }
}

impl<J> Clone for JobQueue<J> {
    fn clone(&self) -> JobQueue<J> {
        JobQueue(self.0.clone())
    }
}

impl<J> fmt::Debug for JobQueue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn what_a_dropped_wait_leaves_is_done_once_and_in_order() {
        let desk = JobQueue::new();
        let (told, done) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        for job in 0..3 {
            desk.push(job);
        }
        let first = told.clone();
        let mut wait = Box::pin(desk.run_all(move |job| {
            let _ = gate.recv();
            first.send(job).unwrap();
        }));
        assert!(block_on(poll_once(&mut wait)).is_none());
        drop(wait);
        desk.push(3);
        drop(go);
        block_on(desk.run_all(move |job| told.send(job).unwrap()));
        assert_eq!(done.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
