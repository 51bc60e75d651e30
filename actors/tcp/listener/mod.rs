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

use crate::actors::{BanList, ClientQuota, Connection, PerIpLimit, Report, Reporter};
use crate::net::{AcceptError, ListeningSocket, classify};
use crate::runtime::{Actor, Context, Event, IntoActor, Outcome, PoolAddress};
use rejections::RejectReason;

pub(crate) mod accept;
pub(crate) mod crowd;
pub(crate) mod rejections;

use accept::{AcceptState, AcceptStep};

/// How long the listener waits when the system has no descriptors or memory for another connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// After so many connections in a row that failed at accept the listener waits as well: where each of them fails, what
/// forbids it need not take them off the queue, and the same one would fail again at once.
const MAX_CONSECUTIVE_FAILURES: u32 = 100;

/// Makes the line for whoever may not stay, of why.
pub type RejectionMessage = fn(&str) -> String;

/// Accepts connections and starts an actor for each, in a pool.
pub struct Listener<F, K> {
    socket: Arc<ListeningSocket>,
    pool: PoolAddress,
    client_quota: Arc<ClientQuota>,
    per_ip_limit: Option<Arc<PerIpLimit>>,
    ban_list: Arc<BanList>,
    rejection_message: Option<RejectionMessage>,
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
        let (admissions, reporter) = (Arc::default(), Reporter::disabled());
        let (per_address, bans, parting, kind) = (None, Arc::default(), None, PhantomData);
        Listener {
            socket,
            pool,
            client_quota: admissions,
            per_ip_limit: per_address,
            ban_list: bans,
            rejection_message: parting,
            reporter,
            serve,
            kind,
        }
    }

    /// Sets how many connections each address may have at once; without this it may have any number.
    pub fn per_ip_limit(mut self, per_address: Option<Arc<PerIpLimit>>) -> Listener<F, K> {
        self.per_ip_limit = per_address;
        self
    }

    /// Sets which addresses are turned away; without this none is.
    pub fn ban_list(mut self, bans: Arc<BanList>) -> Listener<F, K> {
        self.ban_list = bans;
        self
    }

    /// Sets what is said to whoever may not stay, made of why; without this nothing is.
    pub fn rejection_message(mut self, parting: Option<RejectionMessage>) -> Listener<F, K> {
        self.rejection_message = parting;
        self
    }

    /// Sets who may come: once the admissions are complete and the pool's last child has ended, the
    /// listener ends normally. Without this it admits everybody, numbered anew by each incarnation.
    pub fn client_quota(mut self, admissions: Arc<ClientQuota>) -> Listener<F, K> {
        self.client_quota = admissions;
        self
    }

    /// Sets who hears that connections cannot be accepted; nobody unless said.
    pub fn reporter(mut self, reporter: Reporter) -> Listener<F, K> {
        self.reporter = reporter;
        self
    }

    /// Waits until somebody comes, or may come in.
    async fn next_event(&self) -> ListenerEvent {
        let come = async {
            if !self.pool.is_full() {
                return ListenerEvent::Ready(self.socket.readable().await);
            }
            self.pool.wait_for_capacity().await;
            ListenerEvent::Ready(Ok(()))
        };
        let complete = async {
            self.client_quota.exhausted().await;
            ListenerEvent::QuotaReached
        };
        future::or(complete, come).await
    }

    /// Waits until there may be somebody to be let in; `false` once the listener is to come to its end.
    async fn wait(&self, ctx: &mut Context<()>, door: &AcceptState) -> io::Result<bool> {
        let knock = match door.rejections.0.next_due(|| ctx.now()) {
            None => ctx.next(self.next_event()).await,
            Some(left) => {
                let due = ctx.sleep(left);
                let due = async {
                    due.await;
                    ListenerEvent::ReportDue
                };
                ctx.next(future::or(self.next_event(), due)).await
            }
        };
        match knock {
            Event::Stop | Event::Io(ListenerEvent::QuotaReached) => Ok(false),
            Event::Message(()) | Event::Io(ListenerEvent::ReportDue) => Ok(true),
            Event::Io(ListenerEvent::Ready(come)) => come.map(|()| true),
        }
    }

    /// Does what an error of accept calls for, or a pool that is closed for now.
    async fn on_accept_error(
        &self,
        error: io::Error,
        ctx: &mut Context<()>,
        door: &mut AcceptState,
    ) {
        let turned_away = match classify(&error) {
            AcceptError::Connection if door.consecutive_failures < MAX_CONSECUTIVE_FAILURES => {
                door.consecutive_failures += 1;
                return;
            }
            AcceptError::Connection => return ctx.sleep_unless_stopped(ACCEPT_BACKOFF).await,
            AcceptError::OutOfDescriptors => self.socket.reject_pending(self.socket.max_pending()),
            AcceptError::Resource => 0,
        };
        door.rejections.add(RejectReason::AcceptError, turned_away as u64, None, error.to_string());
        self.send_reports(door.rejections.take_due(ctx)).await;
        ctx.sleep_unless_stopped(ACCEPT_BACKOFF).await;
    }

    /// Notes that the pool has become full.
    fn report_pool_full(&self, door: &mut AcceptState) {
        let is_full = self.pool.is_full();
        if is_full && !door.pool_was_full {
            let open = self.pool.len();
            let why = format!("{open} connections are open, as many as may be; new ones wait");
            door.rejections.add(RejectReason::PoolFull, 1, None, why);
        }
        door.pool_was_full = is_full;
    }

    /// Tells who was refused.
    async fn send_reports(&self, refused: Vec<Report>) {
        for report in refused {
            self.reporter.send(|| report).await;
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
        let mut door = AcceptState::default();
        loop {
            let step = self.accept_batch(&ctx, &mut door);
            self.report_pool_full(&mut door);
            if !door.rejections.0.is_empty() {
                self.send_reports(door.rejections.take_due(&ctx)).await;
            }
            let waited = match step {
                AcceptStep::Accepted => {
                    future::yield_now().await;
                    Ok(true)
                }
                AcceptStep::Wait => self.wait(&mut ctx, &door).await,
                AcceptStep::Failed(error) => Err(error),
            };
            match waited {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.on_accept_error(error, &mut ctx, &mut door).await,
            }
        }
        if ctx.is_stopping() {
            self.accept_backlog(&mut door);
        }
        self.send_reports(door.rejections.drain()).await;
        self.socket.stop_listening()?;
        while let Event::Message(()) = ctx.next(self.pool.wait_idle()).await {}
        Ok(())
    }
}

/// What happens at the door.
enum ListenerEvent {
    Ready(io::Result<()>),
    /// All that should come have come.
    QuotaReached,
    /// Something is to be told.
    ReportDue,
}

impl<F, K> fmt::Debug for Listener<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.socket.endpoint())
    }
}
