//! What actors cost, with sockactors and with others: the same work for each of them.
//!
//! A [`Peer`] is a way to have actors. It says in its own manner, as its documentation advises, how an actor is started,
//! told, asked and stopped; what the actors do is a [`Role`], and what is measured is a [`works::Work`], both written
//! once for all of them.

#![forbid(unsafe_code)]

pub mod chart;
pub mod meter;
pub mod peers;
pub mod role;
pub mod table;
pub mod works;

use std::future::Future;

use role::Role;

/// So many messages wait in a bounded mailbox.
pub const MAILBOX: usize = 64;

/// Told at each start of an actor that fails.
#[derive(Clone)]
pub struct Begun(async_channel::Sender<()>);

impl Begun {
    /// Makes one, and what waits for the starts.
    pub fn new() -> (Begun, async_channel::Receiver<()>) {
        let (begun, next) = async_channel::bounded(MAILBOX);
        (Begun(begun), next)
    }

    /// Tells of a start.
    pub fn tell(&self) {
        // There is one start at a time.
        let _ = self.0.try_send(());
    }
}

/// A way to have actors.
pub trait Peer: Clone + Send + Sync + 'static {
    /// Where an actor is told and asked.
    type Address: Clone + Send + Sync + 'static;

    /// Its name in the tables.
    const NAME: &'static str;

    /// Whether a sender waits for room; the queue behind [`Peer::tell`] is endless otherwise.
    const BOUNDED: bool = true;

    /// Runs `work` as a task, on so many threads, until it ends.
    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static;

    /// Starts an actor.
    fn spawn(&self, role: Role<Self>) -> impl Future<Output = Self::Address> + Send;

    /// Has a task run that is no actor.
    fn go(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Sends a message, as soon as there is room.
    fn tell(address: &Self::Address, number: u64) -> impl Future<Output = ()> + Send;

    /// Sends a message and waits for the answer.
    fn ask(address: &Self::Address, number: u64) -> impl Future<Output = u64> + Send;

    /// Has an actor end; it may end later.
    fn stop(address: Self::Address) -> impl Future<Output = ()> + Send;

    /// Starts a supervised actor that fails at each message, and tells it as often as `lives` says, each time when it
    /// has been started again. `begun` is told at each start. Returns false where there is no such thing.
    fn crash(
        &self,
        _lives: u64,
        _begun: Begun,
        _next: async_channel::Receiver<()>,
    ) -> impl Future<Output = bool> + Send {
        async { false }
    }
}
