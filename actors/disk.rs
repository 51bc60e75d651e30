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
/// use sockactors::actors::Disk;
///
/// let disk = Disk::new(2);
/// let length = smol::block_on(disk.run(|| std::fs::read("Cargo.toml").map(|bytes| bytes.len())));
/// assert!(length.unwrap() > 0);
/// ```
#[derive(Debug, Clone)]
pub struct Disk(Arc<Semaphore>);

impl Disk {
    /// Makes a disk that does at most so many jobs at a time, at least one.
    pub fn new(threads: usize) -> Disk {
        Disk(Arc::new(Semaphore::new(threads.max(1))))
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
