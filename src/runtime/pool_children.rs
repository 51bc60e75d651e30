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

use super::child::Env;
use super::guard::Guard;
use super::mailbox::Mailbox;
use super::path::Name;
use super::tree::{Kind, Member, Node};
use super::{Actor, Address, Context, Exit, Lifecycle, Path, PoolClosed};

/// What a pool's specification, its incarnations and its addresses share.
pub(super) struct Children {
    pub(super) node: Arc<Node>,
    pub(super) limit: usize,
    capacity: usize,
    /// Set when the tree starts.
    place: OnceLock<(Arc<Path>, Env)>,
    open: AtomicBool,
    live: AtomicUsize,
    next: AtomicU64,
    /// Notified when a child ended, and when the pool opens or closes.
    changed: Event,
}

impl Children {
    pub(super) fn new(node: Arc<Node>, limit: usize, capacity: usize) -> Children {
        Children {
            node,
            limit,
            capacity,
            place: OnceLock::new(),
            open: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            changed: Event::new(),
        }
    }

    pub(super) fn attach(&self, env: &Env) {
        self.place.get_or_init(|| (Arc::new(self.node.path()), env.clone()));
    }

    pub(super) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    pub(super) fn close(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Counts one more child if there is room for it.
    pub(super) fn claim(&self) -> bool {
        let more = |live| (live < self.limit).then_some(live + 1);
        self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    pub(super) fn start<A: Actor>(
        self: &Arc<Children>,
        actor: A,
    ) -> Result<Address<A::Message>, PoolClosed> {
        let (Some((path, env)), true) = (self.place.get(), self.is_open()) else {
            self.release();
            return Err(PoolClosed);
        };
        let mailbox = Mailbox::new(self.capacity);
        mailbox.attach(&env.scheduler);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let node = Node::new(Name::Number(number), Kind::Actor, Some(mailbox.clone()));
        node.attach(Some(path));
        node.begin(env.scheduler.now());
        env.observer.tell(|| Lifecycle::Started { path: node.path(), incarnation: 1 });
        let ctx = Context::new(mailbox.clone(), node.clone(), env.scheduler.clone());
        let guard = Guard::new(node.clone(), actor.run(ctx));
        let address = Address::of(mailbox.clone());
        let shared = self.clone();

        // The task looks for its place at its end, so the place is locked until it is taken.
        let mut members = self.node.members();
        let entry = members.vacant_entry();
        let key = entry.key();
        let task = env.scheduler.spawn(async move {
            let exit = guard.await;
            mailbox.close();
            shared.ended(key, &exit);
            exit
        });
        // A stop that came meanwhile did not see this child yet.
        if !self.is_open() {
            node.control.stop();
        }
        entry.insert(Member { node, task: Some(task) });
        Ok(address)
    }

    /// Takes a child that ended off the list, from within its task.
    fn ended(&self, key: usize, exit: &Exit) {
        let Some(member) = self.node.members().try_remove(key) else {
            return;
        };
        // The handle of the running task itself: letting it go changes nothing.
        if let Some(task) = member.task {
            task.detach();
        }
        if let Some((_, env)) = self.place.get() {
            let path = || member.node.path();
            env.observer.tell(|| match member.node.control.is_stop() {
                true => Lifecycle::Stopped { path: path(), exit: exit.clone() },
                false => Lifecycle::Exited { path: path(), exit: exit.clone() },
            });
        }
        self.release();
    }

    fn release(&self) {
        self.live.fetch_sub(1, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
    }

    pub(super) async fn wait(&self, ready: impl Fn(&Children) -> bool) {
        let over = || ready(self) || !self.is_open();
        while !over() {
            let changed = self.changed.listen();
            if over() {
                return;
            }
            changed.await;
        }
    }

    /// Lives one incarnation of the pool: open until the stop, then closed until all children are gone.
    pub(super) async fn run(self: Arc<Children>, within: Duration) -> Exit {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
        self.close();
        for (_, member) in self.node.members().iter() {
            member.node.control.stop();
        }
        future::or(self.drained(), self.deadline(within)).await;
        self.kill().await;
        Exit::Shutdown
    }

    async fn drained(&self) {
        while self.live() > 0 {
            let changed = self.changed.listen();
            if self.live() == 0 {
                return;
            }
            changed.await;
        }
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
            let Some(task) = member.task else { continue };
            // A child that ended by itself a moment ago found its place empty and told nothing.
            let exit = task.cancel().await;
            if let Some((_, env)) = self.place.get() {
                let path = member.node.path();
                env.observer.tell(|| match exit {
                    Some(exit) => Lifecycle::Stopped { path, exit },
                    None => Lifecycle::Killed { path },
                });
            }
            self.release();
        }
    }
}
