//! What a supervisor does, one incarnation of it.
//!
//! It starts its children in order, each when the one before has started, and then waits for whatever comes
//! first: its own stop, a note of a child, the end of a pause, a request. The rules that it applies are those
//! of Erlang/OTP's `supervisor`; they are in `restart`. How children are brought to their end is in
//! `stopping`, whom it has in `children`, and what it is asked at run time in `administer`. Each child's task
//! is awaited before anything takes its place, so two incarnations of a child never live at once.
//!
//! A start may take its time, and so may the pause before a restart, but neither is waited for in place: both
//! are states of a child, so that a stop and requests are heeded meanwhile. What other children do while one
//! is being started is put off until it has, as if the start had been one step.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use smol::Task;

use crate::runtime::Exit;
use crate::runtime::lifecycle::notifier::{ChildEvent, ParentNotifier};
use crate::runtime::supervisor::SupervisorConfig;
use crate::runtime::supervisor::intensity::Intensity;
use crate::runtime::supervisor::options::StartMode;
use crate::runtime::supervisor::request::{PendingStart, Request};
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::tree::place::ParentRef;
use crate::runtime::tree::snapshot::NodeState;

/// Lives one incarnation of a supervisor. Its children are gone when it is ready.
pub(crate) async fn supervise(
    plan: Arc<SupervisorConfig>,
    env: SystemEnv,
    notice: ParentNotifier,
) -> Exit {
    let mut life = SupervisorRun::new(plan, env);
    let exit = match life.add_all() {
        Ok(()) => life.run(notice).await,
        Err(text) => Exit::Misconfigured(text.into()),
    };
    life.stop_all().await;
    if let Some(requests) = &life.config.requests {
        requests.reject_all();
    }
    exit
}

pub(crate) struct SupervisorRun {
    pub(crate) config: Arc<SupervisorConfig>,
    pub(crate) env: SystemEnv,
    /// Where its children stand.
    pub(crate) as_parent: Arc<ParentRef>,
    /// By the order of their start.
    pub(crate) children: BTreeMap<u64, ChildEntry>,
    pub(crate) keys_by_name: HashMap<String, u64>,
    pub(crate) next_key: u64,
    pub(crate) intensity: Intensity,
    event_sender: Sender<ChildEvent>,
    /// Unbounded, but never longer than the incarnations that began since it was last looked at.
    events: Receiver<ChildEvent>,
    /// Notes that came while a child was being started.
    deferred_events: VecDeque<ChildEvent>,
    /// The children to start, in their order.
    pub(crate) start_queue: BTreeSet<u64>,
    /// The child that is being started.
    pub(crate) starting: Option<u64>,
    /// When pauses end. A pause that was called off stays on the list until then.
    pub(crate) backoffs: BTreeSet<(Instant, u64)>,
    /// Whether the first start of all children is not over yet.
    pub(crate) is_initial_start: bool,
}

/// A child, as this incarnation of its supervisor has it.
pub(crate) struct ChildEntry {
    pub(crate) spec: Arc<dyn ChildSpec>,
    pub(crate) state: ChildState,
    /// Whether it was added at run time, and is lost with the incarnation.
    pub(crate) is_added: bool,
    /// Who waits for its start.
    pub(crate) pending_start: Option<PendingStart>,
}

pub(crate) enum ChildState {
    Idle,
    /// In the queue.
    Queued,
    Running {
        task: Task<Exit>,
        incarnation: u32,
        is_ready: bool,
        /// When it must be ready.
        ready_deadline: Option<Instant>,
    },
    Restarting {
        restart_at: Instant,
    },
}

/// What the supervisor was woken for.
enum SupervisorEvent {
    Stop,
    Deadline(u64),
    Child(ChildEvent),
    Request(Request),
}

impl SupervisorRun {
    fn new(plan: Arc<SupervisorConfig>, env: SystemEnv) -> SupervisorRun {
        let (sender, notes) = async_channel::unbounded();
        let below = ParentRef::new(plan.node.path(), &env.scheduler);
        let intensity = Intensity::new(plan.intensity.0, plan.intensity.1);
        SupervisorRun {
            config: plan,
            env,
            as_parent: below,
            children: BTreeMap::new(),
            keys_by_name: HashMap::new(),
            next_key: 0,
            intensity,
            event_sender: sender,
            events: notes,
            deferred_events: VecDeque::new(),
            start_queue: BTreeSet::new(),
            starting: None,
            backoffs: BTreeSet::new(),
            is_initial_start: true,
        }
    }

