//! Pools: many alike, short-lived children.
//!
//! A pool is what Erlang/OTP calls `simple_one_for_one`: its children are started one by one at run time
//! (a connection each), are temporary, and have numbers for names. A crash of one touches no other. Starting
//! one costs no message: the caller spawns it, and the pool only keeps count and brings the rest to their
//! end, all at the same time under one limit.

pub(crate) mod children;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smol::Task;
use thiserror::Error;

use super::lifecycle::notifier::ParentNotifier;
use super::lifecycle::panic;
use super::supervisor::options::{ChildOptions, Restart, Shutdown, StartMode};
use super::supervisor::spec;
use super::supervisor::spec::{ChildSpec, SystemEnv};
use super::tree::below::NodeBody;
use super::tree::node::Node;
use super::tree::path::Name;
use super::tree::place::ParentRef;
use super::{Actor, Address, Exit, IntoActor};
use children::{PoolShared, SlotGuard};

/// The pool is being stopped and starts no more children.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("the pool is closed and starts no more children")]
pub struct PoolClosed;

/// A supervisor of many alike, short-lived children, with a limit.
#[derive(Debug)]
pub struct Pool {
    name: Name,
    limit: usize,
    mailbox_capacity: usize,
    shutdown: Duration,
}

impl Pool {
    /// Specifies a pool for at most 1024 children, with a mailbox for one message each and 5 seconds for
    /// all of them to stop in.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Pool {
        Pool {
            name: Name::from_text(name),
            limit: 1024,
            mailbox_capacity: 1,
            shutdown: Duration::from_secs(5),
        }
    }

    /// Sets how many children live at once at most (at least 1).
    pub fn limit(mut self, limit: usize) -> Pool {
        self.limit = limit.max(1);
        self
    }

    /// Sets how many messages wait in each child's mailbox at most. The memory is taken when it is
    /// first used.
    pub fn mailbox(mut self, capacity: usize) -> Pool {
        self.mailbox_capacity = capacity;
        self
    }

    /// Sets how long the children may take to stop, all together, before the rest is dropped.
    pub fn shutdown(mut self, within: Duration) -> Pool {
        self.shutdown = within;
        self
    }

    pub(crate) fn build(self) -> (PoolAddress, Arc<dyn ChildSpec>) {
        let shared = Arc::new(PoolShared::new(
            Node::new(self.name, NodeBody::pool()),
            self.limit,
            self.mailbox_capacity,
        ));
        let options = ChildOptions {
            restart: Restart::Permanent,
            shutdown: Shutdown::Infinity,
            significant: false,
            start_mode: StartMode::OnCreate,
        };
        let spec = PoolSpec { shared: shared.clone(), options, shutdown_timeout: self.shutdown };
        (PoolAddress(shared), Arc::new(spec))
    }
}

/// Where a pool's children are started: a cheap, cloneable handle. It stays valid over restarts.
#[derive(Clone)]
pub struct PoolAddress(Arc<PoolShared>);

impl PoolAddress {
    /// Starts a child, waiting while the pool is full, and returns its address.
    ///
    /// # Errors
    ///
    /// The pool is being stopped, or was never in a running tree.
    pub async fn start<K, I: IntoActor<K>>(
        &self,
        actor: I,
    ) -> Result<Address<<I::Actor as Actor>::Message>, PoolClosed> {
        loop {
            if let Some(vacancy) = self.try_reserve()? {
                return vacancy.start(actor);
            }
            self.wait_for_capacity().await;
        }
    }

    /// Takes a place for a child that is to come, if there is one; whoever waits for room waits for its drop too.
    pub(crate) fn try_reserve(&self) -> Result<Option<PoolPermit<'_>>, PoolClosed> {
        if !self.0.is_open() {
            return Err(PoolClosed);
        }
        Ok(self.0.try_acquire().map(|claim| PoolPermit { pool: &self.0, slot: claim }))
    }

    /// Waits until a child can be started, or the pool is closed. Cancel-safe.
    pub async fn wait_for_capacity(&self) {
        self.0
            .wait_until(|children| children.live_count() < children.limit || !children.is_open())
            .await;
    }

    /// Waits until no child lives. Cancel-safe.
    pub async fn wait_idle(&self) {
        self.0.wait_until(|children| children.live_count() == 0 || !children.is_open()).await;
    }

    /// Returns how many children live.
    pub fn len(&self) -> usize {
        self.0.live_count()
    }

    /// Tells whether no child lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether as many children live as may.
    pub fn is_full(&self) -> bool {
        self.len() >= self.0.limit
    }
}

impl fmt::Debug for PoolAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolAddress({}/{})", self.len(), self.0.limit)
    }
}

/// A place in a pool for one child, given back on drop.
pub(crate) struct PoolPermit<'a> {
    pool: &'a Arc<PoolShared>,
    slot: SlotGuard<'a>,
}

impl PoolPermit<'_> {
    /// Starts the child, and returns its address.
    pub(crate) fn start<K, I: IntoActor<K>>(
        self,
        actor: I,
    ) -> Result<Address<<I::Actor as Actor>::Message>, PoolClosed> {
        self.pool.start(self.slot, actor.into_actor())
    }
}

/// A [`Pool`] with its place.
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

    fn attach(&self, place: &Arc<ParentRef>, env: &SystemEnv) {
        self.shared.node.attach(place);
        self.shared.attach(env);
    }

    fn launch(&self, env: &SystemEnv, notice: ParentNotifier) -> Task<Exit> {
        // Open before its start is told: whoever learns of it may start children.
        self.shared.open();
        notice.ready(&self.shared.node);
        spec::spawn(
            env,
            panic::catch_runtime_panic(self.shared.clone().run(self.shutdown_timeout)),
            notice,
        )
    }

    fn close(&self) {
        self.shared.close();
    }
}
