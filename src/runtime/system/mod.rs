//! The system: what a tree runs on.
//!
//! A [`System`] owns the executor and its threads, turns signals into stops, runs the root supervisor and
//! hands the lifecycle events to an observer. It ends when the root does. There can be several in one
//! process, each with an executor of its own; nothing here is global but the panic hook.

pub(crate) mod handle;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use super::executor::Scheduler;
use super::lifecycle::notifier::ParentNotifier;
use super::lifecycle::observer::Observer;
use super::lifecycle::panic;
use super::lifecycle::watchdog::Watchdog;
use super::supervisor::spec::{ChildSpec, SystemEnv};
use super::tree::place::ParentRef;
use super::tree::snapshot::NodeState;
use super::{Exit, Lifecycle, Snapshot, Supervisor};
use handle::{Handle, SystemShared};

/// How long a tree may take to fall once a second signal has come.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a system came to an orderly end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
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
    stall_limit: Option<Duration>,
    handle: Handle,
}

struct OnUsr1(Box<dyn Fn(&Snapshot) + Send>);

impl fmt::Debug for OnUsr1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl System {
    /// Makes a system with one thread that heeds no signal.
    pub fn new() -> System {
        System { threads: 1, ..System::default() }
    }

    /// Sets how many threads run actors (at least 1; [`System::run`]'s own is one of them). A second one
    /// costs small messages more than it gives, since each may wake the other, and sockets and timers are then smol's to
    /// look after, which takes more system calls.
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
        self.observer = self.observer.chain(watch);
        self
    }

    /// Tells of an actor that keeps its thread for longer than `limit` (at least 1 ms), as
    /// [`Lifecycle::Stalled`], within twice that time: nothing preempts an actor, so it holds up all others
    /// of its thread. A thread beside the others watches, and sleeps while nothing happens.
    pub fn stall_limit(mut self, limit: Duration) -> System {
        self.stall_limit = Some(limit.max(Duration::from_millis(1)));
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
    pub fn run(self, tree: Supervisor) -> Result<StopReason, Exit> {
        // Before anything runs: whoever sees the tree at work may send a signal.
        let signals = self.signals.then(|| register_signals(self.on_usr1.is_some())).flatten();
        let (threads, root) = (self.threads, self.handle.0.clone());
        let scheduler = Scheduler::real(threads);
        let signals = signals.map(|taken| handle_signals(taken, root, self.on_usr1));
        let observer = self.observer.with_broadcaster(self.handle.0.broadcaster.clone());
        let stalls = self.stall_limit.map(|limit| Watchdog::new(limit, threads));
        let watch = stalls.clone().map(|stalls| (stalls, observer.clone(), self.handle.clone()));
        run_tree(&self.handle, observer, &scheduler, tree, |task| {
            SystemThreads { scheduler: &scheduler, threads, watchdog: stalls }
                .run(task, signals, watch)
        })
    }

    /// Runs a tree in a world of its own; see [`crate::testing`].
    #[cfg(feature = "testing")]
    pub(crate) fn simulate(
        self,
        tree: Supervisor,
        world: &Arc<super::sim::executor::SimExecutor>,
    ) -> Result<StopReason, Exit> {
        let scheduler = Scheduler::Simulated(world.clone());
        let observer = self.observer.with_broadcaster(self.handle.0.broadcaster.clone());
        let root = self.handle.0.clone();
        run_tree(&self.handle, observer, &scheduler, tree, |task| {
            world.run(task, |world| {
                let Some(fault) = world.draw_fault() else { return };
                let mut actors = Vec::new();
                if let Some((root, _)) = root.node.get() {
                    root.collect_actors(&mut actors);
                }
                if let (false, Some(blow)) = (actors.is_empty(), fault.interrupt()) {
                    actors[world.random_index(actors.len())].control.interrupt(blow);
                }
            })
        })
    }
}

