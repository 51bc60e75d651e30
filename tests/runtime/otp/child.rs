//! The children of the suite, which follow the test's commands.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_channel::Sender;
use sockactors::runtime::{Actor, BoxError, Child, Context, Event, Outcome, Reply};

/// A command to a child.
pub enum Say {
    /// End, as its [`End`] specifies.
    Stop,
    /// Fail.
    Die,
    /// Ignore everything from now on.
    Sleep,
    /// Nothing; only poll the child.
    Nothing,
    /// Return the number of its child's start, from 0.
    Extra(Reply<u32>),
}

/// EndBy a child starts.
#[derive(Clone)]
pub enum Start {
    /// Without reporting anything.
    Plain,
    /// The first start declines to run.
    IgnoreOnce,
    /// Every start but the first fails.
    FailLater,
    /// It fails with this error.
    Fail(fn() -> BoxError),
    /// It panics.
    Panic,
    /// It takes two seconds and fails, as long as the flag is set.
    Deadlock(Arc<AtomicBool>),
    /// It reports itself and waits for a command.
    Handshake(Sender<Ready>),
}

/// The report of a child that waits in its start.
pub struct Ready {
    pub name: String,
    pub answer: Sender<Init>,
}

/// The command that it receives then.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    Run,
    Fail,
    Ignore,
}

/// EndBy a child ends, on a command or a stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Well,
    /// Normally, after a while.
    Slowly(Duration),
    Failing,
    Panicking,
    /// Never.
    Never,
}

/// One incarnation of such a child.
pub struct Scripted {
    pub start: Start,
    pub end: End,
    /// The number of its child's start, from 0.
    pub nth: u32,
}

impl Actor for Scripted {
    type Message = Say;

    async fn run(self, mut ctx: Context<Say>) -> Outcome {
        if !self.starts(&mut ctx).await? {
            return Ok(());
        }
        ctx.ready();
        loop {
            match ctx.next(pending::<()>()).await {
                Event::Stop | Event::Message(Say::Stop) => break,
                Event::Message(Say::Die) => return Err("died".into()),
                Event::Message(Say::Sleep) => pending().await,
                Event::Message(Say::Extra(reply)) => reply.send(self.nth),
                Event::Message(Say::Nothing) | Event::Io(()) => {}
            }
        }
        match self.end {
            End::Well => Ok(()),
            End::Slowly(time) => {
                ctx.sleep(time).await;
                Ok(())
            }
            End::Failing => Err("other".into()),
            End::Panicking => panic!("on the way out"),
            End::Never => pending().await,
        }
    }
}

impl Scripted {
    /// Returns whether it is to run.
    async fn starts(&self, ctx: &mut Context<Say>) -> Result<bool, BoxError> {
        match &self.start {
            Start::Plain => Ok(true),
            Start::IgnoreOnce => Ok(self.nth > 0),
            Start::FailLater if self.nth == 0 => Ok(true),
            Start::FailLater => Err("no clause".into()),
            Start::Fail(error) => Err(error()),
            Start::Panic => panic!("fail"),
            Start::Deadlock(fails) if !fails.load(Ordering::SeqCst) => Ok(true),
            Start::Deadlock(_) => {
                ctx.sleep(Duration::from_secs(2)).await;
                Err("error".into())
            }
            Start::Handshake(ready) => {
                let (answer, init) = async_channel::bounded(1);
                ready.send(Ready { name: ctx.path().name(), answer }).await?;
                match ctx.unless_stopped(init.recv()).await.transpose()? {
                    Some(Init::Run) => Ok(true),
                    Some(Init::Fail) => Err("no start".into()),
                    Some(Init::Ignore) | None => Ok(false),
                }
            }
        }
    }
}

/// Returns a permanent worker with a shutdown timeout of one second.
pub fn plain(name: &str) -> Child<Scripted> {
    scripted(name, Start::Plain, End::Well)
}

/// Returns a child with this start. See [`plain`] for the rest.
pub fn starting(name: &str, start: Start) -> Child<Scripted> {
    scripted(name, start, End::Well)
}

/// Returns a child with this end. See [`plain`] for the rest.
pub fn ending(name: &str, end: End) -> Child<Scripted> {
    scripted(name, Start::Plain, end)
}

fn scripted(name: &str, start: Start, end: End) -> Child<Scripted> {
    let says_itself = !matches!(start, Start::Plain);
    let starts = AtomicU32::new(0);
    let child = Child::new(name.to_owned(), move || Scripted {
        start: start.clone(),
        end,
        nth: starts.fetch_add(1, Ordering::SeqCst),
    });
    let child = child.shutdown(super::support::within(1000));
    if says_itself { child.ready_within(None) } else { child }
}

/// Returns the same child for a pool.
pub fn member(end: End) -> Scripted {
    Scripted { start: Start::Plain, end, nth: 0 }
}
