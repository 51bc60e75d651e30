//! The system that runs a tree.
//!
//! A [`System`] owns the executor and its threads, turns signals into stop requests, runs the root
//! supervisor and hands the lifecycle events to the observers. It ends when the root does. A
//! process can have several systems, each with its own executor. Only the panic hook is global.

pub(crate) mod handle;
pub(crate) mod signals;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use futures_lite::future;
use smol::{Executor, Task};

use crate::runtime::executor::Scheduler;
use crate::runtime::executor::worker::{WorkerThread, Workers};
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::lifecycle::panic;
use crate::runtime::lifecycle::watchdog::Watchdog;
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::supervisor::{Supervisor, SupervisorSpec};
use crate::runtime::system::handle::Handle;
use crate::runtime::system::signals::{SignalCallbacks, handle_signals, register_signals};
use crate::runtime::tree::node::ParentRef;
use crate::runtime::tree::snapshot::{NodeState, Snapshot};

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
    callbacks: SignalCallbacks,
    stall_limit: Option<Duration>,
    handle: Handle,
    /// The executor of [`System::on`].
    executor: Option<Arc<Executor<'static>>>,
}

impl System {
    /// Creates a system with one thread that handles no signals.
    pub fn new() -> System {
        System { threads: 1, ..System::default() }
    }

    /// Sets the number of threads that run actors (at least 1). Default: 1, which is the thread
    /// that calls [`System::run`].
    ///
    /// Each thread is a worker with a run queue and a reactor of its own, and an actor stays on the
    /// worker on which it starts. By default that is the supervisor's worker, and the workers in
    /// turn for the children of a pool: see [`Placement`]. A message to another worker costs more
    /// than one on the same worker, because it may have to wake the other thread.
    ///
    /// [`Placement`]: crate::runtime::Placement
    pub fn threads(mut self, threads: usize) -> System {
        self.threads = threads.max(1);
        self
    }

    /// Handles SIGINT, SIGTERM and SIGHUP: the first requests an orderly stop, and a SIGINT or
    /// SIGTERM after it drops every actor.
    ///
    /// A further SIGHUP has no effect, because a terminal that closes sends several. A signal that
    /// the process ignored when it started stays ignored (nohup(1)). If an actor still blocks its
    /// thread one second after the second signal, the process exits with code 128 plus the signal's
    /// number.
    pub fn signals(mut self) -> System {
        self.signals = true;
        self
    }

    /// Calls `callback` with a snapshot of the tree at each SIGUSR1. Implies [`System::signals`].
    pub fn on_usr1(mut self, callback: impl Fn(&Snapshot) + Send + 'static) -> System {
        self.signals = true;
        self.callbacks.usr1 = Some(Box::new(callback));
        self
    }