/// Starts a tree, has `drive` bring it to its end, and says how that was.
fn run_tree(
    handle: &Handle,
    observer: Observer,
    scheduler: &Scheduler,
    tree: Supervisor,
    drive: impl FnOnce(smol::Task<Exit>) -> Exit,
) -> Result<StopReason, Exit> {
    panic::install_panic_hook();
    let env = SystemEnv { scheduler: scheduler.clone(), observer };
    let root = tree.build();
    root.attach(&ParentRef::root(&env.scheduler), &env);
    root.config.node.start_incarnation(env.scheduler.now(), NodeState::Starting);
    handle.0.attach_tree(&root.config.node, &env.scheduler);
    let path = root.config.node.path();
    let (notes, _nobody) = async_channel::bounded(1);
    let notice =
        ParentNotifier { child: 0, incarnation: 1, events: notes, observer: env.observer.clone() };
    let exit = drive(root.launch(&env, notice));
    root.config.node.set_state(NodeState::Idle);
    root.close();
    let is_stop = root.config.node.control.is_stop_requested();
    env.observer.emit(|| match exit.clone() {
        exit if is_stop => Lifecycle::Stopped { path, exit, lost: None },
        exit @ (Exit::StartFailed(_) | Exit::Misconfigured(_)) => {
            Lifecycle::StartFailed { path, exit, lost: None }
        }
        exit => Lifecycle::Exited { path, exit, lost: None },
    });
    handle.0.broadcaster.close();
    match (exit.is_normal(), handle.0.signal.load(Ordering::SeqCst)) {
        (false, _) => Err(exit),
        (true, 0) => Ok(StopReason::Finished),
        (true, signal) if handle.0.second_signal.load(Ordering::SeqCst) => {
            Ok(StopReason::Killed(signal))
        }
        (true, signal) => Ok(StopReason::Signalled(signal)),
    }
}

/// What brings a system to its end: the threads that run its actors, and those beside them.
struct SystemThreads<'a> {
    scheduler: &'a Scheduler,
    threads: usize,
    watchdog: Option<Arc<Watchdog>>,
}

impl SystemThreads<'_> {
    /// Drives the executor until the root has ended, beside a thread for the signals and one for stalls.
    fn run(
        &self,
        root: smol::Task<Exit>,
        signals: Option<impl Future<Output = ()> + Send>,
        watch: Option<(Arc<Watchdog>, Observer, Handle)>,
    ) -> Exit {
        let (over, wait) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            // Dropped with the closure, by a panic too, which ends the other threads.
            let _over = over;
            for thread in 1..self.threads {
                let wait = wait.clone();
                scope.spawn(move || self.block_on(thread, wait_closed(wait)));
            }
            if let Some((stalls, observer, root)) = watch {
                let wait = wait.clone();
                scope.spawn(move || {
                    let watch = stalls
                        .run(self.scheduler, &observer, |thread| root.find_running_on(thread));
                    future::block_on(future::or(watch, wait_closed(wait)));
                });
            }
            if let Some(signals) = signals {
                // A thread of its own, so that an actor which never yields keeps no signal from its effect.
                scope.spawn(move || {
                    future::block_on(future::or(signals, wait_closed(wait)));
                });
            }
            self.block_on(0, root)
        })
    }

    fn block_on<T>(&self, thread: usize, done: impl Future<Output = T>) -> T {
        let _enrolled = self.watchdog.as_ref().map(|stalls| stalls.register_thread(thread));
        self.scheduler.block_on(done)
    }
}

async fn wait_closed(wait: Receiver<()>) {
    while wait.recv().await.is_ok() {}
}

/// Takes the signals over from the kernel's defaults.
fn register_signals(with_usr1: bool) -> Option<Signals> {
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
async fn handle_signals(mut signals: Signals, root: Arc<SystemShared>, on_usr1: Option<OnUsr1>) {
    while let Some(signal) = signals.next().await {
        let signal = match signal {
            Ok(signal) => signal,
            Err(error) => {
                log::error!("a signal could not be read: {error}");
                continue;
            }
        };
        let Some((node, scheduler)) = root.node.get() else { continue };
        match (signal, &on_usr1) {
            (Signal::Usr1, Some(show)) => {
                panic::catch_and_log("the function for SIGUSR1", || {
                    (show.0)(&node.snapshot(scheduler.now()));
                });
            }
            _ if root.signal.swap(signal as i32, Ordering::SeqCst) != 0 => {
                root.second_signal.store(true, Ordering::SeqCst);
                node.control.kill();
                // Whoever does not even come back to the executor is not waited for.
                scheduler.sleep(KILL_TIMEOUT).await;
                std::process::exit(128 + signal as i32);
            }
            _ => node.control.stop(),
        }
    }
}
