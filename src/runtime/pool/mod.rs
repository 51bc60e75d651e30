//! Pools: supervisors of many similar, short-lived children.
//!
//! A pool is Erlang/OTP's `simple_one_for_one`. Its children are started one by one at run time,
//! one for each connection for example. They are temporary and have numbers for names, and a crash
//! of one affects no other. Starting a child sends no message: the caller spawns its task. The pool
//! counts its children, and stops them all at the same time, with one timeout.

pub(crate) mod children;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smol::Task;

use crate::runtime::actor::{Actor, IntoActor};
use crate::runtime::address::Address;
use crate::runtime::executor::worker::Placement;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::lifecycle::panic;
use crate::runtime::pool::children::{PoolClosed, PoolShared, SlotGuard};
use crate::runtime::supervisor::options::{ChildOptions, Restart, Shutdown, StartMode};
use crate::runtime::supervisor::spec;
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::tree::node::{Node, NodeBody, ParentRef};
use crate::runtime::tree::path::Name;

/// The maximum number of live children, unless [`Pool::limit`] sets another.
const DEFAULT_LIMIT: usize = 1024;

/// The number of messages that fit into each child's mailbox, unless [`Pool::mailbox`] sets
/// another.
const DEFAULT_MAILBOX_CAPACITY: usize = 1;

/// The time that all children together have to stop, unless [`Pool::shutdown`] sets another.
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A specification of a supervisor of many similar, short-lived children, with a limit.
#[derive(Debug)]
pub struct Pool {
    name: Name,
    limit: usize,
    mailbox_capacity: usize,
    shutdown_timeout: Duration,
    placement: Placement,
}

impl Pool {
    /// Specifies a pool for up to 1024 children, with a mailbox for one message each and 5 seconds
    /// for all of them to stop.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Pool {
        Pool {
            name: Name::from_text(name),
            limit: DEFAULT_LIMIT,
            mailbox_capacity: DEFAULT_MAILBOX_CAPACITY,
            shutdown_timeout: DEFAULT_SHUTDOWN_TIMEOUT,
            placement: Placement::Spread,
        }
    }

    /// Sets the maximum number of live children (at least 1). Default: 1024.
    pub fn limit(mut self, limit: usize) -> Pool {
        self.limit = limit.max(1);
        self
    }

    /// Sets the capacity of each child's mailbox in messages (at least 1). Default: 1. The memory
    /// is allocated when it is first used.
    pub fn mailbox(mut self, capacity: usize) -> Pool {
        self.mailbox_capacity = capacity;
        self
    }

    /// Sets the time that all children together have to stop. The rest is then dropped. Default: 5
    /// seconds.
    pub fn shutdown(mut self, timeout: Duration) -> Pool {
        self.shutdown_timeout = timeout;
        self
    }

    /// Sets the worker threads on which the children run. Default: [`Placement::Spread`].
    pub fn on(mut self, placement: Placement) -> Pool {
        self.placement = placement;
        self
    }

    pub(crate) fn build(self) -> (PoolAddress, Arc<dyn ChildSpec>) {
        let shared = Arc::new(PoolShared::new(
            Node::new(self.name, NodeBody::pool()),
            self.limit,
            self.mailbox_capacity,
            self.placement,
        ));
        let options = ChildOptions {
            restart: Restart::Permanent,
            shutdown: Shutdown::Infinity,
            significant: false,
            start_mode: StartMode::OnCreate,
            placement: Placement::Parent,
        };
        let shutdown_timeout = self.shutdown_timeout;
        let spec = PoolSpec { shared: shared.clone(), options, shutdown_timeout };
        (PoolAddress(shared), Arc::new(spec))
    }
}

/// A cheap, cloneable handle that starts children in a pool. It stays valid over restarts.
#[derive(Clone)]
pub struct PoolAddress(Arc<PoolShared>);

impl PoolAddress {
    /// Starts a child and returns its address. Waits while the pool is full. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The pool is being stopped, or is not in a running tree.
    pub async fn start<K, I: IntoActor<K>>(
        &self,
        actor: I,
    ) -> Result<Address<<I::Actor as Actor>::Message>, PoolClosed> {
        loop {
            if let Some(permit) = self.try_reserve()? {
                return permit.start(actor);
            }
            self.wait_for_capacity().await;
        }
    }

    /// Reserves a slot for a child, if one is free. The slot is freed when the permit is dropped.
    ///
    /// # Errors
    ///
    /// The pool is being stopped, or is not in a running tree.
    pub(crate) fn try_reserve(&self) -> Result<Option<PoolPermit<'_>>, PoolClosed> {
        if !self.0.is_open() {
            return Err(PoolClosed);
        }
        Ok(self.0.try_acquire().map(|slot| PoolPermit { pool: &self.0, slot }))
    }

    /// Waits until a child can be started, or the pool is closed. Cancel-safe.
    pub async fn wait_for_capacity(&self) {
        self.0.wait_until(|pool| pool.live_count() < pool.limit || !pool.is_open()).await;
    }

    /// Waits until no child is alive, or the pool is closed. Cancel-safe.
    pub async fn wait_idle(&self) {
        self.0.wait_until(|pool| pool.live_count() == 0 || !pool.is_open()).await;
    }

    /// Returns the number of live children.
    pub fn len(&self) -> usize {
        self.0.live_count()
    }

    /// Returns whether no child is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.len() >= self.0.limit
    }
}

impl fmt::Debug for PoolAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolAddress({}/{})", self.len(), self.0.limit)
    }
}

/// A reserved slot in a pool for one child. It is freed on drop.
pub(crate) struct PoolPermit<'a> {
    pool: &'a Arc<PoolShared>,
    slot: SlotGuard<'a>,
}

impl PoolPermit<'_> {
    /// Starts the child and returns its address.
    pub(crate) fn start<K, I: IntoActor<K>>(
        self,
        actor: I,
    ) -> Result<Address<<I::Actor as Actor>::Message>, PoolClosed> {
        self.pool.start(self.slot, actor.into_actor())
    }
}

/// A [`Pool`] with its node and its children.
struct PoolSpec {
    shared: Arc<PoolShared>,
    options: ChildOptions,
    shutdown_timeout: Duration,
}

impl ChildSpec for PoolSpec {
    fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    fn options(&self) -> &ChildOptions {
        &self.options
    }

    fn attach(&self, parent: &Arc<ParentRef>, env: &SystemEnv) {
        self.shared.node.attach(parent);
        self.shared.attach(env);
    }

    fn launch(&self, env: &SystemEnv, notifier: ParentNotifier) -> Task<Exit> {
        // The pool opens before it reports its start: an observer of the start may start children.
        self.shared.open();
        notifier.ready(&self.shared.node);
        let incarnation = self.shared.clone().run(self.shutdown_timeout);
        spec::spawn(env, Placement::Parent, panic::catch_runtime_panic(incarnation), notifier)
    }

    fn close(&self) {
        self.shared.close();
    }
}
