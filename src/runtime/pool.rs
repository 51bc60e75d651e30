//! Pools: many alike, short-lived children.
//!
//! A pool is what Erlang/OTP calls `simple_one_for_one`: its children are started one by one at run time
//! (a connection each), are temporary, and have numbers for names. A crash of one touches no other. Starting
//! one costs no message: the caller spawns it, and the pool only keeps count and brings the rest to their
//! end, all at the same time under one limit.

use std::borrow::Cow;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use event_listener::Event;
use futures_lite::future;
use smol::Task;
use thiserror::Error;

use super::child::{self, Env, Notice, Options, Restart, Shutdown, Spec};
use super::guard::Guard;
use super::mailbox::Mailbox;
use super::path::Name;
use super::tree::{Kind, Member, Node};
use super::{Actor, Address, Context, Exit, IntoActor, Lifecycle, Path};

/// The pool is being stopped and starts no more children.
#[derive(Error, Debug, Clone, Copy, PartialEq, Eq)]
#[error("the pool is closed and starts no more children")]
pub struct PoolClosed;

/// A supervisor of many alike, short-lived children, with a limit.
#[derive(Debug)]
pub struct Pool {
    name: Name,
    limit: usize,
    capacity: usize,
    shutdown: Duration,
}

impl Pool {
    /// Specifies a pool for at most 1024 children, with a mailbox for one message each and 5 seconds for
    /// all of them to stop in.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Pool {
        Pool {
            name: Name::Text(name.into()),
            limit: 1024,
            capacity: 1,
            shutdown: Duration::from_secs(5),
        }
    }

    /// Sets how many children live at once at most (at least 1).
    pub fn limit(mut self, limit: usize) -> Pool {
        self.limit = limit.max(1);
        self
    }

    /// Sets how many messages wait in each child's mailbox at most. The memory is taken for each child.
    pub fn mailbox(mut self, capacity: usize) -> Pool {
        self.capacity = capacity;
        self
    }

    /// Sets how long the children may take to stop, all together, before the rest is dropped.
    pub fn shutdown(mut self, within: Duration) -> Pool {
        self.shutdown = within;
        self
    }

    pub(crate) fn build(self) -> (PoolAddress, Box<dyn Spec>) {
        let shared = Arc::new(Shared {
            node: Node::new(self.name, Kind::Pool, None),
            limit: self.limit,
            capacity: self.capacity,
            place: OnceLock::new(),
            open: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            changed: Event::new(),
        });
        let options = Options {
            restart: Restart::Permanent,
            shutdown: Shutdown::Forever,
            significant: false,
        };
        let spec = PoolSpec { shared: shared.clone(), options, within: self.shutdown };
        (PoolAddress(shared), Box::new(spec))
    }
}

struct Shared {
    node: Arc<Node>,
    limit: usize,
    capacity: usize,
    /// Set when the tree starts.
    place: OnceLock<(Arc<Path>, Env)>,
    open: AtomicBool,
    live: AtomicUsize,
    next: AtomicU64,
    /// Notified when a child ended, and when the pool opens or closes.
    changed: Event,
}

/// Where a pool's children are started: a cheap, cloneable handle. It stays valid over restarts.
#[derive(Clone)]
pub struct PoolAddress(Arc<Shared>);

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
        while !self.0.claim() {
            if !self.0.open.load(Ordering::SeqCst) {
                return Err(PoolClosed);
            }
            self.room().await;
        }
        self.0.start(actor.into_actor())
    }

    /// Waits until a child can be started, or the pool is closed. Cancel-safe.
    pub async fn room(&self) {
        self.0.wait(|shared| shared.live.load(Ordering::SeqCst) < shared.limit).await;
    }

    /// Waits until no child lives. Cancel-safe.
    pub async fn idle(&self) {
        self.0.wait(|shared| shared.live.load(Ordering::SeqCst) == 0).await;
    }

    /// Returns how many children live.
    pub fn len(&self) -> usize {
        self.0.live.load(Ordering::SeqCst)
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

impl Shared {
    /// Counts one more child if there is room for it.
    fn claim(&self) -> bool {
        let more = |live| (live < self.limit).then_some(live + 1);
        self.live.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    fn start<A: Actor>(self: &Arc<Shared>, actor: A) -> Result<Address<A::Message>, PoolClosed> {
        let (Some((path, env)), true) = (self.place.get(), self.open.load(Ordering::SeqCst)) else {
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
        if !self.open.load(Ordering::SeqCst) {
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

    async fn wait(&self, ready: impl Fn(&Shared) -> bool) {
        let over = || ready(self) || !self.open.load(Ordering::SeqCst);
        while !over() {
            let changed = self.changed.listen();
            if over() {
                return;
            }
            changed.await;
        }
    }

    /// Lives one incarnation of the pool: open until the stop, then closed until all children are gone.
    async fn live(self: Arc<Shared>, within: Duration) -> Exit {
        poll_fn(|cx| self.node.control.poll_stop(cx)).await;
        self.open.store(false, Ordering::SeqCst);
        self.changed.notify(usize::MAX);
        for (_, member) in self.node.members().iter() {
            member.node.control.stop();
        }
        future::or(self.drained(), self.deadline(within)).await;
        self.kill().await;
        Exit::Shutdown
    }

    async fn drained(&self) {
        while self.live.load(Ordering::SeqCst) > 0 {
            let changed = self.changed.listen();
            if self.live.load(Ordering::SeqCst) == 0 {
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

/// A [`Pool`] with its place.
struct PoolSpec {
    shared: Arc<Shared>,
    options: Options,
    within: Duration,
}

impl Spec for PoolSpec {
    fn node(&self) -> &Arc<Node> {
        &self.shared.node
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn attach(&self, parent: Option<&Arc<Path>>, env: &Env) {
        self.shared.node.attach(parent);
        self.shared.place.get_or_init(|| (Arc::new(self.shared.node.path()), env.clone()));
    }

    fn launch(&self, env: &Env, notice: Notice) -> Task<Exit> {
        // It is open before its task first runs, for the children that are started right behind it.
        self.shared.open.store(true, Ordering::SeqCst);
        child::spawn(env, self.shared.clone().live(self.within), notice)
    }

    fn retire(&self) {
        self.shared.open.store(false, Ordering::SeqCst);
        self.shared.changed.notify(usize::MAX);
    }
}
