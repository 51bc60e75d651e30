//! The actors of the trees: puppets, which do what is written on their boards.
//!
//! A puppet looks at its board before it looks at its stop. So what is written there happens, whichever of
//! the two its supervisor or the dice bring first.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context as Waking, Poll, Waker};
use std::time::Duration;

use sockactors::runtime::{Context, Outcome};

use super::spec::Manners;

/// How a start goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// It panics in its factory.
    Panic,
    /// It fails before it is ready.
    Fail,
    /// It chooses not to run.
    Ignore,
    /// It is ready after a while.
    Slow(Duration),
    /// It fails after a while.
    SlowFail(Duration),
    /// It is never ready.
    Never,
}

/// What befalls a puppet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Panic,
    Error,
    End,
    /// The simulation drops it.
    Kill,
    /// The handle's drill makes it panic, ready or not.
    Crash,
}

#[derive(Debug, Default)]
pub struct Board(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    moods: VecDeque<Mood>,
    order: Option<Order>,
    waker: Option<Waker>,
}

impl Board {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap()
    }

    /// Says how the next starts go, behind those that were said before.
    pub fn expect(&self, moods: &[Mood]) {
        self.written().moods.extend(moods);
    }

    /// Wipes the last incarnation's order off, and tells how this one starts.
    pub fn begin(&self) -> Mood {
        let mut written = self.written();
        written.order = None;
        written.moods.pop_front().unwrap_or(Mood::Good)
    }

    /// Has the puppet do something, or only look up.
    pub fn order(&self, order: Option<Order>) {
        let mut written = self.written();
        written.order = order;
        let waker = written.waker.take();
        drop(written);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, cx: &Waking<'_>) -> Poll<Order> {
        let mut written = self.written();
        written.waker = Some(cx.waker().clone());
        written.order.map_or(Poll::Pending, Poll::Ready)
    }

    /// Awaits an order, or else `other`.
    async fn or(&self, other: impl Future<Output = ()>) -> Option<Order> {
        let mut other = pin!(other);
        poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(order) => Poll::Ready(Some(order)),
            Poll::Pending => other.as_mut().poll(cx).map(|()| None),
        })
        .await
    }
}

/// The life of a puppet.
pub async fn live(
    mut ctx: Context<()>,
    board: impl AsRef<Board>,
    mood: Mood,
    manners: Manners,
) -> Outcome {
    let board = board.as_ref();
    match mood {
        Mood::Good | Mood::Panic => {}
        Mood::Fail => return Err("no mood".into()),
        Mood::Ignore => return Ok(()),
        Mood::Never => {
            ctx.stopped().await;
            return Ok(());
        }
        Mood::Slow(pause) | Mood::SlowFail(pause) => {
            ctx.sleep_unless_stopped(pause).await;
            if ctx.is_stopping() {
                return Ok(());
            }
            if let Mood::SlowFail(_) = mood {
                return Err("no mood".into());
            }
        }
    }
    ctx.ready();
    let order = match manners {
        Manners::Deaf => board.or(std::future::pending()).await,
        Manners::Prompt | Manners::Fails => board.or(ctx.stopped()).await,
        Manners::Slow(pause) => match board.or(ctx.stopped()).await {
            None => board.or(ctx.sleep(pause)).await,
            order => order,
        },
    };
    match order {
        Some(Order::Panic) => panic!("as written"),
        Some(Order::Error) => Err("as written".into()),
        Some(Order::End) => Ok(()),
        Some(Order::Kill | Order::Crash) => unreachable!("they come from outside"),
        None if manners == Manners::Fails => Err("no manners".into()),
        None => Ok(()),
    }
}
