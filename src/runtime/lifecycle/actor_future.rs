//! The wall around an incarnation.
//!
//! A panic in an actor must end that actor and nothing else. [`Guard`] drives the actor's future, catches
//! what it throws, at its polls and at its drop alike, and turns it into an [`Exit`] with the panic's text
//! and place. The place comes from a panic hook of our own, which keeps silent about panics inside a guard
//! (the lifecycle event tells them) and leaves all others to the hook that was there before.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, ready};

use futures_lite::FutureExt;
use pin_project_lite::pin_project;

#[cfg(feature = "testing")]
use crate::runtime::executor::Sleep;
use crate::runtime::system::watchdog;
use crate::runtime::tree::control::Blow;
use crate::runtime::tree::node::Node;
use crate::runtime::{BoxError, Exit, Outcome};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

static BACKTRACES: AtomicBool = AtomicBool::new(false);

/// Makes the exits of panicked actors carry a backtrace in their place, which costs milliseconds and tens
/// of megabytes for each panic. Off unless asked for.
pub fn record_backtraces(on: bool) {
    BACKTRACES.store(on, Ordering::Relaxed);
}

/// Installs the panic hook, once for the process.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                return previous(info);
            }
            let mut place = info.location().map_or_else(String::new, ToString::to_string);
            if BACKTRACES.load(Ordering::Relaxed) {
                place = format!("{place}\n{}", Backtrace::force_capture());
            }
            PLACE.set(Some(place));
        }));
    });
}

/// Runs `body` and turns a panic in it into an exit.
fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Exit> {
    let outer = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    result.map_err(|thrown| Exit::Panicked {
        text: text_of(thrown.as_ref()).into(),
        place: PLACE.take().unwrap_or_else(|| "an unknown place".into()).into(),
    })
}

/// Runs what is not ours, whose panic is told in the log and goes no further.
pub(crate) fn shielded(whose: &str, body: impl FnOnce()) {
    if let Err(exit) = catch(body) {
        log::error!("{whose} {exit}");
    }
}

fn text_of(thrown: &(dyn Any + Send)) -> String {
    if let Some(text) = thrown.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = thrown.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".into()
    }
}

/// Turns a panic of the runtime itself, or of an observer that it calls, into an exit.
pub(crate) async fn whole(life: impl Future<Output = Exit>) -> Exit {
    let life = AssertUnwindSafe(life).catch_unwind();
    life.await.unwrap_or_else(|thrown| Exit::Panicked {
        text: text_of(thrown.as_ref()).into(),
        place: "the runtime".into(),
    })
}

/// How many turns an incarnation had, which nobody but a simulation asks.
#[cfg(feature = "testing")]
type Turns = u64;
#[cfg(not(feature = "testing"))]
type Turns = ();

/// How long an incarnation is held up, which happens in a simulation alone.
#[cfg(feature = "testing")]
type Hold = Option<Box<Sleep>>;
#[cfg(not(feature = "testing"))]
type Hold = ();

pin_project! {
    /// Drives one incarnation to its exit. When it is ready, or dropped, the incarnation is gone entirely.
    pub(crate) struct Guard<F: Future> {
        #[pin]
        future: Option<F>,
        node: Arc<Node>,
        hold: Hold,
        turns: Turns,
    }

    impl<F: Future> PinnedDrop for Guard<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                // A killed actor that throws while it is dropped has nobody left to tell.
                drop(catch(|| this.future.set(None)));
                this.node.end(&Exit::Killed);
            }
        }
    }
}

impl<F: Future<Output = Outcome>> Guard<F> {
    pub(crate) fn new(node: Arc<Node>, future: F) -> Guard<F> {
        Guard { future: Some(future), node, hold: Hold::default(), turns: Turns::default() }
    }
}

impl<F: Future<Output = Outcome>> Future for Guard<F> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        let mut this = self.project();
        #[cfg(feature = "testing")]
        let _speaker = {
            *this.turns += 1;
            crate::runtime::sim::executor::enter(this.node, *this.turns, this.hold)
        };
        let polled = match ready!(before(this.node, this.hold, cx)) {
            Some(exit) => Err(exit),
            None => {
                let _turn = watchdog::turn(this.node);
                catch(|| {
                    let future = this.future.as_mut().as_pin_mut();
                    future.map_or(Poll::Ready(Ok(())), |future| future.poll(cx))
                })
            }
        };
        let exit = ready!(judge(this.node, polled));
        let exit = catch(|| this.future.set(None)).err().unwrap_or(exit);
        this.node.end(&exit);
        Poll::Ready(exit)
    }
}

// What follows is no part of the guard's code, which there is once for each kind of actor.

/// Looks whether anything befalls the incarnation before its turn: an exit, or a time of waiting.
fn before(node: &Arc<Node>, hold: &mut Hold, cx: &mut Context<'_>) -> Poll<Option<Exit>> {
    node.control.register_task(cx);
    #[cfg(feature = "testing")]
    if let Some(sleep) = hold {
        ready!(Pin::new(sleep).poll(cx));
        *hold = None;
    }
    #[cfg(not(feature = "testing"))]
    let () = hold;
    Poll::Ready(match node.control.blow() {
        None => None,
        Some(Blow::Hang) => return Poll::Pending,
        Some(Blow::Panic) => catch(|| panic!("crashed on request")).err(),
        Some(Blow::Error) => Some(Exit::Failed(Arc::from(BoxError::from("failed on request")))),
        Some(Blow::Drop) => Some(Exit::Killed),
        Some(Blow::Struck) => node.vitals().take_struck(),
    })
}

/// Turns what a poll brought into an exit.
fn judge(node: &Node, polled: Result<Poll<Outcome>, Exit>) -> Poll<Exit> {
    Poll::Ready(match polled {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(Ok(()))) if node.control.is_stop() => Exit::Shutdown,
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
    use crate::runtime::mailbox::Mailbox;
    use crate::runtime::tree::below::Below;
    use crate::runtime::tree::path::Name;

    fn node() -> Arc<Node> {
        Node::new(Name::Text("test".into()), Below::Nothing(Weak::<Mailbox<()>>::new()))
    }

    fn run(future: impl Future<Output = Outcome>) -> Exit {
        install_hook();
        block_on(Guard::new(node(), future))
    }

    #[test]
    fn smoke() {
        assert!(matches!(run(async { Ok(()) }), Exit::Normal));
        assert_eq!(run(async { Err("no disk".into()) }).to_string(), "failed: no disk");
    }

    #[test]
    fn a_panic_becomes_an_exit_with_text_and_place() {
        let Exit::Panicked { text, place } = run(async { panic!("lost {}", 7) }) else {
            panic!("it did not panic");
        };
        assert_eq!(&*text, "lost 7");
        assert!(place.contains("guard.rs:"), "{place}");
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
        let guard = Guard::new(node(), async move {
            let _held = bomb;
            Ok(())
        });
        drop(guard);
    }
}
