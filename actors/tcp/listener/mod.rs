//! The listener: accepts connections and starts an actor for each.
//!
//! The listening socket belongs to the tree. So a listener that crashes rejects no connection: new
//! ones wait in the kernel's backlog until it is restarted. While the pool is full nothing is
//! accepted, as in Ranch: new connections wait in the backlog instead of being accepted and
//! rejected. Without a free descriptor they are rejected, since it is not known when one will be
//! free.
//!
//! An accept error neither ends the loop nor spins it. A listener that is asked to stop accepts the
//! pending connections first, because their clients are already connected. Then it stops listening,
//! as it does once the client quota is used up, and later clients are refused by the kernel.

pub(crate) mod accept;
pub(crate) mod rejections;

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::support::accepted_connection::Connection;
use crate::actors::support::ban_list::BanList;
use crate::actors::support::client_quota::ClientQuota;
use crate::actors::support::ip_limit::PerIpLimit;
use crate::actors::support::memory_budget::MemoryBudget;
use crate::actors::support::report::Reporter;
use crate::actors::tcp::listener::accept::{AcceptState, AcceptStep, Acceptor};
use crate::actors::tcp::listener::rejections::{Rejection, RejectionMessage};
use crate::net::{AcceptError, ListeningSocket, classify};
use crate::runtime::{Actor, Context, Event, IntoActor, Outcome, PoolAddress};

/// The pause after an accept error for lack of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The number of failing connections in a row after which the listener pauses too. An error that
/// fails every connection, such as a firewall rule, may leave the connection in the backlog, where
/// it would fail again at once.
const MAX_CONSECUTIVE_FAILURES: u32 = 100;

/// An actor that accepts connections and starts an actor for each in a pool.
pub struct Listener<F, K> {
    acceptor: Acceptor<F, K>,
    reporter: Reporter,
}

