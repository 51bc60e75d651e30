//! kameo, on tokio.

use std::time::Duration;

use async_channel::Receiver;
use kameo::error::Infallible;
use kameo::prelude::*;
use kameo::supervision::RestartPolicy;

use super::tokio::run;
use crate::role::Role;
use crate::{Begun, Peer};

/// The kameo library.
#[derive(Clone)]
pub struct Kameo;

/// An actor with the default mailbox of kameo, which holds 64 messages.
#[derive(Actor)]
pub struct Worker(Role<Kameo>);

struct Tell(u64);
struct Ask(u64);

impl Message<Tell> for Worker {
    type Reply = ();

    async fn handle(&mut self, tell: Tell, _: &mut Context<Self, ()>) {
        self.0.handle(tell.0).await;
    }
}

impl Message<Ask> for Worker {
    type Reply = u64;

    async fn handle(&mut self, ask: Ask, _: &mut Context<Self, u64>) -> u64 {
        self.0.answer(ask.0)
    }
}

#[derive(Actor)]
struct Keeper;

struct Fragile;

impl Actor for Fragile {
    type Args = Begun;
    type Error = Infallible;

    async fn on_start(begun: Self::Args, _: ActorRef<Self>) -> Result<Self, Infallible> {
        begun.tell();
        Ok(Fragile)
    }
}

struct Fail;

impl Message<Fail> for Fragile {
    type Reply = Result<(), &'static str>;

    async fn handle(&mut self, _: Fail, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Err("told to fail")
    }
}

impl Peer for Kameo {
    type Address = ActorRef<Worker>;

    const NAME: &'static str = "kameo";

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        run(threads, || work(Kameo))
    }

    async fn spawn(&self, role: Role<Self>) -> Self::Address {
        Worker::spawn(Worker(role))
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.tell(Tell(number)).await.expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.ask(Ask(number)).await.expect("it answers")
    }

    async fn stop(address: Self::Address) {
        address.stop_gracefully().await.expect("it lives");
    }

    async fn crash(&self, lives: u64, begun: Begun, next: Receiver<()>) -> bool {
        let keeper = Keeper::spawn(Keeper);
        let fragile = Fragile::supervise(&keeper, begun)
            .restart_policy(RestartPolicy::Permanent)
            .restart_limit(u32::MAX, Duration::from_secs(60))
            .spawn()
            .await;
        for _ in 0..lives {
            next.recv().await.expect("it lives");
            fragile.tell(Fail).await.expect("it lives");
        }
        let is_alive = next.recv().await.is_ok();
        keeper.stop_gracefully().await.expect("it lives");
        is_alive
    }
}
