//! A queue of blocking jobs whose order survives crashes.
//!
//! Files and terminals block, so their work runs on a thread that may block. An actor that crashes
//! while it waits for such a thread cannot cancel the job: it would run at the same time as the
//! jobs of the next incarnation. A [`JobQueue`] therefore belongs to the tree. A job stays in the
//! queue until it starts, and one job runs at a time. The next incarnation first runs the jobs that
//! the last one left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// A queue of blocking jobs that run one at a time, in order, across the crashes of their actor.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use sockactors::runtime::JobQueue;
///
/// let done = Arc::new(Mutex::new(Vec::new()));
/// let jobs = JobQueue::new();
/// jobs.push("write");
/// jobs.push("rename");
/// let log = done.clone();
/// smol::block_on(jobs.run_all(move |job| log.lock().unwrap().push(job)));
/// assert_eq!(*done.lock().unwrap(), ["write", "rename"]);
/// ```
pub struct JobQueue<J>(Arc<JobQueueShared<J>>);

struct JobQueueShared<J> {
    jobs: Mutex<VecDeque<J>>,
    /// Held while a job runs.
    run_lock: Mutex<()>,
}

impl<J: Send + 'static> JobQueue<J> {
    /// Makes an empty queue.
    pub fn new() -> JobQueue<J> {
        JobQueue(Arc::new(JobQueueShared { jobs: Mutex::default(), run_lock: Mutex::default() }))
    }

    /// Appends a job.
    ///
    /// The queue has no limit. An actor that awaits [`JobQueue::run_all`] after each job keeps it
    /// short.
    pub fn push(&self, job: J) {
        lock(&self.0.jobs).push_back(job);
    }

    /// Runs all queued jobs on a thread that may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels no job. A run that has started on its thread continues.
    /// Otherwise a later call runs the jobs. Each job runs once.
    pub async fn run_all(&self, mut run: impl FnMut(J) + Send + 'static) {
        let queue = self.clone();
        smol::unblock(move || {
            let _guard = lock(&queue.0.run_lock);
            loop {
                // Removed before it runs, so that a job that panics does not run again.
                let job = lock(&queue.0.jobs).pop_front();
                match job {
                    Some(job) => run(job),
                    None => return,
                }
            }
        })
        .await;
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
        f.write_str("JobQueue(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn jobs_of_dropped_wait_run_once_in_order() {
        let queue = JobQueue::new();
        let (sender, done) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        for job in 0..3 {
            queue.push(job);
        }
        let first = sender.clone();
        let mut wait = Box::pin(queue.run_all(move |job| {
            let _ = gate.recv();
            first.send(job).unwrap();
        }));
        assert!(block_on(poll_once(&mut wait)).is_none());
        drop(wait);
        queue.push(3);
        drop(open);
        block_on(queue.run_all(move |job| sender.send(job).unwrap()));
        assert_eq!(done.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
