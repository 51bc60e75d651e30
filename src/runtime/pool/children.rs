//! The children of a pool: how they are started, counted and stopped.
//!
//! A child's task removes itself from the list when it ends. When the pool ends, the children still
//! on the list are asked to stop, and dropped when the timeout has passed.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_listener::Event;
use futures_lite::future;
use thiserror::Error;

use crate::runtime::actor::Actor;
use crate::runtime::address::Address;
use crate::runtime::context::Context;
use crate::runtime::executor::futures::{Inspect, Lazy, wait_until};
use crate::runtime::executor::worker::Placement;
use crate::runtime::lifecycle::actor_future::ActorFuture;
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::supervisor::spec::SystemEnv;
use crate::runtime::tree::node::{Node, NodeBody, ParentRef, PoolChild};
use crate::runtime::tree::path::Name;

/// The error of a pool that starts no more children, because it is being stopped.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("the pool is closed and starts no more children")]
pub struct PoolClosed;

/// The state that a pool's specification, its incarnations and its addresses share.
pub(crate) struct PoolShared {
    pub(crate) node: Arc<Node>,
    pub(crate) limit: usize,
    mailbox_capacity: usize,
    placement: Placement,
    /// Set when the tree starts.
    attachment: OnceLock<(Arc<ParentRef>, SystemEnv)>,
    is_open: AtomicBool,
    live_count: AtomicUsize,
    next_number: AtomicU64,
    /// Notified when a child ends, and when the pool closes.
    changed: Event,
    /// The number of tasks that wait for `changed`. Usually zero, which saves the notification.
    waiters: AtomicUsize,
}

impl PoolShared {
    pub(crate) fn new(
        node: Arc<Node>,
        limit: usize,
        mailbox_capacity: usize,
        placement: Placement,
    ) -> PoolShared {
        PoolShared {
            node,
            limit,
            mailbox_capacity,
            placement,
            attachment: OnceLock::new(),
            is_open: AtomicBool::new(false),
            live_count: AtomicUsize::new(0),
            next_number: AtomicU64::new(0),
            changed: Event::new(),
            waiters: AtomicUsize::new(0),
        }
    }

    pub(crate) fn attach(&self, env: &SystemEnv) {
        self.attachment
            .get_or_init(|| (ParentRef::new(self.node.path(), &env.scheduler), env.clone()));
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live_count.load(Ordering::SeqCst)
    }

