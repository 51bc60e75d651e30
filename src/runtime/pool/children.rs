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

use crate::runtime::executor::futures::{Lazy, Then};
use crate::runtime::lifecycle::actor_future::Guard;
use crate::runtime::mailbox::Mailbox;
use crate::runtime::supervisor::spec::Env;
use crate::runtime::tree::below::{Below, Member};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Name;
use crate::runtime::tree::place::Place;
use crate::runtime::until;
use crate::runtime::{Actor, Address, Context, Exit, Lifecycle, PoolClosed};

/// What a pool's specification, its incarnations and its addresses share.
pub(crate) struct Children {
    pub(crate) node: Arc<Node>,
    pub(crate) limit: usize,
    capacity: usize,
    /// Set when the tree starts.
    place: OnceLock<(Arc<Place>, Env)>,
    open: AtomicBool,
    live: AtomicUsize,
    next: AtomicU64,
    /// Notified when a child ended, and when the pool closes.
    changed: Event,
    /// How many wait for that: mostly nobody, and then a child's end need not tell.
    waiting: AtomicUsize,
}

impl Children {
    pub(crate) fn new(node: Arc<Node>, limit: usize, capacity: usize) -> Children {
        Children {
            node,
            limit,
            capacity,
            place: OnceLock::new(),
            open: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            changed: Event::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn attach(&self, env: &Env) {
        self.place.get_or_init(|| (Place::below(self.node.path(), &env.scheduler), env.clone()));
    }

    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Counts one more child if there is room for it.
    pub(crate) fn claim(&self) -> Option<Claim<'_>> {
        let more = |live| (live < self.limit).then_some(live + 1);
        self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        Some(Claim(self))
    }

    /// Starts a child whose place was claimed; gives the place back where it cannot.
    pub(crate) fn start<A: Actor>(
        self: &Arc<Children>,
        claim: Claim<'_>,
        actor: A,
    ) -> Result<Address<A::Message>, PoolClosed> {
        let (place, env) = self.place.get().ok_or(PoolClosed)?;
        if !self.is_open() {
            return Err(PoolClosed);
        }
        let name = Name::Number(self.next.fetch_add(1, Ordering::Relaxed));
        let now = env.scheduler.now();
        let (mailbox, node) = Mailbox::of_child(self.capacity, |gauge| {
            Node::begun(name, Below::Nothing(gauge), place, now)
        });
        env.observer.tell(|| Lifecycle::Started { path: node.path(), incarnation: 1 });

        let ctx = Context::new(mailbox.clone(), node.clone(), None);
        let guard = Guard::new(node.clone(), Lazy::new(move || actor.run(ctx)));
        // Who is not on the list when the pool closes is never on it. The task looks for its place at its end, so the
        // places are locked until it has its own.
        let mut members = self.node.members();
        if !self.is_open() {
            drop(members);
            drop(guard);
            env.observer.tell(|| node.told_of_stop(None));
            return Err(PoolClosed);
        }
        let entry = members.vacant_entry();
        let (shared, key) = (self.clone(), entry.key());
        let life = Then::new(guard, move |exit: &Exit| shared.ended(key, exit));
        entry.insert(Member { node, task: env.scheduler.spawn(life) });
        // From here on the child's end gives its place back. There is nothing in the claim to be leaked.
        std::mem::forget(claim);
        Ok(Address::of(mailbox))
    }

    /// Takes a child that ended off the list, from within its task.
    fn ended(&self, key: usize, exit: &Exit) {
        let Some(member) = self.node.members().try_remove(key) else {
            return;
        };
        let _claim = Claim(self);
        // The handle of the running task itself: letting it go changes nothing.
        member.task.detach();
        if let Some((_, env)) = self.place.get() {
            env.observer.tell(|| {
                let (path, exit) = (member.node.path(), exit.clone());
                let lost = member.node.lost(&exit);
                match member.node.control.is_stop() {
                    true => Lifecycle::Stopped { path, exit, lost },
                    false => Lifecycle::Exited { path, exit, lost },
                }
            });
        }
    }

    fn release(&self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        // Whoever waits counts itself before it looks who lives: one of the two sees the other.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify(usize::MAX);
        }
    }

    /// Waits until `ready`, which a child's end or the pool's close can bring about.
    pub(crate) async fn wait(&self, ready: impl Fn(&Children) -> bool) {
        let _waiting = Waiting::new(&self.waiting);
        until(&self.changed, || ready(self)).await;
    }

    /// Lives one incarnation of the pool: open until the stop, then closed until all children are gone.
    pub(crate) async fn run(self: Arc<Children>, within: Duration) -> Exit {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
        self.close();
        for (_, member) in self.node.members().iter() {
            member.node.control.stop();
        }
        let drained = self.wait(|children| children.live() == 0);
        future::or(drained, self.deadline(within)).await;
        self.kill().await;
        Exit::Shutdown
    }

    async fn deadline(&self, within: Duration) {
        let killed = poll_fn(|cx| self.node.control.poll_kill(cx));
        match self.place.get() {
            Some((_, env)) => future::or(env.scheduler.sleep(within), killed).await,
            None => killed.await,
        }
    }

    /// Drops the children that are left and waits for each drop.
    async fn kill(&self) {
        let left: Vec<Member> = self.node.members().drain().collect();
        for member in left {
            let _claim = Claim(self);
            // A child that ended by itself a moment ago found its place empty and told nothing.
            let exit = member.task.cancel().await;
            if let Some((_, env)) = self.place.get() {
                env.observer.tell(|| member.node.told_of_stop(exit));
            }
        }
    }
}

/// One who waits, counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Waiting<'a> {
        count.fetch_add(1, Ordering::SeqCst);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A place that was claimed, given back on drop: whatever panics on the way, no place is lost.
pub(crate) struct Claim<'a>(&'a Children);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}
