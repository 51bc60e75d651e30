//! The children of the suite: they start, live and end as they are told.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_channel::Sender;
use sockactors::runtime::{Actor, BoxError, Child, Context, Event, Outcome, Reply};

/// What a child is told.
pub enum Say {
    /// To end, as its [`End`] says.
    Stop,
    /// To fail.
    Die,
    /// To heed nothing any more.
    Sleep,
    /// Nothing: it is given a turn.
    Nothing,
    /// To tell which of its child's starts it came of, from 0.
    Extra(Reply<u32>),
}

/// What a child's start is like.
#[derive(Clone)]
pub enum Start {
    /// Like that of a child that says nothing of its start.
    Plain,
    /// The first one chooses not to run.
    IgnoreOnce,
    /// Every one but the first fails.
    FailLater,
    /// It fails with this error.
    Fail(fn() -> BoxError),
    /// It panics.
    Panic,
    /// It takes two seconds and fails, as long as the flag is set.
    Deadlock(Arc<AtomicBool>),
    /// It says hello and waits for what it is told to do.
    Handshake(Sender<Hello>),
}

/// What a child that waits in its start says.
pub struct Hello {
    pub name: String,
    pub answer: Sender<Init>,
}

/// What it is told then.
#[derive(Debug, Clone, Copy)]
pub enum Init {
    Run,
    Fail,
    Ignore,
}

/// How a child ends, asked by its supervisor or told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Well,
    /// Well, after a while.
    Slowly(Duration),
    Failing,
    Panicking,
    /// Not at all.
    Never,
}

/// One incarnation of such a child.
pub struct Scripted {
    pub start: Start,
    pub end: End,
    /// Which of its child's starts it came of, from 0.
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
    /// Tells whether it is to run.
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
            Start::Handshake(hello) => {
                let (answer, init) = async_channel::bounded(1);
                hello.send(Hello { name: ctx.path().name(), answer }).await?;
                match ctx.unless_stopped(init.recv()).await.transpose()? {
                    Some(Init::Run) => Ok(true),
                    Some(Init::Fail) => Err("no start".into()),
                    Some(Init::Ignore) | None => Ok(false),
                }
            }
        }
    }
}

/// A permanent worker with a second to stop in.
pub fn plain(name: &str) -> Child<Scripted> {
    scripted(name, Start::Plain, End::Well)
}

/// A child whose start is like that; see [`plain`] for the rest.
pub fn starting(name: &str, start: Start) -> Child<Scripted> {
    scripted(name, start, End::Well)
}

/// A child that ends like that; see [`plain`] for the rest.
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

/// The same child for a pool.
pub fn member(end: End) -> Scripted {
    Scripted { start: Start::Plain, end, nth: 0 }
}
