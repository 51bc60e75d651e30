//! The listener: accepts connections and starts an actor for each.
//!
//! The listening socket belongs to the tree, so a listener that crashes refuses nobody: what arrives
//! meanwhile waits in the kernel's backlog. While the pool is full nothing is accepted, as in Ranch:
//! newcomers wait in the backlog instead of being let in and turned away. Where descriptors have run out
//! they are turned away, since nobody knows when there will be some. An error of accept never ends the
//! loop and never spins it. A listener that is asked to stop lets in those who wait, since they are
//! connected as far as they know. Then it closes the door, as one does that has admitted all that it
//! should: whoever comes later is refused at once.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::{Admissions, Bans, Connection, PerAddress, Report, Reporter};
use crate::net::{AcceptError, ListeningSocket, classify};
use crate::runtime::{Actor, Context, Event, IntoActor, Outcome, PoolAddress};
use rejections::Refusal;

pub(crate) mod accept;
pub(crate) mod crowd;
pub(crate) mod rejections;

use accept::{Door, Step};

/// How long the listener waits when the system has no descriptors or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(100);

/// After so many connections in a row that failed at accept the listener waits as well: where each of them fails, what
/// forbids it need not take them off the queue, and the same one would fail again at once.
const FAILED_IN_A_ROW: u32 = 100;

/// Makes the line for whoever may not stay, of why.
pub type Parting = fn(&str) -> String;

/// Accepts connections and starts an actor for each, in a pool.
pub struct Listener<F, K> {
    socket: Arc<ListeningSocket>,
    pool: PoolAddress,
    admissions: Arc<Admissions>,
    per_address: Option<Arc<PerAddress>>,
    bans: Arc<Bans>,
    parting: Option<Parting>,
    reporter: Reporter,
    serve: F,
    kind: PhantomData<fn() -> K>,
}

impl<F, A, K> Listener<F, K>
where
    F: Fn(Connection) -> A + Send + Sync + 'static,
    A: IntoActor<K>,
{
    /// Makes a listener whose `serve` turns each connection into the actor that is started for it.
    pub fn new(socket: Arc<ListeningSocket>, pool: PoolAddress, serve: F) -> Listener<F, K> {
        let (admissions, reporter) = (Arc::default(), Reporter::nobody());
        let (per_address, bans, parting, kind) = (None, Arc::default(), None, PhantomData);
        Listener { socket, pool, admissions, per_address, bans, parting, reporter, serve, kind }
    }

    /// Sets how many connections each address may have at once; without this it may have any number.
    pub fn per_address(mut self, per_address: Option<Arc<PerAddress>>) -> Listener<F, K> {
        self.per_address = per_address;
        self
    }

    /// Sets which addresses are turned away; without this none is.
    pub fn bans(mut self, bans: Arc<Bans>) -> Listener<F, K> {
        self.bans = bans;
        self
    }

    /// Sets what is said to whoever may not stay, made of why; without this nothing is.
    pub fn parting(mut self, parting: Option<Parting>) -> Listener<F, K> {
        self.parting = parting;
        self
    }

    /// Sets who may come: once the admissions are complete and the pool's last child has ended, the
    /// listener ends normally. Without this it admits everybody, numbered anew by each incarnation.
    pub fn admissions(mut self, admissions: Arc<Admissions>) -> Listener<F, K> {
        self.admissions = admissions;
        self
    }

    /// Sets who hears that connections cannot be accepted; nobody unless said.
    pub fn reporter(mut self, reporter: Reporter) -> Listener<F, K> {
        self.reporter = reporter;
        self
    }

    /// Waits until somebody comes, or may come in.
    async fn knock(&self) -> Knock {
        let come = async {
            if !self.pool.is_full() {
                return Knock::Come(self.socket.readable().await);
            }
            self.pool.wait_for_capacity().await;
            Knock::Come(Ok(()))
        };
        let complete = async {
            self.admissions.complete().await;
            Knock::Complete
        };
        future::or(complete, come).await
    }

    /// Waits until there may be somebody to be let in; `false` once the listener is to come to its end.
    async fn wait(&self, ctx: &mut Context<()>, door: &Door) -> io::Result<bool> {
        let knock = match door.refused.0.due(|| ctx.now()) {
            None => ctx.next(self.knock()).await,
            Some(left) => {
                let due = ctx.sleep(left);
                let due = async {
                    due.await;
                    Knock::Due
                };
                ctx.next(future::or(self.knock(), due)).await
            }
        };
        match knock {
            Event::Stop | Event::Io(Knock::Complete) => Ok(false),
            Event::Message(()) | Event::Io(Knock::Due) => Ok(true),
            Event::Io(Knock::Come(come)) => come.map(|()| true),
        }
    }

    /// Does what an error of accept calls for, or a pool that is closed for now.
    async fn failed(&self, error: io::Error, ctx: &mut Context<()>, door: &mut Door) {
        let turned_away = match classify(&error) {
            AcceptError::Connection if door.failed < FAILED_IN_A_ROW => {
                door.failed += 1;
                return;
            }
            AcceptError::Connection => return ctx.sleep_unless_stopped(BACK_OFF).await,
            AcceptError::OutOfDescriptors => self.socket.reject_pending(self.socket.max_pending()),
            AcceptError::Resource => 0,
        };
        door.refused.add(Refusal::Stuck, turned_away as u64, None, error.to_string());
        self.tell(door.refused.due_now(ctx)).await;
        ctx.sleep_unless_stopped(BACK_OFF).await;
    }

    /// Notes that the pool has become full.
    fn look_for_room(&self, door: &mut Door) {
        let is_full = self.pool.is_full();
        if is_full && !door.was_full {
            let open = self.pool.len();
            let why = format!("{open} connections are open, as many as may be; new ones wait");
            door.refused.add(Refusal::Full, 1, None, why);
        }
        door.was_full = is_full;
    }

    /// Tells who was refused.
    async fn tell(&self, refused: Vec<Report>) {
        for report in refused {
            self.reporter.tell(|| report).await;
        }
    }
}

impl<F, A, K> Actor for Listener<F, K>
where
    F: Fn(Connection) -> A + Send + Sync + 'static,
    A: IntoActor<K>,
    K: 'static,
{
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        self.socket.resume_listening()?;
        let mut door = Door::default();
        loop {
            let step = self.let_in(&ctx, &mut door);
            self.look_for_room(&mut door);
            if !door.refused.0.is_quiet() {
                self.tell(door.refused.due_now(&ctx)).await;
            }
            let waited = match step {
                Step::In => {
                    future::yield_now().await;
                    Ok(true)
                }
                Step::Wait => self.wait(&mut ctx, &door).await,
                Step::Failed(error) => Err(error),
            };
            match waited {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.failed(error, &mut ctx, &mut door).await,
            }
        }
        if ctx.is_stopping() {
            self.let_the_last_in(&mut door);
        }
        self.tell(door.refused.rest()).await;
        self.socket.stop_listening()?;
        while let Event::Message(()) = ctx.next(self.pool.wait_idle()).await {}
        Ok(())
    }
}

/// What happens at the door.
enum Knock {
    Come(io::Result<()>),
    /// All that should come have come.
    Complete,
    /// Something is to be told.
    Due,
}

impl<F, K> fmt::Debug for Listener<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.socket.endpoint())
    }
}
