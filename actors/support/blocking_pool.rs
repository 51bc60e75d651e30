//! Threads for work that blocks on the disk.
//!
//! Blocking work must not run on the worker threads. Few threads are enough: a disk does not become
//! faster when many threads use it at once, and each thread costs memory. The jobs of one
//! connection run one after another, since its actor waits for each. A panic in a job ends only the
//! actor that waits for it.
//!
//! Jobs start in the order in which they were submitted. A released thread is handed to the job
//! that has waited longest, so a connection that submits one job after the other cannot overtake
//! the others. A long job checks [`BlockingPool::has_waiting_jobs`], and ends early for them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::sync::lock;

/// A limit for the number of jobs that block on the disk at the same time. Clones share the limit.
///
/// # Examples
///
/// ```
/// use sockactors::actors::BlockingPool;
///
/// let pool = BlockingPool::new(2);
/// let length = smol::block_on(pool.run(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len())));
/// assert!(length.unwrap() > 0);
/// ```
#[derive(Clone)]
pub struct BlockingPool(Option<Arc<Mutex<WaitingJobs>>>);

/// The idle threads, and the jobs that wait for one.
struct WaitingJobs {
    idle_threads: usize,
    /// The jobs in their order. Each receives its permit over a channel, which is closed if the job
    /// was cancelled.
    waiting: VecDeque<async_channel::Sender<ThreadPermit>>,
}

impl BlockingPool {
    /// Creates a pool that runs at most `threads` jobs (at least 1) at the same time.
    pub fn new(threads: usize) -> BlockingPool {
        let queue = WaitingJobs { idle_threads: threads.max(1), waiting: VecDeque::new() };
        BlockingPool(Some(Arc::new(Mutex::new(queue))))
    }

    /// Creates a pool without threads, which runs each job at once on the calling thread. For
    /// simulations, whose clock does not wait for other threads.
    pub fn inline() -> BlockingPool {
        BlockingPool(None)
    }

    /// Returns whether a job waits for a thread.
    pub fn has_waiting_jobs(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| !lock(queue).waiting.is_empty())
    }

    /// Runs a job on a thread that may block, once a thread is idle, and returns its result.
    ///
    /// # Cancel safety
    ///
    /// A job that has not started is cancelled with the future. A job that has started runs to its
    /// end.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(queue) = &self.0 else { return job() };
        let permit = ThreadPermit::acquire(queue).await;
        smol::unblock(move || {
            let _permit = permit;
            job()
        })
        .await
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(queue) = &self.0 else { return f.write_str("BlockingPool(inline)") };
        let WaitingJobs { idle_threads, waiting } = &*lock(queue);
        write!(f, "BlockingPool({idle_threads} idle threads, {} waiting jobs)", waiting.len())
    }
}

/// The permit of a job to use a thread. Dropping it hands the thread to the next job.
struct ThreadPermit(Option<Arc<Mutex<WaitingJobs>>>);

impl ThreadPermit {
    async fn acquire(queue: &Arc<Mutex<WaitingJobs>>) -> ThreadPermit {
        let granted = {
            let mut jobs: MutexGuard<'_, WaitingJobs> = lock(queue);
            match jobs.idle_threads.checked_sub(1) {
                Some(idle_threads) => {
                    jobs.idle_threads = idle_threads;
                    None
                }
                None => {
                    let (sender, granted) = async_channel::bounded(1);
                    jobs.waiting.push_back(sender);
                    Some(granted)
                }
            }
        };
        let permit = match granted {
            Some(granted) => granted.recv().await.ok(),
            None => None,
        };
        permit.unwrap_or_else(|| ThreadPermit(Some(queue.clone())))
    }
}

impl Drop for ThreadPermit {
    fn drop(&mut self) {
        let Some(queue) = self.0.take() else { return };
        loop {
            let next = {
                let mut jobs = lock(&queue);
                let next = jobs.waiting.pop_front();
                if next.is_none() {
                    jobs.idle_threads += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.try_send(ThreadPermit(Some(queue.clone()))) {
                Ok(()) => return,
                // The job was cancelled. The returned permit must not be released a second time.
                Err(refused) => drop(refused.into_inner().0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    use futures_lite::future::{block_on, poll_once};

    /// Returns the number of idle threads.
    fn idle_threads(pool: &BlockingPool) -> usize {
        lock(pool.0.as_ref().unwrap()).idle_threads
    }

    #[test]
    fn running_job_leaves_no_idle_thread() {
        let pool = BlockingPool::new(1);
        let (release, released) = mpsc::channel::<()>();
        let observer = pool.clone();
        let job = pool.run(move || {
            let idle = idle_threads(&observer);
            let _ = released.recv();
            idle
        });
        drop(release);
        assert_eq!(block_on(job), 0);
        assert_eq!(idle_threads(&pool), 1);
    }

    #[test]
    fn jobs_start_in_submission_order() {
        block_on(async {
            let pool = BlockingPool::new(1);
            let queue = pool.0.clone().unwrap();
            let first = ThreadPermit::acquire(&queue).await;
            let mut waiting: Vec<_> =
                (0..3).map(|_| Box::pin(ThreadPermit::acquire(&queue))).collect();
            for job in &mut waiting {
                assert!(poll_once(job).await.is_none());
            }
            assert!(pool.has_waiting_jobs());
            // The cancelled job is passed over.
            drop(waiting.remove(0));
            drop(first);
            // A new job queues behind the others, although a thread was released.
            let mut late = Box::pin(ThreadPermit::acquire(&queue));
            assert!(poll_once(&mut late).await.is_none());
            assert!(poll_once(&mut waiting[1]).await.is_none());
            let second = poll_once(&mut waiting[0]).await.unwrap();
            // A job that is cancelled after it got the thread passes it on.
            drop(second);
            drop(waiting);
            assert!(poll_once(&mut late).await.is_some());
            drop(late);
            assert_eq!(idle_threads(&pool), 1);
        });
    }
}
