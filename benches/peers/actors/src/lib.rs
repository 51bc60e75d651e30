//! Measures actors of sockactors and of other crates with the same workloads.
//!
//! A [`Peer`] starts, sends to, asks and stops actors as its documentation advises. A [`Role`] is
//! the behaviour of an actor, and a [`works::Work`] is a workload. Both are written once for all
//! peers.

#![forbid(unsafe_code)]

pub mod chart;
pub mod meter;
pub mod peers;
pub mod role;
pub mod table;
pub mod works;

use std::future::Future;

use role::Role;

/// The capacity of a bounded mailbox.
pub const MAILBOX: usize = 64;

/// Reports each start of a crashing actor.
#[derive(Clone)]
pub struct Begun(async_channel::Sender<()>);

impl Begun {
    /// Creates one, and the receiver of the starts.
    pub fn new() -> (Begun, async_channel::Receiver<()>) {
        let (begun, next) = async_channel::bounded(MAILBOX);
        (Begun(begun), next)
    }

    /// Reports a start.
    pub fn tell(&self) {
        // There is at most one unread start.
        let _ = self.0.try_send(());
    }
}

/// An actor library.
pub trait Peer: Clone + Send + Sync + 'static {
    /// The address of an actor.
    type Address: Clone + Send + Sync + 'static;

    /// The name in the tables.
    const NAME: &'static str;

    /// Whether the mailbox is bounded, so that [`Peer::tell`] waits while it is full.
    const BOUNDED: bool = true;

    /// Runs `work` as a task on `threads` threads until it returns.
    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static;

    /// Starts an actor.
    fn spawn(&self, role: Role<Self>) -> impl Future<Output = Self::Address> + Send;

    /// Spawns a task that is not an actor.
    fn go(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Sends a message, and waits while the mailbox is full.
    fn tell(address: &Self::Address, number: u64) -> impl Future<Output = ()> + Send;

    /// Sends a message and waits for the answer.
    fn ask(address: &Self::Address, number: u64) -> impl Future<Output = u64> + Send;

    /// Requests the stop of an actor, which may end later.
    fn stop(address: Self::Address) -> impl Future<Output = ()> + Send;

    /// Starts a supervised actor that fails on each message, and sends it `lives` messages.
    ///
    /// Each message is sent after the restart. `begun` reports each start. Returns false if the
    /// library has no supervision.
    fn crash(
        &self,
        _lives: u64,
        _begun: Begun,
        _next: async_channel::Receiver<()>,
    ) -> impl Future<Output = bool> + Send {
        async { false }
    }
}
