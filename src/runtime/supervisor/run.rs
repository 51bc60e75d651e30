//! What a supervisor does, one incarnation of it.
//!
//! It starts its children in order, each when the one before has started, and then waits for whatever comes
//! first: its own stop, a note of a child, the end of a pause, a request. The rules that it applies are those
//! of Erlang/OTP's `supervisor`; they are in `restart`. How children are brought to their end is in
//! `stopping`, whom it has in `entries`, and what it is asked at run time in `administer`. Each child's task
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
use crate::runtime::supervisor::Plan;
use crate::runtime::supervisor::intensity::Intensity;
use crate::runtime::supervisor::request::{Asked, Request};
use crate::runtime::supervisor::spec::{Env, Note, Notice, Spec, Start};
use crate::runtime::tree::place::Place;
use crate::runtime::tree::snapshot::State;

/// Lives one incarnation of a supervisor. Its children are gone when it is ready.
pub(crate) async fn supervise(plan: Arc<Plan>, env: Env, notice: Notice) -> Exit {
    let mut life = Life::new(plan, env);
    let exit = match life.enter_all() {
        Ok(()) => life.run(notice).await,
        Err(text) => Exit::Misconfigured(text.into()),
    };
    life.stop_all().await;
    if let Some(requests) = &life.plan.requests {
        requests.refuse();
    }
    exit
}

pub(crate) struct Life {
    pub(crate) plan: Arc<Plan>,
    pub(crate) env: Env,
    /// Where its children stand.
    pub(crate) below: Arc<Place>,
    /// By the order of their start.
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) names: HashMap<String, u64>,
    pub(crate) next: u64,
    pub(crate) intensity: Intensity,
    sender: Sender<Note>,
    /// Unbounded, but never longer than the incarnations that began since it was last looked at.
    notes: Receiver<Note>,
    /// Notes that came while a child was being started.
    deferred: VecDeque<Note>,
    /// The children to start, in their order.
    pub(crate) queue: BTreeSet<u64>,
    /// The child that is being started.
    pub(crate) starting: Option<u64>,
    /// When pauses end. A pause that was called off stays on the list until then.
    pub(crate) pauses: BTreeSet<(Instant, u64)>,
    /// Whether the first start of all children is not over yet.
    pub(crate) is_first: bool,
}

/// A child, as this incarnation of its supervisor has it.
pub(crate) struct Entry {
    pub(crate) spec: Arc<dyn Spec>,
    pub(crate) slot: Slot,
    /// Whether it was added at run time, and is lost with the incarnation.
    pub(crate) is_added: bool,
    /// Who waits for its start.
    pub(crate) asked: Option<Asked>,
}

pub(crate) enum Slot {
    Idle,
    /// In the queue.
    Waiting,
    Alive {
        task: Task<Exit>,
        incarnation: u32,
        is_ready: bool,
        /// When it must be ready.
        until: Option<Instant>,
    },
    Restarting {
        at: Instant,
    },
}

/// What the supervisor was woken for.
enum Wake {
    Stop,
    Due(u64),
    Note(Note),
    Request(Request),
}

impl Life {
    fn new(plan: Arc<Plan>, env: Env) -> Life {
        let (sender, notes) = async_channel::unbounded();
        let below = Place::below(plan.node.path(), &env.scheduler);
        let intensity = Intensity::new(plan.intensity.0, plan.intensity.1);
        Life {
            plan,
            env,
            below,
            entries: BTreeMap::new(),
            names: HashMap::new(),
            next: 0,
            intensity,
            sender,
            notes,
            deferred: VecDeque::new(),
            queue: BTreeSet::new(),
            starting: None,
            pauses: BTreeSet::new(),
            is_first: true,
        }
    }

    async fn run(&mut self, notice: Notice) -> Exit {
        loop {
            // Before anybody else is started, and before an end that came meanwhile brings a restart.
            if self.plan.node.control.is_stop() {
                return Exit::Shutdown;
            }
            if self.starting.is_none() {
                if let Some(key) = self.queue.pop_first() {
                    self.launch(key);
                } else if self.is_first {
                    self.is_first = false;
                    notice.ready(&self.plan.node);
                }
            }
            let exit = match self.wake().await {
                Wake::Stop => return Exit::Shutdown,
                Wake::Due(key) => self.due(key).await,
                Wake::Note(note) => self.heed(note).await,
                Wake::Request(request) => {
                    self.administer(request).await;
                    None
                }
            };
            if let Some(exit) = exit {
                return exit;
            }
        }
    }

    async fn wake(&mut self) -> Wake {
        if self.starting.is_none() {
            if let Some(note) = self.deferred.pop_front() {
                return Wake::Note(note);
            }
        }
        let next_due = self.next_due();
        let control = &self.plan.node.control;
        let stop = async {
            poll_fn(|cx| control.poll_stop(cx)).await;
            Wake::Stop
        };
        let note = async {
            match self.notes.recv().await {
                Ok(note) => Wake::Note(note),
                // This incarnation holds a sender itself, so the channel is never closed.
                Err(_) => future::pending().await,
            }
        };
        let request = async {
            match &self.plan.requests {
                Some(requests) => Wake::Request(requests.next().await),
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
                    Wake::Due(key)
                }
                None => future::pending().await,
            }
        };
        future::or(stop, future::or(note, future::or(due, request))).await
    }

    /// Returns the child whose time is up next, and when: of its start, or else of a pause.
    fn next_due(&mut self) -> Option<(Instant, u64)> {
        if let Some(key) = self.starting {
            return match self.entries.get(&key)?.slot {
                Slot::Alive { until, .. } => Some((until?, key)),
                _ => None,
            };
        }
        loop {
            let (at, key) = *self.pauses.first()?;
            match self.entries.get(&key).map(|entry| &entry.slot) {
                Some(Slot::Restarting { at: paused }) if *paused == at => return Some((at, key)),
                _ => self.pauses.pop_first(),
            };
        }
    }

    fn launch(&mut self, key: u64) {
        let now = self.env.scheduler.now();
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let incarnation = entry.spec.node().begin(now, State::Starting);
        let (notes, observer) = (self.sender.clone(), self.env.observer.clone());
        let notice = Notice { child: key, incarnation, notes, observer };
        let task = entry.spec.launch(&self.env, notice);
        let until = match entry.spec.options().start {
            Start::Said(Some(limit)) => now.checked_add(limit),
            _ => None,
        };
        entry.slot = Slot::Alive { task, incarnation, is_ready: false, until };
        self.starting = Some(key);
    }

    /// Decides what follows a note; an exit is the supervisor's own.
    async fn heed(&mut self, note: Note) -> Option<Exit> {
        let (Note::Ready(key, of) | Note::Ended(key, of)) = note;
        if self.starting.is_some_and(|starting| starting != key) {
            self.deferred.push_back(note);
            return None;
        }
        let entry = self.entries.get_mut(&key)?;
        let Slot::Alive { incarnation, is_ready, .. } = &mut entry.slot else { return None };
        // One that was stopped in between was told of then.
        if *incarnation != of {
            return None;
        }
        match note {
            Note::Ready(..) => {
                *is_ready = true;
                self.starting = None;
                Asked::answer(&mut entry.asked, Ok(()));
                None
            }
            Note::Ended(..) => {
                let was_ready = *is_ready;
                let exit = self.take_alive(key)?.await;
                match was_ready {
                    true => self.ended(key, exit).await,
                    false => self.not_started(key, exit).await,
                }
            }
        }
    }
}
