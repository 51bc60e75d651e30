//! Small futures: [`Lazy`] and [`Inspect`], which store the future they drive once, and
//! [`wait_until`].
//!
//! An `async` block that awaits a captured future stores it twice: where it was captured, and where
//! it is awaited. Each actor is such a future, and a system may run 100,000 actors, so these two
//! are written by hand.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use event_listener::Event;
use pin_project_lite::pin_project;

/// Waits until `condition` holds. Code that makes it true must notify `changed` afterwards.
///
/// # Cancel safety
///
/// Cancel-safe.
pub(crate) async fn wait_until(changed: &Event, condition: impl Fn() -> bool) {
    while !condition() {
        let notified = changed.listen();
        // A change before the listener was registered notified no listener: check again.
        if condition() {
            return;
        }
        notified.await;
    }
}

pin_project! {
    /// A future that is made at its first poll.
    #[project = LazyProjection]
    pub(crate) enum Lazy<M, F> {
        Unmade { make: Option<M> },
        Made { #[pin] future: F },
    }
}

impl<M: FnOnce() -> F, F: Future> Lazy<M, F> {
    pub(crate) fn new(make: M) -> Lazy<M, F> {
        Lazy::Unmade { make: Some(make) }
    }
}

impl<M: FnOnce() -> F, F: Future> Future for Lazy<M, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            match self.as_mut().project() {
                LazyProjection::Made { future } => return future.poll(cx),
                LazyProjection::Unmade { make } => match make.take() {
                    Some(make) => {
                        let future = make();
                        self.set(Lazy::Made { future });
                    }
                    // `make` panicked in an earlier poll, and the caller caught the panic.
                    None => return Poll::Pending,
                },
            }
        }
    }
}

pin_project! {
    /// A future that passes its output to a function when it is ready.
    pub(crate) struct Inspect<F, D> {
        #[pin]
        future: F,
        on_ready: Option<D>,
    }
}

impl<F: Future, D: FnOnce(&F::Output)> Inspect<F, D> {
    pub(crate) fn new(future: F, on_ready: D) -> Inspect<F, D> {
        Inspect { future, on_ready: Some(on_ready) }
    }
}

impl<F: Future, D: FnOnce(&F::Output)> Future for Inspect<F, D> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        if let Some(on_ready) = this.on_ready.take() {
            on_ready(&output);
        }
        Poll::Ready(output)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of_val;

    use super::*;

    #[test]
    fn lazy_and_inspect_store_future_once() {
        async fn large() -> [u8; 1000] {
            let bytes = [1; 1000];
            futures_lite::future::yield_now().await;
            bytes
        }
        let mut length = 0;
        let future = Inspect::new(Lazy::new(large), |output: &[u8; 1000]| length = output.len());
        assert!(size_of_val(&future) < size_of_val(&large()) + 100);
        futures_lite::future::block_on(future);
        assert_eq!(length, 1000);
    }
}
