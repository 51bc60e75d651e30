//! Threads for work that blocks on the disk.
//!
//! Blocking work must not run on the worker threads. Few threads are enough: a disk does not become
//! faster when many threads use it at once, and each thread costs memory. The jobs of one
//! connection run one after another, since its actor waits for each. A panic in a job ends only the
//! actor that waits for it.

use std::sync::Arc;

use smol::lock::Semaphore;

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
#[derive(Debug, Clone)]
pub struct BlockingPool(Arc<Semaphore>);

impl BlockingPool {
    /// Creates a pool that runs at most `threads` jobs (at least 1) at the same time.
    pub fn new(threads: usize) -> BlockingPool {
        BlockingPool(Arc::new(Semaphore::new(threads.max(1))))
    }

    /// Returns whether a job would start at once.
    pub fn has_idle_thread(&self) -> bool {
        self.0.try_acquire().is_some()
    }

    /// Runs a job on a thread that may block, once a thread is idle, and returns its result.
    ///
    /// # Cancel safety
    ///
    /// A job that has not started is cancelled with the future. A job that has started runs to its
    /// end.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.0.acquire_arc().await;
        smol::unblock(move || {
            let _permit = permit;
            job()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn running_job_leaves_no_idle_thread() {
        let pool = BlockingPool::new(1);
        assert!(pool.has_idle_thread());
        let (release, released) = mpsc::channel::<()>();
        let observer = pool.clone();
        let job = pool.run(move || {
            let had_idle_thread = observer.has_idle_thread();
            let _ = released.recv();
            had_idle_thread
        });
        drop(release);
        assert!(!smol::block_on(job));
        assert!(pool.has_idle_thread());
    }
}
