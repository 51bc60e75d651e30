//! The system: what a tree runs on.
//!
//! A [`System`] owns the executor and its threads, turns signals into stops, runs the root supervisor and
//! hands the lifecycle events to an observer. It ends when the root does. There can be several in one
//! process, each with an executor of its own; nothing here is global but the panic hook.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use super::child::{Env, Notice, Spec};
use super::lifecycle::Observer;
use super::scheduler::Scheduler;
use super::tree::{Node, Snapshot};
use super::{Exit, Lifecycle, Supervisor, guard};

/// How long a tree may take to fall once a second signal has come.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// Why a system came to an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its tree finished: a significant child ended, or a handle asked for the stop.
    Finished,
    /// A signal asked for the stop; its number.
    Signalled(i32),
    /// A second signal dropped every actor at once; its number.
    Killed(i32),
}

/// What a tree runs on: executor threads, signals, the root supervisor, the lifecycle events.
#[derive(Debug, Default)]
pub struct System {
    threads: usize,
    signals: bool,
    observer: Observer,
    on_usr1: Option<OnUsr1>,
    handle: Handle,
}

struct OnUsr1(Box<dyn Fn(&Snapshot) + Send>);

impl fmt::Debug for OnUsr1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// A cheap, cloneable handle to a system, from before it runs until after it has ended.
#[derive(Debug, Clone, Default)]
pub struct Handle(Arc<Root>);

#[derive(Debug, Default)]
struct Root {
    node: OnceLock<(Arc<Node>, Scheduler)>,
    /// The signal that asked for the stop, or 0.
    signal: AtomicI32,
    /// Whether a second signal came.
    killed: AtomicBool,
    /// A stop that came before the tree was there.
    early: AtomicBool,
}

impl Handle {
    /// Asks the tree to stop in order; a tree that does not run yet stops as soon as it does.
    pub fn stop(&self) {
        self.0.early.store(true, Ordering::SeqCst);
        if let Some((root, _)) = self.0.node.get() {
            root.control.stop();
        }
    }

    /// Drops every actor at once.
    pub fn kill(&self) {
        if let Some((root, _)) = self.0.node.get() {
            root.control.kill();
        }
    }

    /// Returns the tree as it is now; none before it runs.
    pub fn tree(&self) -> Option<Snapshot> {
        self.0.node.get().map(|(root, scheduler)| root.snapshot(scheduler.now()))
    }

    /// Makes the actor at `path` panic at its next turn: a drill, to see its supervisor at work.
    ///
    /// Returns whether there is such an actor.
    pub fn crash(&self, path: &str) -> bool {
        let node = self.0.node.get().and_then(|(root, _)| root.find(path));
        let actor = node.filter(|node| node.kind == super::Kind::Actor);
        actor.is_some_and(|actor| {
            actor.control.crash();
            true
        })
    }
}

#[cfg(feature = "testing")]
impl Handle {
    /// Makes one of the live actors panic, which `draw` chooses among so many; tells if there was one.
    fn crash_any(&self, draw: impl FnOnce(usize) -> usize) -> bool {
        let mut actors = Vec::new();
        if let Some((root, _)) = self.0.node.get() {
            root.actors(&mut actors);
        }
        if actors.is_empty() {
            return false;
        }
        actors[draw(actors.len())].control.crash();
        true
    }
}

impl System {
    /// Makes a system with one thread that heeds no signal.
    pub fn new() -> System {
        System { threads: 1, ..System::default() }
    }

    /// Sets how many threads run actors (at least 1; [`System::run`]'s own is one of them). A second one
    /// costs small messages more than it gives, since each may wake the other.
    pub fn threads(mut self, threads: usize) -> System {
        self.threads = threads.max(1);
        self
    }

    /// Heeds signals: SIGINT and SIGTERM ask for an orderly stop, and drop every actor at once when they
    /// come again. An actor that still blocks its thread a second later goes down with the process, whose
    /// exit code is then 128 and the signal's number.
    pub fn signals(mut self) -> System {
        self.signals = true;
        self
    }

    /// Hands a snapshot of the tree to `show` at each SIGUSR1. Implies [`System::signals`].
    pub fn on_usr1(mut self, show: impl Fn(&Snapshot) + Send + 'static) -> System {
        self.signals = true;
        self.on_usr1 = Some(OnUsr1(Box::new(show)));
        self
    }

    /// Calls `watch` at each lifecycle event, where it happens: it must be quick. May be said repeatedly.
    pub fn observe(mut self, watch: impl Fn(&Lifecycle) + Send + Sync + 'static) -> System {
        self.observer = self.observer.and(watch);
        self
    }

