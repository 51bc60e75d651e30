//! smol's executor and async-channel without an actor crate: a task that loops over a channel.

use async_channel::Sender;
use smol::Executor;
use std::sync::Arc;

use crate::role::Role;
use crate::{MAILBOX, Peer};

/// Tasks of smol and channels of async-channel.
#[derive(Clone)]
pub struct Raw(Arc<Executor<'static>>);

/// The messages of an actor.
pub enum Message {
    Tell(u64),
    Ask(u64, Sender<u64>),
}

impl Raw {
    pub(super) fn executor(&self) -> Arc<Executor<'static>> {
        self.0.clone()
    }
}

impl Peer for Raw {
    type Address = Sender<Message>;

    const NAME: &'static str = "smol + async-channel";

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let executor = Arc::new(Executor::new());
        let (_over, wait) = async_channel::bounded::<()>(1);
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let (executor, wait) = (executor.clone(), wait.clone());
                std::thread::spawn(move || smol::block_on(executor.run(wait.recv())))
            })
            .collect();
        let task = executor.spawn(work(Raw(executor.clone())));
        let result = smol::block_on(executor.run(task));
        drop(_over);
        others.into_iter().for_each(|thread| drop(thread.join()));
        result
    }

    async fn spawn(&self, mut role: Role<Self>) -> Self::Address {
        let (sender, receiver) = async_channel::bounded(MAILBOX);
        let actor = async move {
            while let Ok(message) = receiver.recv().await {
                match message {
                    Message::Tell(number) => role.handle(number).await,
                    Message::Ask(number, reply) => drop(reply.send(role.answer(number)).await),
                }
            }
        };
        self.0.spawn(actor).detach();
        sender
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task).detach();
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.send(Message::Tell(number)).await.expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        let (reply, answer) = async_channel::bounded(1);
        address.send(Message::Ask(number, reply)).await.expect("it lives");
        answer.recv().await.expect("it answers")
    }

    async fn stop(address: Self::Address) {
        // A channel closes with its last sender. In a ring the senders keep each other alive.
        address.close();
    }
}
