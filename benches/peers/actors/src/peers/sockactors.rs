//! sockactors: actors in a pool, and a supervised actor that fails.

use std::time::Duration;

use async_channel::Receiver;
use sockactors::runtime::{
    Actor, Address, Child, Context, Outcome, Pool, PoolAddress, Reply, Strategy, Supervisor,
    SupervisorAddress, System,
};

use crate::role::Role;
use crate::{Begun, MAILBOX, Peer};

const WITHIN: Duration = Duration::from_secs(60);

/// The sockactors library.
#[derive(Clone)]
pub struct Sockactors {
    pool: PoolAddress,
    crew: SupervisorAddress,
}

/// The messages of an actor.
pub enum Message {
    Tell(u64),
    Ask(u64, Reply<u64>),
    Stop,
}

struct Worker(Role<Sockactors>);

impl Actor for Worker {
    type Message = Message;

    async fn run(mut self, mut ctx: Context<Message>) -> Outcome {
        while let Some(message) = ctx.recv().await {
            match message {
                Message::Tell(number) => self.0.handle(number).await,
                Message::Ask(number, reply) => reply.send(self.0.answer(number)),
                Message::Stop => break,
            }
        }
        Ok(())
    }
}

/// An actor that fails on each message.
struct Fragile(Begun);

impl Actor for Fragile {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        self.0.tell();
        match ctx.recv().await {
            Some(()) => Err("told to fail".into()),
            None => Ok(()),
        }
    }
}

impl Peer for Sockactors {
    type Address = Address<Message>;

    const NAME: &'static str = "sockactors";

    fn run<T, F>(threads: usize, work: impl FnOnce(Self) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut tree = Supervisor::new("bench", Strategy::OneForOne);
        let pool = tree.pool(Pool::new("pool").limit(1 << 20).mailbox(MAILBOX));
        let mut crew = Supervisor::new("crew", Strategy::OneForOne).intensity(u32::MAX, WITHIN);
        let address = crew.address();
        tree.supervisor(crew);
        let peer = Sockactors { pool, crew: address };
        let (give, result) = async_channel::bounded(1);
        let work = std::sync::Mutex::new(Some(work));
        let driver = Child::new("driver", move || {
            let work = work.lock().ok().and_then(|mut work| work.take());
            let (peer, give) = (peer.clone(), give.clone());
            async move |_: Context<()>| -> Outcome {
                if let Some(work) = work {
                    // The channel has space for the only result.
                    let _ = give.try_send(work(peer).await);
                }
                Ok(())
            }
        });
        tree.child(driver.temporary().significant());
        System::new().threads(threads).run(tree).expect("the tree ends well");
        result.try_recv().expect("the driver gave its result")
    }

    async fn spawn(&self, role: Role<Self>) -> Self::Address {
        self.pool.start(Worker(role)).await.expect("the pool is open")
    }

    fn go(&self, task: impl Future<Output = ()> + Send + 'static) {
        let actor = async move |_: Context<()>| -> Outcome {
            task.await;
            Ok(())
        };
        smol::future::block_on(self.pool.start(actor)).expect("the pool is open");
    }

    async fn tell(address: &Self::Address, number: u64) {
        address.send(Message::Tell(number)).await.expect("it lives");
    }

    async fn ask(address: &Self::Address, number: u64) -> u64 {
        address.ask(WITHIN, |reply| Message::Ask(number, reply)).await.expect("it lives")
    }

    async fn stop(address: Self::Address) {
        address.send(Message::Stop).await.expect("it lives");
    }

    async fn crash(&self, lives: u64, begun: Begun, next: Receiver<()>) -> bool {
        let child = Child::new("fragile", move || Fragile(begun.clone()));
        let address = self.crew.add(child).await.expect("the crew is there");
        for _ in 0..lives {
            next.recv().await.expect("it lives");
            address.send(()).await.expect("it lives");
        }
        next.recv().await.is_ok()
    }
}