impl<F, A, K> Listener<F, K>
where
    F: Fn(Connection) -> A + Send + Sync + 'static,
    A: IntoActor<K>,
{
    /// Creates a listener. `serve` turns each connection into the actor that serves it.
    pub fn new(socket: Arc<ListeningSocket>, pool: PoolAddress, serve: F) -> Listener<F, K> {
        let acceptor = Acceptor {
            socket,
            pool,
            client_quota: Arc::default(),
            per_ip_limit: None,
            memory_budget: MemoryBudget::default(),
            ban_list: Arc::default(),
            rejection_message: None,
            serve,
            kind: PhantomData,
        };
        Listener { acceptor, reporter: Reporter::disabled() }
    }

    /// Sets the limit of connections per address. By default there is none.
    pub fn per_ip_limit(mut self, per_ip_limit: Option<Arc<PerIpLimit>>) -> Listener<F, K> {
        self.acceptor.per_ip_limit = per_ip_limit;
        self
    }

    /// Sets the memory budget that new connections are charged to. By default it is unlimited.
    pub fn memory_budget(mut self, memory_budget: MemoryBudget) -> Listener<F, K> {
        self.acceptor.memory_budget = memory_budget;
        self
    }

    /// Sets the list of banned addresses. By default no address is banned.
    pub fn ban_list(mut self, ban_list: Arc<BanList>) -> Listener<F, K> {
        self.acceptor.ban_list = ban_list;
        self
    }

    /// Sets the format of the line that is sent to a rejected connection, given the reason. By
    /// default nothing is sent.
    pub fn rejection_message(mut self, message: Option<RejectionMessage>) -> Listener<F, K> {
        self.acceptor.rejection_message = message;
        self
    }

    /// Sets the client quota. Once it is used up and the pool's last child has ended, the listener
    /// ends normally. By default the number of clients is unlimited, and each incarnation numbers
    /// them from 0.
    pub fn client_quota(mut self, client_quota: Arc<ClientQuota>) -> Listener<F, K> {
        self.acceptor.client_quota = client_quota;
        self
    }

    /// Sets the reporter of rejected connections and of accept errors. By default it is disabled.
    pub fn reporter(mut self, reporter: Reporter) -> Listener<F, K> {
        self.reporter = reporter;
        self
    }

    /// Waits until a connection is pending and may be accepted, or the quota is used up.
    async fn next_event(&self) -> ListenerEvent {
        let Acceptor { socket, pool, client_quota, .. } = &self.acceptor;
        let ready = async {
            if !pool.is_full() {
                return ListenerEvent::Ready(socket.readable().await);
            }
            pool.wait_for_capacity().await;
            ListenerEvent::Ready(Ok(()))
        };
        let quota_reached = async {
            client_quota.exhausted().await;
            ListenerEvent::QuotaReached
        };
        future::or(quota_reached, ready).await
    }

    /// Waits until a connection may be pending or a report is due. Returns `false` once the
    /// listener has to end.
    async fn wait(&self, ctx: &mut Context<()>, state: &AcceptState) -> io::Result<bool> {
        let event = match state.rejections.next_due(|| ctx.now()) {
            None => ctx.next(self.next_event()).await,
            Some(delay) => {
                let sleep = ctx.sleep(delay);
                let report_due = async {
                    sleep.await;
                    ListenerEvent::ReportDue
                };
                ctx.next(future::or(self.next_event(), report_due)).await
            }
        };
        match event {
            Event::Stop | Event::Io(ListenerEvent::QuotaReached) => Ok(false),
            Event::Message(()) | Event::Io(ListenerEvent::ReportDue) => Ok(true),
            Event::Io(ListenerEvent::Ready(ready)) => ready.map(|()| true),
        }
    }

    /// Handles an accept error, or a pool that is closed for now.
    async fn on_accept_error(
        &self,
        error: io::Error,
        ctx: &mut Context<()>,
        state: &mut AcceptState,
    ) {
        let socket = &self.acceptor.socket;
        let rejected = match classify(&error) {
            AcceptError::Connection if state.consecutive_failures < MAX_CONSECUTIVE_FAILURES => {
                state.consecutive_failures += 1;
                return;
            }
            AcceptError::Connection => return ctx.sleep_unless_stopped(ACCEPT_BACKOFF).await,
            AcceptError::OutOfDescriptors => socket.reject_pending(socket.max_pending()),
            AcceptError::Resource => 0,
        };
        state.rejections.add(Rejection::AcceptError(error), None, rejected as u64);
        self.reporter.send_all(state.rejections.take_due(|| ctx.now())).await;
        ctx.sleep_unless_stopped(ACCEPT_BACKOFF).await;
    }

    /// Records that the pool has become full.
    fn report_pool_full(&self, state: &mut AcceptState) {
        let pool = &self.acceptor.pool;
        let is_full = pool.is_full();
        if is_full && !state.pool_was_full {
            state.rejections.add(Rejection::PoolFull(pool.len()), None, 1);
        }
        state.pool_was_full = is_full;
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
        let acceptor = &self.acceptor;
        acceptor.socket.resume_listening()?;
        let mut state = AcceptState::default();
        loop {
            let step = acceptor.accept_batch(&ctx, &mut state);
            self.report_pool_full(&mut state);
            if !state.rejections.is_empty() {
                self.reporter.send_all(state.rejections.take_due(|| ctx.now())).await;
            }
            let waited = match step {
                AcceptStep::Accepted => {
                    future::yield_now().await;
                    Ok(true)
                }
                AcceptStep::Wait => self.wait(&mut ctx, &state).await,
                AcceptStep::Failed(error) => Err(error),
            };
            match waited {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.on_accept_error(error, &mut ctx, &mut state).await,
            }
        }
        if ctx.is_stopping() {
            acceptor.accept_backlog(&mut state);
        }
        self.reporter.send_all(state.rejections.drain()).await;
        acceptor.socket.stop_listening()?;
        while let Event::Message(()) = ctx.next(acceptor.pool.wait_idle()).await {}
        Ok(())
    }
}

/// An event that the accept loop waits for.
enum ListenerEvent {
    /// A connection may be pending, or waiting for it failed.
    Ready(io::Result<()>),
    /// The client quota is used up.
    QuotaReached,
    /// A rejection has to be reported.
    ReportDue,
}

impl<F, K> fmt::Debug for Listener<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.acceptor.socket.endpoint())
    }
}
