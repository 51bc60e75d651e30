//! The system that runs a tree.
//!
//! A [`System`] owns the executor and its threads, turns signals into stop requests, runs the root
//! supervisor and hands the lifecycle events to the observers. It ends when the root does. A
//! process can have several systems, each with its own executor. Only the panic hook is global.

pub(crate) mod handle;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};

use crate::runtime::executor::Scheduler;
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::lifecycle::panic;
use crate::runtime::lifecycle::watchdog::Watchdog;
use crate::runtime::supervisor::Supervisor;
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::system::handle::{Handle, SystemShared};
use crate::runtime::tree::node::ParentRef;
use crate::runtime::tree::snapshot::{NodeState, Snapshot};

/// The time that a tree has to end after the second signal. Then the process exits.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason a system ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A significant child ended, or a handle requested the stop.
    Finished,
    /// A signal requested the stop: its number.
    Signalled(i32),
    /// A second signal dropped every actor at once: its number.
    Killed(i32),
}

/// The runner of a tree: executor threads, signals, the root supervisor and the lifecycle events.
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
    /// Creates a system with one thread that handles no signals.
    pub fn new() -> System {
        System { threads: 1, ..System::default() }
    }

    /// Sets the number of threads that run actors (at least 1). Default: 1, which is the thread
    /// that calls [`System::run`].
    ///
    /// A second thread makes small messages slower: each thread may have to wake the other. Sockets
    /// and timers are then handled by smol's reactor, which takes more system calls.
    pub fn threads(mut self, threads: usize) -> System {
        self.threads = threads.max(1);
        self
    }

    /// Handles SIGINT and SIGTERM: the first requests an orderly stop, the second drops every
    /// actor.
    ///
    /// If an actor still blocks its thread one second after the second signal, the process exits
    /// with code 128 plus the signal's number.
    pub fn signals(mut self) -> System {
        self.signals = true;
        self
    }

    /// Calls `callback` with a snapshot of the tree at each SIGUSR1. Implies [`System::signals`].
    pub fn on_usr1(mut self, callback: impl Fn(&Snapshot) + Send + 'static) -> System {
        self.signals = true;
        self.on_usr1 = Some(OnUsr1(Box::new(callback)));
        self
    }

    /// Adds an observer, which is called at each lifecycle event, where it happens.
    ///
    /// It must be quick, and must not block. Several observers are called in the order in which
    /// they were added.
    pub fn observe(mut self, callback: impl Fn(&Lifecycle) + Send + Sync + 'static) -> System {
        self.observer = self.observer.chain(callback);
        self
    }

    /// Reports an actor that blocks its thread for longer than `limit` (at least 1 ms), as
    /// [`Lifecycle::Stalled`]. Default: off.
    ///
    /// Nothing preempts an actor, so such an actor delays all others of its thread. The report
    /// comes within twice the limit, from a watchdog thread that sleeps while the system is idle.
    pub fn stall_limit(mut self, limit: Duration) -> System {
        self.stall_limit = Some(limit.max(Duration::from_millis(1)));
        self
    }

    /// Returns a handle that stops and inspects this system from any thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a tree on this thread until it ends.
    ///
    /// # Errors
    ///
    /// The exit of the root supervisor, if it is abnormal: the root gave up, could not start, or a
    /// significant child failed.
    pub fn run(self, tree: Supervisor) -> Result<StopReason, Exit> {
        // Before anything runs: a signal may arrive as soon as the tree is visible.
        let signals = self.signals.then(|| register_signals(self.on_usr1.is_some())).flatten();
        let (threads, shared) = (self.threads, self.handle.0.clone());
        let scheduler = Scheduler::real(threads);
        let signals = signals.map(|signals| handle_signals(signals, shared, self.on_usr1));
        let observer = self.observer.with_broadcaster(self.handle.0.broadcaster.clone());
        let watchdog = self.stall_limit.map(|limit| Watchdog::new(limit, threads));
        let watch =
            watchdog.clone().map(|watchdog| (watchdog, observer.clone(), self.handle.clone()));
        run_tree(&self.handle, observer, &scheduler, tree, |root| {
            SystemThreads { scheduler: &scheduler, threads, watchdog }.run(root, signals, watch)
        })
    }

    /// Runs a tree in a simulation; see [`crate::testing`].
    #[cfg(feature = "testing")]
    pub(crate) fn simulate(
        self,
        tree: Supervisor,
        executor: &Arc<crate::runtime::sim::executor::SimExecutor>,
    ) -> Result<StopReason, Exit> {
        let scheduler = Scheduler::Simulated(executor.clone());
        let observer = self.observer.with_broadcaster(self.handle.0.broadcaster.clone());
        let shared = self.handle.0.clone();
        run_tree(&self.handle, observer, &scheduler, tree, |root| {
            executor.run(root, |executor| {
                let Some(fault) = executor.draw_fault() else { return };
                let mut actors = Vec::new();
                if let Some((root, _)) = shared.root.get() {
                    crate::runtime::sim::hooks::collect_actors(root, &mut actors);
                }
                if let (false, Some(interrupt)) = (actors.is_empty(), fault.interrupt()) {
                    actors[executor.random_index(actors.len())].control.interrupt(interrupt);
                }
            })
        })
    }
}

