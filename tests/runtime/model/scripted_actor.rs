//! The actors of the trees, which follow a script.
//!
//! An actor looks at its script before it looks at its stop request. So its directive is executed,
//! whether the supervisor or the generator is first.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context as Waking, Poll, Waker};
use std::time::Duration;

use sockactors::runtime::{Context, Outcome};

use super::spec::StopBehaviour;

/// How a start goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartBehaviour {
    Good,
    /// It panics in its factory.
    Panic,
    /// It fails before it is ready.
    Fail,
    /// It declines to run.
    Ignore,
    /// It is ready after a while.
    Slow(Duration),
    /// It fails after a while.
    SlowFail(Duration),
    /// It is never ready.
    Never,
}

/// A directive to an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    Panic,
    Error,
    ModelExit,
    /// The simulation drops it.
    Kill,
    /// The handle's drill makes it panic, ready or not.
    Crash,
}

#[derive(Debug, Default)]
pub struct Script(Mutex<ScriptState>);

#[derive(Debug, Default)]
struct ScriptState {
    behaviours: VecDeque<StartBehaviour>,
    order: Option<Directive>,
    waker: Option<Waker>,
}

impl Script {
    fn written(&self) -> MutexGuard<'_, ScriptState> {
        self.0.lock().unwrap()
    }

    /// Appends the behaviour of the next starts.
    pub fn expect(&self, behaviours: &[StartBehaviour]) {
        self.written().behaviours.extend(behaviours);
    }

    /// Removes the last incarnation's directive, and returns how this one starts.
    pub fn begin(&self) -> StartBehaviour {
        let mut written = self.written();
        written.order = None;
        written.behaviours.pop_front().unwrap_or(StartBehaviour::Good)
    }

    /// Gives the actor a directive, or only wakes it.
    pub fn order(&self, order: Option<Directive>) {
        let mut written = self.written();
        written.order = order;
        let waker = written.waker.take();
        drop(written);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Waking<'_>) -> Poll<Directive> {
        let mut written = self.written();
        written.waker = Some(cx.waker().clone());
        written.order.map_or(Poll::Pending, Poll::Ready)
    }

    /// Awaits a directive or `other`.
    async fn or(&self, other: impl Future<Output = ()>) -> Option<Directive> {
        let mut other = pin!(other);
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(order) => Poll::Ready(Some(order)),
            Poll::Pending => other.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// The actor's life.
pub async fn live(
    mut ctx: Context<()>,
    board: impl AsRef<Script>,
    behaviour: StartBehaviour,
    manners: StopBehaviour,
) -> Outcome {
    let board = board.as_ref();
    match behaviour {
        StartBehaviour::Good | StartBehaviour::Panic => {}
        StartBehaviour::Fail => return Err("no behaviour".into()),
        StartBehaviour::Ignore => return Ok(()),
        StartBehaviour::Never => {
            ctx.stopped().await;
            return Ok(());
        }
        StartBehaviour::Slow(pause) | StartBehaviour::SlowFail(pause) => {
            ctx.sleep_unless_stopped(pause).await;
            if ctx.is_stopping() {
                return Ok(());
            }
            if let StartBehaviour::SlowFail(_) = behaviour {
                return Err("no behaviour".into());
            }
        }
    }
    ctx.ready();
    let order = match manners {
        StopBehaviour::Deaf => board.or(std::future::pending()).await,
        StopBehaviour::Prompt | StopBehaviour::Fails => board.or(ctx.stopped()).await,
        StopBehaviour::Slow(pause) => match board.or(ctx.stopped()).await {
            None => board.or(ctx.sleep(pause)).await,
            order => order,
        },
    };
    match order {
        Some(Directive::Panic) => panic!("as written"),
        Some(Directive::Error) => Err("as written".into()),
        Some(Directive::ModelExit) => Ok(()),
        Some(Directive::Kill | Directive::Crash) => unreachable!("they come from outside"),
        None if manners == StopBehaviour::Fails => Err("no manners".into()),
        None => Ok(()),
    }
}
