//! One incarnation of a supervisor: its state and its loop.
//!
//! The supervisor starts its children in order, each when the child before it has started. Then it
//! waits for the first of four things: a stop request, an event of a child, the end of a pause, or
//! a request through its address. The rules of restarts are in [`restart`](super::restart), those
//! of stopping in [`shutdown`](super::shutdown). A child's task is always awaited before its
//! successor is spawned, so two incarnations of a child never live at the same time.
//!
//! A start can take long, and so can the pause before a restart. The supervisor does not await
//! either in place. Both are states of a child, so stop requests and administration are handled
//! meanwhile. Events of other children during a start are deferred until it is over, as if the
//! start were one step.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use async_channel::{Receiver, Sender};
use futures_lite::future;
use smol::Task;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::{ChildEvent, ParentNotifier};
use crate::runtime::supervisor::config::SupervisorConfig;
use crate::runtime::supervisor::intensity::Intensity;
use crate::runtime::supervisor::options::{Restart, StartMode};
use crate::runtime::supervisor::request::{
    AdminError, ChildCounts, ChildInfo, PendingStart, Request,
};
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::tree::node::ParentRef;
use crate::runtime::tree::snapshot::{NodeKind, NodeState};
use crate::time::deadline_after;

/// Runs one incarnation of a supervisor. When the future is ready, no child is left.
pub(super) async fn supervise(
    config: Arc<SupervisorConfig>,
    env: SystemEnv,
    notifier: ParentNotifier,
) -> Exit {
    let mut run = SupervisorRun::new(config, env);
    let exit = match run.add_all() {
        Ok(()) => run.run(notifier).await,
        Err(text) => Exit::Misconfigured(text.into()),
    };
    run.stop_all().await;
    if let Some(requests) = &run.config.requests {
        requests.reject_all();
    }
    exit
}

/// The state of one incarnation of a supervisor.
pub(super) struct SupervisorRun {
    pub(super) config: Arc<SupervisorConfig>,
    pub(super) env: SystemEnv,
    /// The supervisor as the parent of its children.
    as_parent: Arc<ParentRef>,
    /// The children by key. Keys are assigned in the order of the start and never reused.
    pub(super) children: BTreeMap<u64, ChildEntry>,
    /// The keys by name. No two children have the same name.
    keys_by_name: HashMap<String, u64>,
    next_key: u64,
    pub(super) intensity: Intensity,
    event_sender: Sender<ChildEvent>,
    /// Unbounded, but each incarnation of a child sends at most two events.
    events: Receiver<ChildEvent>,
    /// Events that arrived while another child was starting.
    deferred_events: VecDeque<ChildEvent>,
    /// The children to start, in order.
    pub(super) start_queue: BTreeSet<u64>,
    /// The child that is starting.
    pub(super) starting: Option<u64>,
    /// The ends of the pauses before restarts. A cancelled pause stays in the set until its end.
    pub(super) backoffs: BTreeSet<(Instant, u64)>,
    /// Whether the first start of all children is still going on.
    pub(super) is_initial_start: bool,
}

/// A child of this incarnation of its supervisor.
pub(super) struct ChildEntry {
    pub(super) spec: Arc<dyn ChildSpec>,
    pub(super) state: ChildState,
    /// Whether the child was added at run time. It is lost when this incarnation ends.
    pub(super) is_added: bool,
    /// The request that waits for the child's start.
    pub(super) pending_start: Option<PendingStart>,
}

pub(super) enum ChildState {
    /// Not running, and not about to be started.
    Idle,
    /// In the start queue.
    Queued,
    Running {
        task: Task<Exit>,
        incarnation: u32,
        is_ready: bool,
        ready_deadline: Option<Instant>,
    },
    /// In the pause before its restart.
    Restarting {
        restart_at: Instant,
    },
}

/// The event that woke the supervisor.
enum SupervisorEvent {
    Stop,
    Deadline(u64),
    Child(ChildEvent),
    Request(Request),
}

