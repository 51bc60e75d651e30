//! Two small futures that hold what they run once.
//!
//! An `async` block that awaits a future which it has captured holds it twice: where it was captured, and where it
//! is awaited. Each actor is such a future, and there may be a hundred thousand of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

pin_project! {
    /// A future that is made at its first poll.
    #[project = LazyProjection]
    pub(crate) enum Lazy<M, F> {
        Not { make: Option<M> },
        Made { #[pin] future: F },
    }
}

impl<M: FnOnce() -> F, F: Future> Lazy<M, F> {
    pub(crate) fn new(make: M) -> Lazy<M, F> {
        Lazy::Not { make: Some(make) }
    }
}

impl<M: FnOnce() -> F, F: Future> Future for Lazy<M, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match self.as_mut().project() {
                LazyProjection::Made { future } => return future.poll(cx),
                LazyProjection::Not { make } => match make.take() {
                    Some(make) => {
                        let future = make();
                        self.set(Lazy::Made { future });
                    }
                    // Making it panicked, and whoever polls it caught that.
                    None => return Poll::Pending,
                },
            }
        }
    }
}

pin_project! {
    /// A future with something to do at its end.
    pub(crate) struct Inspect<F, D> {
        #[pin]
        future: F,
        on_ready: Option<D>,
    }
}

impl<F: Future, D: FnOnce(&F::Output)> Inspect<F, D> {
    pub(crate) fn new(future: F, done: D) -> Inspect<F, D> {
        Inspect { future, on_ready: Some(done) }
    }
}

impl<F: Future, D: FnOnce(&F::Output)> Future for Inspect<F, D> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        if let Some(done) = this.on_ready.take() {
            done(&output);
        }
        Poll::Ready(output)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of_val;

    use super::*;

    #[test]
    fn what_they_run_is_held_once() {
        async fn large() -> [u8; 1000] {
            let held = [1; 1000];
            futures_lite::future::yield_now().await;
            held
        }
        let mut length = 0;
        let then = Inspect::new(Lazy::new(large), |output: &[u8; 1000]| length = output.len());
        assert!(size_of_val(&then) < size_of_val(&large()) + 100);
        futures_lite::future::block_on(then);
        assert_eq!(length, 1000);
    }
}