/// Starts a tree, calls `block_on` with the root's task, and reports how the root ended.
fn run_tree(
    handle: &Handle,
    observer: Observer,
    scheduler: &Scheduler,
    tree: Supervisor,
    block_on: impl FnOnce(smol::Task<Exit>) -> Exit,
) -> Result<StopReason, Exit> {
    panic::install_panic_hook();
    let env = SystemEnv { scheduler: scheduler.clone(), observer };
    let root = tree.build();
    root.attach(&ParentRef::root(&env.scheduler), &env);
    root.config.node.start_incarnation(env.scheduler.now(), NodeState::Starting);
    handle.0.attach_tree(&root.config.node, &env.scheduler);
    let path = root.config.node.path();
    // The root has no supervisor that would receive its events.
    let (events, _) = async_channel::bounded(1);
    let notifier =
        ParentNotifier { child: 0, incarnation: 1, events, observer: env.observer.clone() };
    let exit = block_on(root.launch(&env, notifier));
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

/// The threads of a running system: those that run actors, one for signals, one for the watchdog.
struct SystemThreads<'a> {
    scheduler: &'a Scheduler,
    threads: usize,
    watchdog: Option<Arc<Watchdog>>,
}

impl SystemThreads<'_> {
    /// Runs the executor's threads until the root has ended.
    fn run(
        &self,
        root: smol::Task<Exit>,
        signals: Option<impl Future<Output = ()> + Send>,
        watch: Option<(Arc<Watchdog>, Observer, Handle)>,
    ) -> Exit {
        let (running, closed) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            // Dropped at the end of the closure, and by a panic too, which ends the other threads.
            let _running = running;
            for thread in 1..self.threads {
                let closed = closed.clone();
                scope.spawn(move || self.block_on(thread, wait_closed(closed)));
            }
            if let Some((watchdog, observer, handle)) = watch {
                let closed = closed.clone();
                scope.spawn(move || {
                    let find_running_on = |thread| handle.find_running_on(thread);
                    let watch = watchdog.run(self.scheduler, &observer, find_running_on);
                    future::block_on(future::or(watch, wait_closed(closed)));
                });
            }
            if let Some(signals) = signals {
                // On a thread of its own, so that signals work while an actor blocks its thread.
                scope.spawn(move || {
                    future::block_on(future::or(signals, wait_closed(closed)));
                });
            }
            self.block_on(0, root)
        })
    }

    fn block_on<T>(&self, thread: usize, done: impl Future<Output = T>) -> T {
        let _registered = self.watchdog.as_ref().map(|watchdog| watchdog.register_thread(thread));
        self.scheduler.block_on(done)
    }
}

async fn wait_closed(channel: Receiver<()>) {
    while channel.recv().await.is_ok() {}
}

/// Registers handlers in the place of the kernel's default actions. Logs an error.
fn register_signals(with_usr1: bool) -> Option<Signals> {
    let mut signals = vec![Signal::Int, Signal::Term];
    if with_usr1 {
        signals.push(Signal::Usr1);
    }
    match Signals::new(signals) {
        Ok(signals) => Some(signals),
        Err(error) => {
            log::error!("cannot handle signals: {error}");
            None
        }
    }
}

/// Turns signals into stop requests and snapshots.
async fn handle_signals(mut signals: Signals, shared: Arc<SystemShared>, on_usr1: Option<OnUsr1>) {
    while let Some(signal) = signals.next().await {
        let signal = match signal {
            Ok(signal) => signal,
            Err(error) => {
                log::error!("cannot read a signal: {error}");
                continue;
            }
        };
        let Some((root, scheduler)) = shared.root.get() else { continue };
        match (signal, &on_usr1) {
            (Signal::Usr1, Some(callback)) => {
                panic::catch_and_log("the callback for SIGUSR1", || {
                    (callback.0)(&root.snapshot(scheduler.now()));
                });
            }
            _ if shared.signal.swap(signal as i32, Ordering::SeqCst) != 0 => {
                shared.second_signal.store(true, Ordering::SeqCst);
                root.control.kill();
                // An actor that never returns to the executor is not waited for.
                scheduler.sleep(KILL_TIMEOUT).await;
                std::process::exit(128 + signal as i32);
            }
            _ => root.control.stop(),
        }
    }
}
