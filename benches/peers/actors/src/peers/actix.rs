//! actix, with one or two arbiters.
//!
//! `do_send` never waits, since it ignores the bound of the mailbox. Handlers are not futures, so
//! an actor sends with `do_send` too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use async_channel::Receiver;
use smol::future::{block_on, poll_once};

use crate::role::Role;
use crate::{Begun, Peer};

/// The actix library.
#[derive(Clone)]
pub struct Actix {
    arbiters: Arc<[ArbiterHandle]>,
    next: Arc<AtomicUsize>,
}

/// An actor.
pub struct Worker(Role<Actix>);

#[derive(Message)]
#[rtype(result = "()")]
struct Tell(u64);

#[derive(Message)]
#[rtype(result = "u64")]
struct Ask(u64);

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Tell> for Worker {
    type Result = ();

    fn handle(&mut self, tell: Tell, _: &mut Context<Self>) {
        // This future is ready at once, since nothing in it waits.
        block_on(poll_once(self.0.handle(tell.0)));
    }
}

impl Handler<Ask> for Worker {
    type Result = u64;

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u64 {
        self.0.answer(ask.0)
    }
}

impl Handler<Stop> for Worker {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

struct Fragile(Begun);

impl Actor for Fragile {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.0.tell();
    }
}

impl Supervised for Fragile {}

impl Handler<Stop> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Peer for Actix {
    type Address = Addr<Worker>;

    const NAME: &'static str = "actix";

    const BOUNDED: bool = false;

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let runner = System::new();
        let own = System::current().arbiter().clone();
        let others: Vec<Arbiter> = (1..threads).map(|_| Arbiter::new()).collect();
        let arbiters = others.iter().map(Arbiter::handle).chain([own]).collect();
        let peer = Actix { arbiters, next: Arc::default() };
        let task = runner.block_on(async { actix::spawn(work(peer)) });
        let result = runner.block_on(task).expect("the work ends well");
        for arbiter in others {
            arbiter.stop();
            let _ = arbiter.join();
        }
        result
    }

    async fn spawn(&self, role: Role<Self>) -> Self::Address {
        if let [_] = &self.arbiters[..] {
            return Worker(role).start();
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.arbiters.len();
        Worker::start_in_arbiter(&self.arbiters[next], |_| Worker(role))
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        actix::spawn(task);
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.do_send(Tell(number));
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.send(Ask(number)).await.expect("it lives")
    }

    async fn stop(address: Self::Address) {
        address.do_send(Stop);
    }

    async fn crash(&self, lives: u64, begun: Begun, next: Receiver<()>) -> bool {
        let address = Supervisor::start(move |_| Fragile(begun));
        for _ in 0..lives {
            next.recv().await.expect("it lives");
            address.do_send(Stop);
        }
        next.recv().await.is_ok()
    }
}
