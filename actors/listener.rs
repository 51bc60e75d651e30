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

use super::refused::{Refusal, Refused};
use super::{Admissions, Bans, Connection, PerAddress, Report, Reporter, Visit};
use crate::net::{AcceptError, ListeningSocket, Peer, Stream, classify};
use crate::runtime::{Actor, Context, Event, IntoActor, Outcome, PoolAddress, PoolClosed, Sleep};

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

    /// Counts a connection by its address; an error says why it may not stay.
    fn visit(&self, stream: &Stream) -> Result<Option<Visit>, (Refusal, String)> {
        if self.bans.hold_peer(stream.peer()) {
            return Err((Refusal::Banned, "this address is banned".into()));
        }
        let Some(per_address) = &self.per_address else { return Ok(None) };
        match per_address.admit(stream.peer()) {
            None => {
                let limit = per_address.limit();
                let why =
                    format!("{limit} connections of this address are open, as many as may be");
                Err((Refusal::TooMany, why))
            }
            visit => Ok(visit),
        }
    }

    /// Judges a connection, and makes the actor that serves it.
    fn admit(&self, stream: Stream) -> Admitted<A> {
        let visit = match self.visit(&stream) {
            Ok(visit) => visit,
            Err((refusal, why)) => {
                if let Some(parting) = self.parting {
                    // A new connection has room for a line; one that has none is not waited for.
                    let _ = stream.try_write(parting(&why).as_bytes());
                }
                return Admitted::Refused(refusal, stream.peer().clone(), why);
            }
        };
        let Some(number) = self.admissions.admit() else { return Admitted::TooLate };
        Admitted::As((self.serve)(Connection { stream, number, visit }))
    }

    /// Lets in those who wait, where there is room. A crowd that goes on coming does not put off the end.
    async fn let_in_who_waits(&self, refused: &mut Refused) {
        for _ in 0..self.socket.most_waiting() {
            if self.pool.is_full() || self.admissions.is_complete() {
                break;
            }
            match self.socket.try_accept() {
                Ok(stream) => match self.admit(stream) {
                    Admitted::As(actor) => drop(future::poll_once(self.pool.start(actor)).await),
                    Admitted::Refused(why, peer, words) => refused.add(why, 1, Some(peer), words),
                    Admitted::TooLate => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => match classify(&error) {
                    AcceptError::Connection => {}
                    AcceptError::Descriptors | AcceptError::Resource => break,
                },
            }
        }
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

    /// Accepts when the pool has room.
    async fn accept(&self, due: Option<Sleep>) -> Knock {
        let accept = async {
            self.pool.room().await;
            Knock::Accepted(self.socket.accept().await)
        };
        let complete = async {
            self.admissions.complete().await;
            Knock::Complete
        };
        let come = future::or(complete, accept);
        match due {
            None => come.await,
            Some(due) => {
                let due = async {
                    due.await;
                    Knock::Due
                };
                future::or(come, due).await
            }
        }
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
        self.socket.open_door()?;
        let (mut was_full, mut refused, mut failed) = (false, Refused::default(), 0);
        loop {
            let full = self.pool.is_full();
            if full && !was_full {
                let why = format!(
                    "{} connections are open, as many as may be; new ones wait",
                    self.pool.len()
                );
                refused.add(Refusal::Full, 1, None, why);
            }
            was_full = full;
            self.tell(refused.due_now(&ctx)).await;
            let due = refused.0.due(|| ctx.now()).map(|left| ctx.sleep(left));
            match ctx.next(self.accept(due)).await {
                Event::Stop | Event::Io(Knock::Complete) => break,
                Event::Message(()) | Event::Io(Knock::Due) => {}
                Event::Io(Knock::Accepted(Ok(stream))) => {
                    failed = 0;
                    // Nothing is awaited while the connection is in hand: a crash here would lose it.
                    let start = match self.admit(stream) {
                        Admitted::As(actor) => self.pool.start(actor),
                        Admitted::Refused(why, peer, words) => {
                            refused.add(why, 1, Some(peer), words);
                            continue;
                        }
                        Admitted::TooLate => continue,
                    };
                    // Where there is room it is started, whether or not a stop came in between.
                    let start = async { Some(start.await) };
                    let stopped = async {
                        ctx.stopped().await;
                        None
                    };
                    if let Some(Err(PoolClosed)) = future::or(start, stopped).await {
                        break;
                    }
                }
                Event::Io(Knock::Accepted(Err(error))) => match classify(&error) {
                    AcceptError::Connection if failed < FAILED_IN_A_ROW => failed += 1,
                    AcceptError::Connection => ctx.pause(BACK_OFF).await,
                    out_of => {
                        let turned_away = match out_of {
                            AcceptError::Descriptors => {
                                self.socket.turn_away(self.socket.most_waiting())
                            }
                            _ => 0,
                        };
                        refused.add(Refusal::Stuck, turned_away as u64, None, error.to_string());
                        self.tell(refused.due_now(&ctx)).await;
                        ctx.pause(BACK_OFF).await;
                    }
                },
            }
        }
        if ctx.is_stopping() {
            self.let_in_who_waits(&mut refused).await;
        }
        self.tell(refused.rest()).await;
        self.socket.close_door()?;
        while let Event::Message(()) = ctx.next(self.pool.idle()).await {}
        Ok(())
    }
}

/// What happens at the door.
enum Knock {
    Accepted(io::Result<Stream>),
    /// All that should come have come.
    Complete,
    /// Something is to be told.
    Due,
}

/// What became of a connection.
enum Admitted<A> {
    /// It has an actor, which is to be started.
    As(A),
    /// It may not stay, for a reason and in words.
    Refused(Refusal, Peer, String),
    /// All that should come have come.
    TooLate,
}

impl<F, K> fmt::Debug for Listener<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.socket.endpoint())
    }
}