    /// Returns a handle that stops, inspects and drills this system from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a tree on this thread until it ends.
    ///
    /// # Errors
    ///
    /// The exit of the root supervisor where it is abnormal: it gave up, or a significant child failed.
    pub fn run(self, tree: Supervisor) -> Result<Ended, Exit> {
        // Before anything runs: whoever sees the tree at work may send a signal.
        let signals = self.signals.then(|| take_signals(self.on_usr1.is_some())).flatten();
        let (scheduler, threads, root) = (Scheduler::real(), self.threads, self.handle.0.clone());
        let signals = signals.map(|taken| heed(taken, root, self.on_usr1));
        launch(&self.handle, self.observer, &scheduler, tree, |task| {
            drive(&scheduler, threads, task, signals)
        })
    }

    /// Runs a tree in a world of its own, where actors crash at random; see [`crate::testing`].
    #[cfg(feature = "testing")]
    pub(crate) fn simulate(
        self,
        tree: Supervisor,
        seed: u64,
        crashes: f64,
        at_most: u64,
    ) -> Result<Ended, Exit> {
        let world = super::world::World::new(seed);
        let scheduler = Scheduler::Simulated(world.clone());
        let (handle, mut left) = (self.handle.clone(), at_most);
        launch(&self.handle, self.observer, &scheduler, tree, |task| {
            world.run(task, |world| {
                if left > 0 && crashes > 0.0 && world.chance() < crashes {
                    left -= u64::from(handle.crash_any(|count| world.below(count)));
                }
            })
        })
    }
}

/// Starts a tree, has `drive` bring it to its end, and says how that was.
fn launch(
    handle: &Handle,
    observer: Observer,
    scheduler: &Scheduler,
    tree: Supervisor,
    drive: impl FnOnce(smol::Task<Exit>) -> Exit,
) -> Result<Ended, Exit> {
    guard::install_hook();
    let env = Env { scheduler: scheduler.clone(), observer };
    let root = tree.build();
    root.attach(None, &env);
    root.plan.node.begin(env.scheduler.now());
    // Each system runs one tree, so nothing was set before.
    drop(handle.0.node.set((root.plan.node.clone(), env.scheduler.clone())));
    if handle.0.early.load(Ordering::SeqCst) {
        root.plan.node.control.stop();
    }
    let path = root.plan.node.path();
    env.observer.tell(|| Lifecycle::Started { path: path.clone(), incarnation: 1 });
    let (exits, _nobody) = async_channel::bounded(1);
    let task = root.launch(&env, Notice { child: 0, incarnation: 1, exits });
    let exit = drive(task);
    root.retire();
    env.observer.tell(|| Lifecycle::Stopped { path, exit: exit.clone() });
    match (exit.is_normal(), handle.0.signal.load(Ordering::SeqCst)) {
        (false, _) => Err(exit),
        (true, 0) => Ok(Ended::Finished),
        (true, signal) if handle.0.killed.load(Ordering::SeqCst) => Ok(Ended::Killed(signal)),
        (true, signal) => Ok(Ended::Signalled(signal)),
    }
}

/// Drives the executor with `threads` threads until the root has ended, beside one for the signals.
fn drive(
    scheduler: &Scheduler,
    threads: usize,
    root: smol::Task<Exit>,
    signals: Option<impl Future<Output = ()> + Send>,
) -> Exit {
    let (over, wait) = async_channel::bounded::<()>(1);
    thread::scope(|scope| {
        // Dropped with the closure, by a panic too, which ends the other threads.
        let _over = over;
        for _ in 1..threads {
            let wait = wait.clone();
            scope.spawn(move || scheduler.block_on(closed(wait)));
        }
        if let Some(signals) = signals {
            // A thread of its own, so that an actor which never yields keeps no signal from its effect.
            scope.spawn(move || {
                future::block_on(future::or(signals, closed(wait)));
            });
        }
        scheduler.block_on(root)
    })
}

async fn closed(wait: Receiver<()>) {
    while wait.recv().await.is_ok() {}
}

/// Takes the signals over from the kernel's defaults.
fn take_signals(with_usr1: bool) -> Option<Signals> {
    let mut heeded = vec![Signal::Int, Signal::Term];
    if with_usr1 {
        heeded.push(Signal::Usr1);
    }
    match Signals::new(heeded) {
        Ok(signals) => Some(signals),
        Err(error) => {
            log::error!("signals cannot be heeded: {error}");
            None
        }
    }
}

/// Turns signals into stops and snapshots.
async fn heed(mut signals: Signals, root: Arc<Root>, on_usr1: Option<OnUsr1>) {
    while let Some(Ok(signal)) = signals.next().await {
        let Some((node, scheduler)) = root.node.get() else { continue };
        match (signal, &on_usr1) {
            (Signal::Usr1, Some(show)) => (show.0)(&node.snapshot(scheduler.now())),
            _ if node.control.is_stop() => {
                root.killed.store(true, Ordering::SeqCst);
                node.control.kill();
                // Whoever does not even come back to the executor is not waited for.
                scheduler.sleep(LAST_CHANCE).await;
                std::process::exit(128 + signal as i32);
            }
            _ => {
                root.signal.store(signal as i32, Ordering::SeqCst);
                node.control.stop();
            }
        }
    }
}
