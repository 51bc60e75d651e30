//! tokio's `mpsc` and `oneshot` without an actor crate, as in the article "Actors with Tokio".

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;

use crate::role::Role;
use crate::{MAILBOX, Peer};

/// Tasks and channels of tokio.
#[derive(Clone)]
pub struct Tokio;

/// The messages of an actor.
pub enum Message {
    Tell(u64),
    Ask(u64, oneshot::Sender<u64>),
    Stop,
}

/// Runs `work` as a task of tokio.
pub fn run<T, F>(threads: usize, work: impl FnOnce() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = match threads {
        1 => Builder::new_current_thread().enable_time().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).enable_time().build(),
    };
    let runtime = runtime.expect("tokio starts");
    let _entered = runtime.enter();
    let task = runtime.spawn(work());
    runtime.block_on(task).expect("the work ends well")
}

impl Peer for Tokio {
    type Address = Sender<Message>;

    const NAME: &'static str = "tokio mpsc + oneshot";

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        run(threads, || work(Tokio))
    }

    async fn spawn(&self, mut role: Role<Self>) -> Self::Address {
        let (sender, mut receiver) = mpsc::channel(MAILBOX);
        tokio::spawn(async move {
            while let Some(message) = receiver.recv().await {
                match message {
                    Message::Tell(number) => role.handle(number).await,
                    Message::Ask(number, reply) => drop(reply.send(role.answer(number))),
                    Message::Stop => break,
                }
            }
        });
        sender
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        Handle::current().spawn(task);
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.send(Message::Tell(number)).await.expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        let (reply, answer) = oneshot::channel();
        address.send(Message::Ask(number, reply)).await.expect("it lives");
        answer.await.expect("it answers")
    }

    async fn stop(address: Self::Address) {
        // In a ring the senders keep each other alive, so dropping this one does not suffice.
        address.send(Message::Stop).await.expect("it lives");
    }
}
