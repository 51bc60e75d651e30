//! The threads on which a sender reads its files.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::Task;

/// The choice of the thread for work that blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum FileThreads {
    /// A thread of the blocking pool.
    #[default]
    Pool,
    /// The calling thread. A simulation does not wait for others.
    #[cfg(feature = "testing")]
    Inline,
}

/// The result of a job. It is a future that does not have to be polled for the job to run.
#[derive(Debug)]
pub(super) enum FileJob<T> {
    Running(Task<T>),
    /// The result, until it is returned.
    #[cfg(feature = "testing")]
    Done(Option<T>),
}

impl FileThreads {
    /// Starts a job.
    pub(super) fn start<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> FileJob<T> {
        match self {
            FileThreads::Pool => FileJob::Running(smol::unblock(job)),
            #[cfg(feature = "testing")]
            FileThreads::Inline => FileJob::Done(Some(job())),
        }
    }
}

impl<T: Unpin> Future for FileJob<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut *self {
            FileJob::Running(task) => Pin::new(task).poll(cx),
            #[cfg(feature = "testing")]
            FileJob::Done(result) => result.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}
