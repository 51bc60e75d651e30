//! xtra, on smol's executor.

use std::sync::Arc;

use smol::Executor;
use xtra::{Actor, Address, Context, Handler, Mailbox};

use super::raw::Raw;
use crate::role::Role;
use crate::{MAILBOX, Peer};

/// The xtra library.
#[derive(Clone)]
pub struct Xtra(Arc<Executor<'static>>);

/// An actor.
pub struct Worker(Role<Xtra>);

struct Tell(u64);
struct Ask(u64);
struct Stop;

impl Actor for Worker {
    type Stop = ();

    async fn stopped(self) {}
}

impl Handler<Tell> for Worker {
    type Return = ();

    async fn handle(&mut self, tell: Tell, _: &mut Context<Self>) {
        self.0.handle(tell.0).await;
    }
}

impl Handler<Ask> for Worker {
    type Return = u64;

    async fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u64 {
        self.0.answer(ask.0)
    }
}

impl Handler<Stop> for Worker {
    type Return = ();

    async fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop_self();
    }
}

impl Peer for Xtra {
    type Address = Address<Worker>;

    const NAME: &'static str = "xtra";

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Raw::run(threads, |raw| work(Xtra(raw.executor())))
    }

    async fn spawn(&self, role: Role<Self>) -> Self::Address {
        // Like `xtra::spawn_smol`, but on an executor with a known number of threads.
        let (address, mailbox) = Mailbox::bounded(MAILBOX);
        self.0.spawn(xtra::run(mailbox, Worker(role))).detach();
        address
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task).detach();
    }

    async fn tell(address: &Self::Address, number: u64) {
        // A detached send has been queued when it returns.
        drop(address.send(Tell(number)).detach().await.expect("it lives"));
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.send(Ask(number)).await.expect("it lives")
    }

    async fn stop(address: Self::Address) {
        drop(address.send(Stop).detach().await.expect("it lives"));
    }
}