    async fn run(&mut self, notice: ParentNotifier) -> Exit {
        loop {
            // Before anybody else is started, and before an end that came meanwhile brings a restart.
            if self.config.node.control.is_stop_requested() {
                return Exit::Shutdown;
            }
            if self.starting.is_none() {
                if let Some(key) = self.start_queue.pop_first() {
                    self.start_child(key);
                } else if self.is_initial_start {
                    self.is_initial_start = false;
                    notice.ready(&self.config.node);
                }
            }
            let exit = match self.next_event().await {
                SupervisorEvent::Stop => return Exit::Shutdown,
                SupervisorEvent::Deadline(key) => self.on_deadline(key).await,
                SupervisorEvent::Child(note) => self.on_child_event(note).await,
                SupervisorEvent::Request(request) => {
                    self.handle_request(request).await;
                    None
                }
            };
            if let Some(exit) = exit {
                return exit;
            }
        }
    }

    async fn next_event(&mut self) -> SupervisorEvent {
        if self.starting.is_none() {
            if let Some(note) = self.deferred_events.pop_front() {
                return SupervisorEvent::Child(note);
            }
        }
        let next_due = self.next_deadline();
        let control = &self.config.node.control;
        let stop = async {
            poll_fn(|cx| control.poll_stop(cx)).await;
            SupervisorEvent::Stop
        };
        let note = async {
            match self.events.recv().await {
                Ok(note) => SupervisorEvent::Child(note),
                // This incarnation holds a sender itself, so the channel is never closed.
                Err(_) => future::pending().await,
            }
        };
        let request = async {
            match &self.config.requests {
                Some(requests) => SupervisorEvent::Request(requests.recv().await),
                None => future::pending().await,
            }
        };
        let due = async {
            match next_due {
                Some((at, key)) => {
                    let pause = at.saturating_duration_since(self.env.scheduler.now());
                    if !pause.is_zero() {
                        self.env.scheduler.sleep(pause).await;
                    }
                    SupervisorEvent::Deadline(key)
                }
                None => future::pending().await,
            }
        };
        future::or(stop, future::or(note, future::or(due, request))).await
    }

    /// Returns the child whose time is up next, and when: of its start, or else of a pause.
    fn next_deadline(&mut self) -> Option<(Instant, u64)> {
        if let Some(key) = self.starting {
            return match self.children.get(&key)?.state {
                ChildState::Running { ready_deadline: until, .. } => Some((until?, key)),
                _ => None,
            };
        }
        loop {
            let (at, key) = *self.backoffs.first()?;
            match self.children.get(&key).map(|entry| &entry.state) {
                Some(ChildState::Restarting { restart_at: paused }) if *paused == at => {
                    return Some((at, key));
                }
                _ => self.backoffs.pop_first(),
            };
        }
    }

    fn start_child(&mut self, key: u64) {
        let now = self.env.scheduler.now();
        let Some(entry) = self.children.get_mut(&key) else { return };
        let incarnation = entry.spec.node().start_incarnation(now, NodeState::Starting);
        let (notes, observer) = (self.event_sender.clone(), self.env.observer.clone());
        let notice = ParentNotifier { child: key, incarnation, events: notes, observer };
        let task = entry.spec.launch(&self.env, notice);
        let until = match entry.spec.options().start_mode {
            StartMode::OnReady(Some(limit)) => now.checked_add(limit),
            _ => None,
        };
        entry.state =
            ChildState::Running { task, incarnation, is_ready: false, ready_deadline: until };
        self.starting = Some(key);
    }

    /// Decides what follows a note; an exit is the supervisor's own.
    async fn on_child_event(&mut self, note: ChildEvent) -> Option<Exit> {
        let (ChildEvent::Ready(key, of) | ChildEvent::Exited(key, of)) = note;
        if self.starting.is_some_and(|starting| starting != key) {
            self.deferred_events.push_back(note);
            return None;
        }
        let entry = self.children.get_mut(&key)?;
        let ChildState::Running { incarnation, is_ready, .. } = &mut entry.state else {
            return None;
        };
        // One that was stopped in between was told of then.
        if *incarnation != of {
            return None;
        }
        match note {
            ChildEvent::Ready(..) => {
                *is_ready = true;
                self.starting = None;
                PendingStart::complete(&mut entry.pending_start, Ok(()));
                None
            }
            ChildEvent::Exited(..) => {
                let was_ready = *is_ready;
                let exit = self.take_task(key)?.await;
                match was_ready {
                    true => self.on_exit(key, exit).await,
                    false => self.on_exit_before_ready(key, exit).await,
                }
            }
        }
    }
}
