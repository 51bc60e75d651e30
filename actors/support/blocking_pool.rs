//! The disk: where roles do work that waits for it.
//!
//! Such work belongs on threads that may block, and on few of them: a disk does not become faster by being asked from
//! everywhere at once, and each thread costs memory. The work of one connection is one job after the other, so it never
//! runs beside itself, and a panic in it ends the actor that waits for it and nobody else.

use std::sync::Arc;

use smol::lock::Semaphore;

/// A few threads for work that blocks on the disk. A clone is the same few.
///
/// # Examples
///
/// ```
/// use sockactors::actors::BlockingPool;
///
/// let disk = BlockingPool::new(2);
/// let length = smol::block_on(disk.run(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len())));
/// assert!(length.unwrap() > 0);
/// ```
#[derive(Debug, Clone)]
pub struct BlockingPool(Arc<Semaphore>);

impl BlockingPool {
    /// Makes a disk that does at most so many jobs at a time, at least one.
    pub fn new(threads: usize) -> BlockingPool {
        BlockingPool(Arc::new(Semaphore::new(threads.max(1))))
    }

    /// Tells whether one more job would be done at once, so that nobody is waiting now.
    pub fn has_idle_thread(&self) -> bool {
        self.0.try_acquire().is_some()
    }

    /// Does a job, when it is its turn.
    ///
    /// A wait that is dropped before the job has begun calls it off; one that has begun is finished.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let turn = self.0.acquire_arc().await;
        smol::unblock(move || {
            let _turn = turn;
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
        let disk = BlockingPool::new(1);
        assert!(disk.has_idle_thread());
        let (go, gone) = mpsc::channel::<()>();
        let watch = disk.clone();
        let job = disk.run(move || {
            let was_free = watch.has_idle_thread();
            let _ = gone.recv();
            was_free
        });
        drop(go);
        assert!(!smol::block_on(job));
        assert!(disk.has_idle_thread());
    }
}
