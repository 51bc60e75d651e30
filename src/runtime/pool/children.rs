//! The children of a pool: how they start, how they are counted, and how they end together.
//!
//! A child's task takes itself off the list at its end. At the pool's end whoever is still on the list is
//! asked to stop, and dropped when the time is up.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_listener::Event;
use futures_lite::future;

use crate::runtime::executor::futures::{Inspect, Lazy};
use crate::runtime::lifecycle::actor_future::ActorFuture;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::supervisor::spec::SystemEnv;
use crate::runtime::tree::below::{NodeBody, PoolChild};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Name;
use crate::runtime::tree::place::ParentRef;
use crate::runtime::wait_until;
use crate::runtime::{Actor, Address, Context, Exit, Lifecycle, PoolClosed};

/// What a pool's specification, its incarnations and its addresses share.
pub(crate) struct PoolShared {
    pub(crate) node: Arc<Node>,
    pub(crate) limit: usize,
    mailbox_capacity: usize,
    /// Set when the tree starts.
    attachment: OnceLock<(Arc<ParentRef>, SystemEnv)>,
    is_open: AtomicBool,
    live_count: AtomicUsize,
    next_number: AtomicU64,
    /// Notified when a child ended, and when the pool closes.
    changed: Event,
    /// How many wait for that: mostly nobody, and then a child's end need not tell.
    waiters: AtomicUsize,
}

impl PoolShared {
    pub(crate) fn new(node: Arc<Node>, limit: usize, capacity: usize) -> PoolShared {
        PoolShared {
            node,
            limit,
            mailbox_capacity: capacity,
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

    /// Counts one more child if there is room for it.
    pub(crate) fn try_acquire(&self) -> Option<SlotGuard<'_>> {
        let more = |live| (live < self.limit).then_some(live + 1);
        self.live_count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(SlotGuard(self))
    }

    /// Starts a child whose place was claimed; gives the place back where it cannot.
    pub(crate) fn start<A: Actor>(
        self: &Arc<PoolShared>,
        claim: SlotGuard<'_>,
        actor: A,
    ) -> Result<Address<A::Message>, PoolClosed> {
        let (place, env) = self.attachment.get().ok_or(PoolClosed)?;
        if !self.is_open() {
            return Err(PoolClosed);
        }
        let name = Name::Number(self.next_number.fetch_add(1, Ordering::Relaxed));
        let now = env.scheduler.now();
        let (mailbox, node) = Mailbox::with_node(self.mailbox_capacity, |gauge| {
            Node::started(name, NodeBody::Actor(gauge), place, now)
        });
        env.observer.emit(|| Lifecycle::Started { path: node.path(), incarnation: 1 });

        let ctx = Context::new(mailbox.clone(), node.clone(), None);
        let guard = ActorFuture::new(node.clone(), Lazy::new(move || actor.run(ctx)));
        // Who is not on the list when the pool closes is never on it. The task looks for its place at its end, so the
        // places are locked until it has its own.
        let mut members = self.node.pool_children();
        if !self.is_open() {
            drop(members);
            drop(guard);
            env.observer.emit(|| node.stop_event(None));
            return Err(PoolClosed);
        }
        let entry = members.vacant_entry();
        let (shared, key) = (self.clone(), entry.key());
        let life = Inspect::new(guard, move |exit: &Exit| shared.on_exit(key, exit));
        entry.insert(PoolChild { node, task: env.scheduler.spawn(life) });
        // From here on the child's end gives its place back. There is nothing in the claim to be leaked.
        std::mem::forget(claim);
        Ok(Address::from_mailbox(mailbox))
    }

    /// Takes a child that ended off the list, from within its task.
    fn on_exit(&self, key: usize, exit: &Exit) {
        let Some(member) = self.node.pool_children().try_remove(key) else {
            return;
        };
        let _claim = SlotGuard(self);
        // The handle of the running task itself: letting it go changes nothing.
        member.task.detach();
        if let Some((_, env)) = self.attachment.get() {
            env.observer.emit(|| {
                let (path, exit) = (member.node.path(), exit.clone());
                let lost = member.node.lost_message(&exit);
                match member.node.control.is_stop_requested() {
                    true => Lifecycle::Stopped { path, exit, lost },
                    false => Lifecycle::Exited { path, exit, lost },
                }
            });
        }
    }

    fn release(&self) {
        self.live_count.fetch_sub(1, Ordering::SeqCst);
        // Whoever waits counts itself before it looks who lives: one of the two sees the other.
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.changed.notify(usize::MAX);
        }
    }

    /// Waits until `ready`, which a child's end or the pool's close can bring about.
    pub(crate) async fn wait_until(&self, ready: impl Fn(&PoolShared) -> bool) {
        let _waiting = WaiterGuard::new(&self.waiters);
        wait_until(&self.changed, || ready(self)).await;
    }

    /// Lives one incarnation of the pool: open until the stop, then closed until all children are gone.
    pub(crate) async fn run(self: Arc<PoolShared>, within: Duration) -> Exit {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
        self.close();
        for (_, member) in self.node.pool_children().iter() {
            member.node.control.stop();
        }
        let drained = self.wait_until(|children| children.live_count() == 0);
        future::or(drained, self.wait_deadline(within)).await;
        self.kill_remaining().await;
        Exit::Shutdown
    }

    async fn wait_deadline(&self, within: Duration) {
        let killed = poll_fn(|cx| self.node.control.poll_kill(cx));
        match self.attachment.get() {
            Some((_, env)) => future::or(env.scheduler.sleep(within), killed).await,
            None => killed.await,
        }
    }

    /// Drops the children that are left and waits for each drop.
    async fn kill_remaining(&self) {
        let left: Vec<PoolChild> = self.node.pool_children().drain().collect();
        for member in left {
            let _claim = SlotGuard(self);
            // A child that ended by itself a moment ago found its place empty and told nothing.
            let exit = member.task.cancel().await;
            if let Some((_, env)) = self.attachment.get() {
                env.observer.emit(|| member.node.stop_event(exit));
            }
        }
    }
}

/// One who waits, counted until it is dropped.
struct WaiterGuard<'a>(&'a AtomicUsize);

impl<'a> WaiterGuard<'a> {
    fn new(count: &'a AtomicUsize) -> WaiterGuard<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        WaiterGuard(count)
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A place that was claimed, given back on drop: whatever panics on the way, no place is lost.
pub(crate) struct SlotGuard<'a>(&'a PoolShared);

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}
