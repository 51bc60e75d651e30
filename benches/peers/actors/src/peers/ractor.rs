//! ractor, on tokio. Its mailboxes are unbounded.

use async_channel::Receiver;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use super::tokio::run;
use crate::role::Role;
use crate::{Begun, Peer};

/// The ractor library.
#[derive(Clone)]
pub struct Ractor;

/// The messages of an actor.
pub enum Message {
    Tell(u64),
    Ask(u64, RpcReplyPort<u64>),
}

struct Worker;

impl Actor for Worker {
    type Msg = Message;
    type State = Role<Ractor>;
    type Arguments = Role<Ractor>;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        role: Role<Ractor>,
    ) -> Result<Role<Ractor>, ActorProcessingErr> {
        Ok(role)
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        role: &mut Role<Ractor>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tell(number) => role.handle(number).await,
            Message::Ask(number, reply) => reply.send(role.answer(number))?,
        }
        Ok(())
    }
}

/// An actor that fails on each message.
#[derive(Clone)]
struct Fragile(Begun);

impl Actor for Fragile {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<()>, (): (), (): &mut ()) -> Result<(), ActorProcessingErr> {
        Err("told to fail".into())
    }
}

/// The supervisor, which restarts the actor and sends to it.
struct Keeper(Fragile);

impl Actor for Keeper {
    type Msg = ();
    type State = Option<ActorRef<()>>;
    type Arguments = ();

    async fn pre_start(
        &self,
        own: ActorRef<()>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        let (child, _) = Actor::spawn_linked(None, self.0.clone(), (), own.into()).await?;
        self.0.0.tell();
        Ok(Some(child))
    }

    async fn handle(
        &self,
        _: ActorRef<()>,
        (): (),
        child: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A reference is valid for one incarnation. Only the supervisor gets the next one.
        if let Some(child) = child {
            child.cast(())?;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        own: ActorRef<()>,
        event: SupervisionEvent,
        child: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(..) = event {
            *child = Some(Actor::spawn_linked(None, self.0.clone(), (), own.into()).await?.0);
            self.0.0.tell();
        }
        Ok(())
    }
}

impl Peer for Ractor {
    type Address = ActorRef<Message>;

    const NAME: &'static str = "ractor";

    const BOUNDED: bool = false;

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        run(threads, || work(Ractor))
    }

    async fn spawn(&self, role: Role<Self>) -> Self::Address {
        Actor::spawn(None, Worker, role).await.expect("it starts").0
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.cast(Message::Tell(number)).expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        ractor::call!(address, Message::Ask, number).expect("it answers")
    }

    async fn stop(address: Self::Address) {
        address.stop(None);
    }

    async fn crash(&self, lives: u64, begun: Begun, next: Receiver<()>) -> bool {
        let (keeper, _) = Actor::spawn(None, Keeper(Fragile(begun)), ()).await.expect("it starts");
        for _ in 0..lives {
            next.recv().await.expect("it lives");
            keeper.cast(()).expect("it lives");
        }
        let is_alive = next.recv().await.is_ok();
        keeper.stop(None);
        is_alive
    }
}
