//! The wall around an incarnation.
//!
//! A panic in an actor must end that actor and nothing else. [`ActorFuture`] drives the actor's future, catches
//! what it throws, at its polls and at its drop alike, and turns it into an [`Exit`] with the panic's text
//! and place. The place comes from a panic hook of our own, which keeps silent about panics inside a guard
//! (the lifecycle event tells them) and leaves all others to the hook that was there before.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

#[cfg(feature = "testing")]
use crate::runtime::executor::Sleep;
use crate::runtime::lifecycle::panic::catch_panic;
use crate::runtime::lifecycle::watchdog;
use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::node::Node;
use crate::runtime::{BoxError, Exit, Outcome};

/// How many turns an incarnation had, which nobody but a simulation asks.
#[cfg(feature = "testing")]
type PollCount = u64;
#[cfg(not(feature = "testing"))]
type PollCount = ();

/// How long an incarnation is held up, which happens in a simulation alone.
#[cfg(feature = "testing")]
type SimDelay = Option<Box<Sleep>>;
#[cfg(not(feature = "testing"))]
type SimDelay = ();

pin_project! {
    /// Drives one incarnation to its exit. When it is ready, or dropped, the incarnation is gone entirely.
    pub(crate) struct ActorFuture<F: Future> {
        #[pin]
        future: Option<F>,
        node: Arc<Node>,
        delay: SimDelay,
        polls: PollCount,
    }

    impl<F: Future> PinnedDrop for ActorFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                // A killed actor that throws while it is dropped has nobody left to tell.
                drop(catch_panic(|| this.future.set(None)));
                this.node.end_incarnation(&Exit::Killed);
            }
        }
    }
}

impl<F: Future<Output = Outcome>> ActorFuture<F> {
    pub(crate) fn new(node: Arc<Node>, future: F) -> ActorFuture<F> {
        ActorFuture {
            future: Some(future),
            node,
            delay: SimDelay::default(),
            polls: PollCount::default(),
        }
    }
}

impl<F: Future<Output = Outcome>> Future for ActorFuture<F> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        let mut this = self.project();
        #[cfg(feature = "testing")]
        let _speaker = {
            *this.polls += 1;
            crate::runtime::sim::executor::enter_simulated_poll(this.node, *this.polls, this.delay)
        };
        let polled = match ready!(poll_interrupt(this.node, this.delay, cx)) {
            Some(exit) => Err(exit),
            None => {
                let _turn = watchdog::enter_poll(this.node);
                catch_panic(|| {
                    let future = this.future.as_mut().as_pin_mut();
                    future.map_or(Poll::Ready(Ok(())), |future| future.poll(cx))
                })
            }
        };
        let exit = ready!(exit_from_poll(this.node, polled));
        let exit = catch_panic(|| this.future.set(None)).err().unwrap_or(exit);
        this.node.end_incarnation(&exit);
        Poll::Ready(exit)
    }
}

// What follows is no part of the guard's code, which there is once for each kind of actor.

/// Looks whether anything befalls the incarnation before its turn: an exit, or a time of waiting.
fn poll_interrupt(
    node: &Arc<Node>,
    hold: &mut SimDelay,
    cx: &mut Context<'_>,
) -> Poll<Option<Exit>> {
    node.control.register_task(cx);
    #[cfg(feature = "testing")]
    if let Some(sleep) = hold {
        ready!(Pin::new(sleep).poll(cx));
        *hold = None;
    }
    #[cfg(not(feature = "testing"))]
    let () = hold;
    Poll::Ready(match node.control.pending_interrupt() {
        None => None,
        Some(Interrupt::Hang) => return Poll::Pending,
        Some(Interrupt::Panic) => catch_panic(|| panic!("crashed on request")).err(),
        Some(Interrupt::Error) => {
            Some(Exit::Failed(Arc::from(BoxError::from("failed on request"))))
        }
        Some(Interrupt::Drop) => Some(Exit::Killed),
        Some(Interrupt::LinkExit) => node.liveness().take_link_exit(),
    })
}

/// Turns what a poll brought into an exit.
fn exit_from_poll(node: &Node, polled: Result<Poll<Outcome>, Exit>) -> Poll<Exit> {
    Poll::Ready(match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(Ok(()))) if node.control.is_stop_requested() => Exit::Shutdown,
        Ok(Poll::Ready(Ok(()))) => Exit::Normal,
        Ok(Poll::Ready(Err(error))) => Exit::Failed(error.into()),
        Err(exit) => exit,
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use std::sync::Weak;

    use super::*;
    use crate::runtime::lifecycle::panic::install_panic_hook;
    use crate::runtime::mailbox::Mailbox;
    use crate::runtime::tree::below::NodeBody;
    use crate::runtime::tree::path::Name;

    fn node() -> Arc<Node> {
        Node::new(Name::Text("test".into()), NodeBody::Actor(Weak::<Mailbox<()>>::new()))
    }

    fn run(future: impl Future<Output = Outcome>) -> Exit {
        install_panic_hook();
        block_on(ActorFuture::new(node(), future))
    }

    #[test]
    fn smoke() {
        assert!(matches!(run(async { Ok(()) }), Exit::Normal));
        assert_eq!(run(async { Err("no disk".into()) }).to_string(), "failed: no disk");
    }

    #[test]
    fn a_panic_becomes_an_exit_with_text_and_place() {
        let Exit::Panicked { text, location: place } = run(async { panic!("lost {}", 7) }) else {
            panic!("it did not panic");
        };
        assert_eq!(&*text, "lost 7");
        assert!(place.contains("actor_future.rs:"), "{place}");
    }

    #[test]
    fn a_panic_in_a_drop_becomes_an_exit_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("boom");
            }
        }
        let bomb = Bomb;
        let exit = run(async move {
            let _held = bomb;
            Ok(())
        });
        assert!(exit.to_string().contains("boom"), "{exit}");

        let bomb = Bomb;
        let guard = ActorFuture::new(node(), async move {
            let _held = bomb;
            Ok(())
        });
        drop(guard);
    }
}