    /// Calls `callback` at each SIGHUP, which then does not stop the tree. Implies
    /// [`System::signals`].
    ///
    /// A daemon has no terminal that could hang up, so SIGHUP tells it to read its files again.
    pub fn on_hangup(mut self, callback: impl Fn() + Send + 'static) -> System {
        self.signals = true;
        self.callbacks.hangup = Some(Box::new(callback));
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

    /// Runs the tree's tasks on the executor of the caller, instead of on threads of the system.
    ///
    /// The caller's threads run the executor. Sockets and timers are then smol's. The number of
    /// threads and the stall limit of the system have no effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use smol::Executor;
    /// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};
    ///
    /// async fn visit(_: Context<()>) -> Outcome {
    ///     Ok(())
    /// }
    ///
    /// let executor = Arc::new(Executor::new());
    /// smol::block_on(executor.run(async {
    ///     let mut tree = Supervisor::new("t", Strategy::OneForOne);
    ///     tree.child(Child::new("visitor", || visit).transient().significant());
    ///     System::on(executor.clone()).serve(tree).await.unwrap();
    /// }));
    /// ```
    pub fn on(executor: Arc<Executor<'static>>) -> System {
        System { executor: Some(executor), ..System::new() }
    }

    /// Runs a tree on this thread until it ends.
    ///
    /// # Errors
    ///
    /// The exit of the root supervisor, if it is abnormal: the root gave up, could not start, or a
    /// significant child failed. [`Exit::Failed`] with an [`std::io::Error`] if there are no free
    /// descriptors for the worker threads.
    pub fn run(mut self, tree: Supervisor) -> Result<StopReason, Exit> {
        if self.executor.is_some() {
            return smol::block_on(self.serve(tree));
        }
        // Before anything runs: a signal may arrive as soon as the tree is visible.
        let signals = self.take_signals();
        let workers = match Workers::start(self.threads) {
            Ok(workers) => workers,
            Err(error) => {
                tree.build().close();
                return Err(Exit::Failed(Arc::new(error)));
            }
        };
        let watchdog = self.stall_limit.map(|limit| Watchdog::new(limit, workers.len()));
        let scheduler = Scheduler::Worker(workers[0].worker().clone());
        let (running, root) = RunningTree::start(self.handle, self.observer, &scheduler, tree);
        let exit = run_threads(workers, root, signals, watchdog, &running);
        running.finish(exit)
    }

    /// Runs a tree until it ends, in an async program. With [`System::on`] its tasks run on the
    /// given executor, otherwise on threads that the system starts.
    ///
    /// Dropping the future drops every actor of a system on a given executor. It stops any other
    /// system.
    ///
    /// # Errors
    ///
    /// See [`System::run`].
    pub async fn serve(mut self, tree: Supervisor) -> Result<StopReason, Exit> {
        let Some(executor) = self.executor.take() else {
            let _stop = StopOnDrop(self.handle());
            return smol::unblock(|| self.run(tree)).await;
        };
        let signals = self.take_signals();
        let scheduler = Scheduler::External(executor);
        let (running, root) = RunningTree::start(self.handle, self.observer, &scheduler, tree);
        let signals = async {
            match signals {
                Some(signals) => signals.await,
                None => future::pending().await,
            }
            future::pending().await
        };
        running.finish(future::or(root, signals).await)
    }

    /// Registers the signal handlers, if the system handles signals.
    fn take_signals(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let callbacks = mem::take(&mut self.callbacks);
        let signals = self.signals.then(|| register_signals(&callbacks)).flatten()?;
        Some(handle_signals(signals, self.handle.0.clone(), callbacks))
    }

    /// Runs a tree in a simulation; see [`crate::testing`].
    #[cfg(feature = "testing")]
    pub(crate) fn simulate(
        self,
        tree: Supervisor,
        executor: &Arc<crate::runtime::sim::executor::SimExecutor>,
    ) -> Result<StopReason, Exit> {
        let scheduler = Scheduler::Simulated(executor.clone());
        let (running, root) = RunningTree::start(self.handle, self.observer, &scheduler, tree);
        let root_node = running.root.config.node.clone();
        let exit = executor.run(root, |executor| {
            let Some(fault) = executor.draw_fault() else { return };
            let mut actors = Vec::new();
            crate::runtime::sim::hooks::collect_actors(&root_node, &mut actors);
            if let (false, Some(interrupt)) = (actors.is_empty(), fault.interrupt()) {
                actors[executor.random_index(actors.len())].control.interrupt(interrupt);
            }
        });
        running.finish(exit)
    }
}

/// Requests a stop of a system when it is dropped.
struct StopOnDrop(Handle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// A tree that has been started.
struct RunningTree {
    handle: Handle,
    observer: Observer,
    root: SupervisorSpec,
}

impl RunningTree {
    /// Starts a tree. Returns it with the task of its root.
    fn start(
        handle: Handle,
        observer: Observer,
        scheduler: &Scheduler,
        tree: Supervisor,
    ) -> (RunningTree, Task<Exit>) {
        panic::install_panic_hook();
        let observer = observer.with_broadcaster(handle.0.broadcaster.clone());
        let env = SystemEnv { scheduler: scheduler.clone(), observer: observer.clone() };
        let root = tree.build();
        root.attach(&ParentRef::root(scheduler), &env);
        root.config.node.start_incarnation(scheduler.now(), NodeState::Starting);
        handle.0.attach_tree(&root.config.node, scheduler);
        // The root has no supervisor that would receive its events.
        let (events, _) = async_channel::bounded(1);
        let notifier =
            ParentNotifier { child: 0, incarnation: 1, events, observer: observer.clone() };
        let task = root.launch(&env, notifier);
        (RunningTree { handle, observer, root }, task)
    }

    /// Closes the tree after the end of its root, and reports how it ended.
    fn finish(self, exit: Exit) -> Result<StopReason, Exit> {
        let RunningTree { handle, observer, root } = self;
        let path = root.config.node.path();
        root.config.node.set_state(NodeState::Idle);
        root.close();
        let is_stop = root.config.node.control.is_stop_requested();
        observer.emit(|| match exit.clone() {
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
}

/// Runs the worker threads, one for signals and one for the watchdog until the root has ended.
fn run_threads(
    workers: Vec<WorkerThread>,
    root: Task<Exit>,
    signals: Option<impl Future<Output = ()> + Send>,
    watchdog: Option<Arc<Watchdog>>,
    tree: &RunningTree,
) -> Exit {
    let (running, closed) = async_channel::bounded::<()>(1);
    let (watchdog, scheduler) = (&watchdog, Scheduler::Worker(workers[0].worker().clone()));
    thread::scope(|scope| {
        // Dropped at the end of the closure, and by a panic too, which ends the other threads.
        let _running = running;
        let mut workers = workers.into_iter().enumerate();
        let first = workers.next();
        for (number, worker) in workers {
            let closed = closed.clone();
            scope.spawn(move || {
                let _registered = watchdog.as_ref().map(|dog| dog.register_thread(number));
                worker.block_on(wait_closed(closed));
            });
        }
        if let Some(watchdog) = watchdog {
            let (closed, scheduler) = (closed.clone(), &scheduler);
            scope.spawn(move || {
                let find_running_on = |thread| tree.handle.find_running_on(thread);
                let watch = watchdog.run(scheduler, &tree.observer, find_running_on);
                future::block_on(future::or(watch, wait_closed(closed)));
            });
        }
        if let Some(signals) = signals {
            // On a thread of its own, so that signals work while an actor blocks its thread.
            scope.spawn(move || {
                future::block_on(future::or(signals, wait_closed(closed)));
            });
        }
        let _registered = watchdog.as_ref().map(|watchdog| watchdog.register_thread(0));
        match first {
            Some((_, worker)) => worker.block_on(root),
            None => unreachable!("a system has at least one worker"),
        }
    })
}

async fn wait_closed(channel: Receiver<()>) {
    while channel.recv().await.is_ok() {}
}
