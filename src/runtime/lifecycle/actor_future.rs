//! The future that drives one incarnation.
//!
//! [`ActorFuture`] polls the actor's future inside `catch_unwind` and turns its end into an
//! [`Exit`]. It drops the actor's future inside `catch_unwind` too: a panic in a `Drop` is a crash
//! of that actor only, never of its supervisor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::runtime::actor::{BoxError, Outcome};
#[cfg(feature = "testing")]
use crate::runtime::executor::Sleep;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::panic::catch_panic;
use crate::runtime::lifecycle::watchdog;
use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::node::Node;

/// The number of polls of an incarnation. Only a simulation counts them.
#[cfg(feature = "testing")]
type PollCount = u64;
#[cfg(not(feature = "testing"))]
type PollCount = ();

/// The delay that a simulation has injected into an incarnation.
#[cfg(feature = "testing")]
type SimDelay = Option<Box<Sleep>>;
#[cfg(not(feature = "testing"))]
type SimDelay = ();

pin_project! {
    /// A future that drives one incarnation to its exit. When it is ready, or has been dropped,
    /// nothing of the incarnation is left.
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
                // The exit is `Killed` already, so a panic in the drop is not reported.
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
        let _current_actor = {
            *this.polls += 1;
            crate::runtime::sim::hooks::enter_simulated_poll(this.node, *this.polls, this.delay)
        };
        let polled = match ready!(poll_interrupt(this.node, this.delay, cx)) {
            Some(exit) => Err(exit),
            None => {
                let _poll = watchdog::enter_poll(this.node);
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

// The functions below are not generic: `ActorFuture` is compiled once for each kind of actor.

/// Checks before a poll for an interrupt, which may be an exit, and for an injected delay.
fn poll_interrupt(
    node: &Arc<Node>,
    delay: &mut SimDelay,
    cx: &mut Context<'_>,
) -> Poll<Option<Exit>> {
    node.control.register_task(cx);
    #[cfg(feature = "testing")]
    if let Some(sleep) = delay {
        ready!(Pin::new(sleep).poll(cx));
        *delay = None;
    }
    #[cfg(not(feature = "testing"))]
    let () = delay;
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

/// Turns the result of a poll into an exit.
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
    use crate::runtime::tree::node::NodeBody;
    use crate::runtime::tree::path::Name;

    fn node() -> Arc<Node> {
        Node::new(Name::Text("test".into()), NodeBody::Actor(Weak::<Mailbox<()>>::new()))
    }

    fn run(future: impl Future<Output = Outcome>) -> Exit {
        install_panic_hook();
        block_on(ActorFuture::new(node(), future))
    }

    #[test]
    fn returned_result_becomes_exit() {
        assert!(matches!(run(async { Ok(()) }), Exit::Normal));
        assert_eq!(run(async { Err("no disk".into()) }).to_string(), "failed: no disk");
    }

    #[test]
    fn panic_becomes_exit_with_location() {
        let Exit::Panicked { text, location } = run(async { panic!("lost {}", 7) }) else {
            panic!("the exit is not a panic");
        };
        assert_eq!(&*text, "lost 7");
        assert!(location.contains("actor_future.rs:"), "{location}");
    }

    #[test]
    fn panic_in_drop_becomes_exit() {
        struct PanicOnDrop;
        impl Drop for PanicOnDrop {
            fn drop(&mut self) {
                panic!("boom");
            }
        }
        let bomb = PanicOnDrop;
        let exit = run(async move {
            let _held = bomb;
            Ok(())
        });
        assert!(exit.to_string().contains("boom"), "{exit}");

        let bomb = PanicOnDrop;
        let future = ActorFuture::new(node(), async move {
            let _held = bomb;
            Ok(())
        });
        drop(future);
    }
}