impl SupervisorRun {
    fn new(config: Arc<SupervisorConfig>, env: SystemEnv) -> SupervisorRun {
        let (event_sender, events) = async_channel::unbounded();
        let as_parent = ParentRef::new(config.node.path(), &env.scheduler);
        let intensity = Intensity::new(config.intensity.0, config.intensity.1);
        SupervisorRun {
            config,
            env,
            as_parent,
            children: BTreeMap::new(),
            keys_by_name: HashMap::new(),
            next_key: 0,
            intensity,
            event_sender,
            events,
            deferred_events: VecDeque::new(),
            start_queue: BTreeSet::new(),
            starting: None,
            backoffs: BTreeSet::new(),
            is_initial_start: true,
        }
    }

    async fn run(&mut self, notifier: ParentNotifier) -> Exit {
        loop {
            // Checked before the next child is started, and before a pending exit causes a restart.
            if self.config.node.control.is_stop_requested() {
                return Exit::Shutdown;
            }
            if self.starting.is_none() {
                if let Some(key) = self.start_queue.pop_first() {
                    self.start_child(key);
                } else if self.is_initial_start {
                    self.is_initial_start = false;
                    notifier.ready(&self.config.node);
                }
            }
            let exit = match self.next_event().await {
                SupervisorEvent::Stop => return Exit::Shutdown,
                SupervisorEvent::Deadline(key) => self.on_deadline(key).await,
                SupervisorEvent::Child(event) => self.on_child_event(event).await,
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
            if let Some(event) = self.deferred_events.pop_front() {
                return SupervisorEvent::Child(event);
            }
        }
        let next_deadline = self.next_deadline();
        let control = &self.config.node.control;
        let stop = async {
            poll_fn(|cx| control.poll_stop(cx)).await;
            SupervisorEvent::Stop
        };
        let child = async {
            match self.events.recv().await {
                Ok(event) => SupervisorEvent::Child(event),
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
        let deadline = async {
            match next_deadline {
                Some((at, key)) => {
                    let left = at.saturating_duration_since(self.env.scheduler.now());
                    if !left.is_zero() {
                        self.env.scheduler.sleep(left).await;
                    }
                    SupervisorEvent::Deadline(key)
                }
                None => future::pending().await,
            }
        };
        future::or(stop, future::or(child, future::or(deadline, request))).await
    }

    /// Returns the next deadline and its child: of the start that is going on, or else of a pause.
    fn next_deadline(&mut self) -> Option<(Instant, u64)> {
        if let Some(key) = self.starting {
            return match self.children.get(&key)?.state {
                ChildState::Running { ready_deadline, .. } => Some((ready_deadline?, key)),
                _ => None,
            };
        }
        loop {
            let (at, key) = *self.backoffs.first()?;
            match self.children.get(&key).map(|entry| &entry.state) {
                Some(ChildState::Restarting { restart_at }) if *restart_at == at => {
                    return Some((at, key));
                }
                // This pause was cancelled.
                _ => self.backoffs.pop_first(),
            };
        }
    }

    fn start_child(&mut self, key: u64) {
        let now = self.env.scheduler.now();
        let Some(entry) = self.children.get_mut(&key) else { return };
        let incarnation = entry.spec.node().start_incarnation(now, NodeState::Starting);
        let (events, observer) = (self.event_sender.clone(), self.env.observer.clone());
        let notifier = ParentNotifier { child: key, incarnation, events, observer };
        let task = entry.spec.launch(&self.env, notifier);
        let ready_deadline = match entry.spec.options().start_mode {
            StartMode::OnReady(Some(limit)) => Some(deadline_after(now, limit)),
            _ => None,
        };
        entry.state = ChildState::Running { task, incarnation, is_ready: false, ready_deadline };
        self.starting = Some(key);
    }

    /// Handles an event of a child. Returns the supervisor's own exit if it ends.
    async fn on_child_event(&mut self, event: ChildEvent) -> Option<Exit> {
        let (ChildEvent::Ready(key, of) | ChildEvent::Exited(key, of)) = event;
        if self.starting.is_some_and(|starting| starting != key) {
            self.deferred_events.push_back(event);
            return None;
        }
        let entry = self.children.get_mut(&key)?;
        let ChildState::Running { incarnation, is_ready, .. } = &mut entry.state else {
            return None;
        };
        // The event of an earlier incarnation is outdated: its end was handled when it was stopped.
        if *incarnation != of {
            return None;
        }
        match event {
            ChildEvent::Ready(..) => {
                *is_ready = true;
                self.starting = None;
                if let Some(pending) = entry.pending_start.take() {
                    pending.reply.send(Ok(()));
                }
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

    /// Takes the task of a running child, which is idle from now on.
    pub(super) fn take_task(&mut self, key: u64) -> Option<Task<Exit>> {
        let entry = self.children.get_mut(&key)?;
        match std::mem::replace(&mut entry.state, ChildState::Idle) {
            ChildState::Running { task, .. } => Some(task),
            other => {
                entry.state = other;
                None
            }
        }
    }

    // The list of children.

    /// Adds the children of the configuration. Children that an earlier incarnation added at run
    /// time were lost with it.
    ///
    /// # Errors
    ///
    /// The text says what is contradictory.
    fn add_all(&mut self) -> Result<(), String> {
        self.config.node.update_children(BTreeMap::clear);
        let config = self.config.clone();
        if config.intensity.1.is_zero() {
            return Err("the window of the restart intensity is zero".into());
        }
        for spec in &config.children {
            config.validate(spec.as_ref())?;
            let name = spec.node().name();
            if self.find(&name.to_string()).is_some() {
                return Err(format!("there are two children named {name}"));
            }
            self.add_child(spec.clone(), false, None);
        }
        Ok(())
    }

    /// Adds a child after the others and queues its start.
    fn add_child(
        &mut self,
        spec: Arc<dyn ChildSpec>,
        is_added: bool,
        pending_start: Option<PendingStart>,
    ) {
        let key = self.next_key;
        self.next_key += 1;
        if is_added {
            spec.attach(&self.as_parent, &self.env);
        }
        self.config.node.update_children(|nodes| drop(nodes.insert(key, spec.node().clone())));
        self.keys_by_name.insert(spec.node().name().to_string(), key);
        self.children
            .insert(key, ChildEntry { spec, state: ChildState::Queued, is_added, pending_start });
        self.start_queue.insert(key);
    }

    /// Removes a child from the list.
    pub(super) fn remove_child(&mut self, key: u64) {
        let Some(entry) = self.children.remove(&key) else { return };
        self.start_queue.remove(&key);
        self.keys_by_name.remove(&entry.spec.node().name().to_string());
        self.config.node.update_children(|nodes| drop(nodes.remove(&key)));
        // A child of a nested supervisor's configuration returns when that supervisor is restarted.
        if entry.is_added || self.config.node.path().is_root() {
            entry.spec.close();
        }
    }

    fn find(&self, name: &str) -> Option<u64> {
        self.keys_by_name.get(name).copied()
    }

    /// Finds a child that is idle.
    ///
    /// # Errors
    ///
    /// There is no such child, or the child is not idle.
    fn find_idle(&self, name: &str) -> Result<u64, AdminError> {
        let key = self.find(name).ok_or(AdminError::NotFound)?;
        match self.children[&key].state {
            ChildState::Idle => Ok(key),
            ChildState::Running { is_ready: true, .. } => Err(AdminError::Running),
            ChildState::Running { .. } | ChildState::Queued | ChildState::Restarting { .. } => {
                Err(AdminError::Restarting)
            }
        }
    }

    // Requests at run time.

    async fn handle_request(&mut self, request: Request) {
        match request {
            // The caller has given up, or was told that the supervisor is gone.
            request if !request.has_caller() => {}
            Request::Add(spec, reply) => match self.check_new(spec.as_ref()) {
                Ok(()) => self.add_child(spec, true, Some(PendingStart { is_new: true, reply })),
                Err(error) => reply.send(Err(error)),
            },
            Request::Remove(name, reply) => {
                reply.send(self.find_idle(&name).map(|key| self.remove_child(key)))
            }
            Request::Terminate(name, reply) => match self.find(&name) {
                Some(key) => {
                    self.terminate(key).await;
                    reply.send(Ok(()));
                }
                None => reply.send(Err(AdminError::NotFound)),
            },
            Request::Restart(name, reply) => match self.find_idle(&name) {
                Ok(key) => {
                    if let Some(entry) = self.children.get_mut(&key) {
                        entry.state = ChildState::Queued;
                        entry.pending_start = Some(PendingStart { is_new: false, reply });
                        self.start_queue.insert(key);
                    }
                }
                Err(error) => reply.send(Err(error)),
            },
            Request::List(reply) => reply.send(self.children.values().map(child_info).collect()),
            Request::Find(name, reply) => {
                let key = self.find(&name).ok_or(AdminError::NotFound);
                reply.send(key.map(|key| child_info(&self.children[&key])));
            }
            Request::Count(reply) => reply.send(self.count_children()),
        }
    }

    /// Checks whether a child can be added. The specification is checked before the name, as in
    /// Erlang/OTP.
    fn check_new(&self, spec: &dyn ChildSpec) -> Result<(), AdminError> {
        self.config.validate(spec).map_err(|text| AdminError::Misconfigured(text.into()))?;
        match self.find(&spec.node().name().to_string()) {
            None => Ok(()),
            Some(key) => Err(match self.children[&key].state {
                ChildState::Running { is_ready: true, .. } => AdminError::AlreadyStarted,
                _ => AdminError::AlreadyPresent,
            }),
        }
    }

    async fn terminate(&mut self, key: u64) {
        let is_restart = !self.is_initial_start && self.children[&key].pending_start.is_none();
        if self.starting == Some(key) && is_restart {
            self.cancel_group_restart(key);
        }
        self.reject_start(key);
        self.stop(key).await;
        if self.children[&key].spec.options().restart == Restart::Temporary {
            self.remove_child(key);
        }
    }

    /// Cancels the restarts that are queued in a child's group, except those that were requested.
    fn cancel_group_restart(&mut self, key: u64) {
        for member in self.group(key).collect::<Vec<_>>() {
            let Some(entry) = self.children.get_mut(&member) else { continue };
            if matches!(entry.state, ChildState::Queued) && entry.pending_start.is_none() {
                entry.state = ChildState::Idle;
                entry.spec.node().set_state(NodeState::Idle);
                self.start_queue.remove(&member);
            }
        }
    }

    fn count_children(&self) -> ChildCounts {
        let mut counts = ChildCounts { specs: self.children.len(), ..ChildCounts::default() };
        for entry in self.children.values() {
            counts.active +=
                usize::from(matches!(entry.state, ChildState::Running { is_ready: true, .. }));
            match entry.spec.node().kind() {
                NodeKind::Actor => counts.workers += 1,
                NodeKind::Supervisor | NodeKind::Pool => counts.supervisors += 1,
            }
        }
        counts
    }
}

fn child_info(entry: &ChildEntry) -> ChildInfo {
    let (node, options) = (entry.spec.node(), entry.spec.options());
    let state = match entry.state {
        ChildState::Idle => NodeState::Idle,
        ChildState::Queued | ChildState::Restarting { .. } => NodeState::Restarting,
        ChildState::Running { is_ready: false, .. } => NodeState::Starting,
        ChildState::Running { .. } => NodeState::Running,
    };
    ChildInfo {
        name: node.name().to_string(),
        kind: node.kind(),
        state,
        restarts: node.restarts(),
        restart: options.restart,
        shutdown: options.shutdown,
        significant: options.significant,
    }
}