    /// Counts one more child, unless the limit is reached.
    pub(crate) fn try_acquire(&self) -> Option<SlotGuard<'_>> {
        let increment = |live| (live < self.limit).then_some(live + 1);
        self.live_count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, increment).ok()?;
        Some(SlotGuard(self))
    }

    /// Starts a child in an acquired slot. Frees the slot if the child cannot be started.
    pub(crate) fn start<A: Actor>(
        self: &Arc<PoolShared>,
        slot: SlotGuard<'_>,
        actor: A,
    ) -> Result<Address<A::Message>, PoolClosed> {
        let (as_parent, env) = self.attachment.get().ok_or(PoolClosed)?;
        if !self.is_open() {
            return Err(PoolClosed);
        }
        let name = Name::Number(self.next_number.fetch_add(1, Ordering::Relaxed));
        let now = env.scheduler.now();
        let (mailbox, node) = Mailbox::with_node(self.mailbox_capacity, |weak_mailbox| {
            Node::started(name, NodeBody::Actor(weak_mailbox), as_parent, now)
        });
        env.observer.emit(|| Lifecycle::Started { path: node.path(), incarnation: 1 });

        let ctx = Context::new(mailbox.clone(), node.clone(), None);
        let incarnation = ActorFuture::new(node.clone(), Lazy::new(move || actor.run(ctx)));
        // Checked again under the list's lock: a child that is not on the list when the pool closes
        // would never be stopped. The lock is held until the child is on the list, since its task
        // looks for its entry when it ends.
        let mut children = self.node.pool_children();
        if !self.is_open() {
            drop(children);
            drop(incarnation);
            env.observer.emit(|| node.stop_event(None));
            return Err(PoolClosed);
        }
        let entry = children.vacant_entry();
        let (shared, key) = (self.clone(), entry.key());
        let task = Inspect::new(incarnation, move |exit: &Exit| shared.on_exit(key, exit));
        entry.insert(PoolChild { node, task: env.scheduler.spawn(self.placement, task) });
        // From here on the end of the child frees the slot. The guard owns nothing that could leak.
        std::mem::forget(slot);
        Ok(Address::from_mailbox(mailbox))
    }

    /// Removes a child that has ended from the list. Called by the child's task.
    fn on_exit(&self, key: usize, exit: &Exit) {
        let Some(child) = self.node.pool_children().try_remove(key) else {
            return;
        };
        let _slot = SlotGuard(self);
        // This is the handle of the running task itself, so detaching it changes nothing.
        child.task.detach();
        if let Some((_, env)) = self.attachment.get() {
            env.observer.emit(|| {
                let (path, exit) = (child.node.path(), exit.clone());
                let lost = child.node.lost_message(&exit);
                match child.node.control.is_stop_requested() {
                    true => Lifecycle::Stopped { path, exit, lost },
                    false => Lifecycle::Exited { path, exit, lost },
                }
            });
        }
    }

    fn release(&self) {
        self.live_count.fetch_sub(1, Ordering::SeqCst);
        // A waiter counts itself before it checks `live_count`, so one of the two sees the other.
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.changed.notify(usize::MAX);
        }
    }

    /// Waits until `condition` holds. The end of a child and the closing of the pool are the
    /// changes that wake it. Cancel-safe.
    pub(crate) async fn wait_until(&self, condition: impl Fn(&PoolShared) -> bool) {
        let _waiter = WaiterGuard::new(&self.waiters);
        wait_until(&self.changed, || condition(self)).await;
    }

    /// Runs one incarnation of the pool: open until the stop request, then closed until all
    /// children are gone.
    pub(crate) async fn run(self: Arc<PoolShared>, shutdown_timeout: Duration) -> Exit {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
        self.close();
        for (_, child) in self.node.pool_children().iter() {
            child.node.control.stop();
        }
        let drained = self.wait_until(|pool| pool.live_count() == 0);
        future::or(drained, self.wait_deadline(shutdown_timeout)).await;
        self.kill_remaining().await;
        Exit::Shutdown
    }

    /// Waits until the timeout has passed, or the pool is killed.
    async fn wait_deadline(&self, timeout: Duration) {
        let killed = poll_fn(|cx| self.node.control.poll_kill(cx));
        match self.attachment.get() {
            Some((_, env)) => future::or(env.scheduler.sleep(timeout), killed).await,
            None => killed.await,
        }
    }

    /// Drops the remaining children and waits for each drop.
    async fn kill_remaining(&self) {
        let remaining: Vec<PoolChild> = self.node.pool_children().drain().collect();
        for child in remaining {
            let _slot = SlotGuard(self);
            // A child that ended by itself a moment ago found no entry on the list, and did not
            // report its end.
            let exit = child.task.cancel().await;
            if let Some((_, env)) = self.attachment.get() {
                env.observer.emit(|| child.node.stop_event(exit));
            }
        }
    }
}

/// A waiter, counted until it is dropped.
struct WaiterGuard<'a>(&'a AtomicUsize);

impl<'a> WaiterGuard<'a> {
    fn new(waiters: &'a AtomicUsize) -> WaiterGuard<'a> {
        waiters.fetch_add(1, Ordering::SeqCst);
        WaiterGuard(waiters)
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An acquired slot, freed on drop. A panic on the way to the start loses no slot.
pub(crate) struct SlotGuard<'a>(&'a PoolShared);

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}
