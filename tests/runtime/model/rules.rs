//! The model of OTP's rules: what a supervisor does with what it learns.
//!
//! Each rule stands beside its function in `supervisor.erl`, in its words. What is beyond OTP: a child may
//! take its time to start and a restart may pause, and a supervisor answers meanwhile; a stop goes before
//! everything else; a supervisor that gives up ends abnormally, and one that follows a significant child
//! ends with that child's exit.

use std::collections::VecDeque;
use std::time::Duration;

use sockactors::runtime::{AutoShutdown, NodeState, Restart};

use super::events::{End, What};
use super::spec::{Body, Plan, Rules};
use super::state::{Id, Life, Slot, Timer, World};

/// An incarnation of a supervisor.
#[derive(Debug, Default, Clone)]
pub struct Desk {
    /// In the order of their start.
    pub children: Vec<Id>,
    pub notes: VecDeque<Note>,
    /// Those that came while another child was being started.
    pub deferred: VecDeque<Note>,
    pub starting: Option<Id>,
    pub is_started: bool,
    pub restarts: Vec<Duration>,
    /// Whether it was asked to stop, and whether its children are left no time.
    pub is_stopping: bool,
    pub is_struck: bool,
    /// What it waits for.
    pub stopping: Option<Stopping>,
}

/// What a child's incarnation tells its supervisor.
#[derive(Debug, Clone, Copy)]
pub struct Note {
    pub of: Id,
    pub incarnation: u32,
    pub is_end: bool,
    pub at: Duration,
}

/// Children to stop, the last first, and what follows.
#[derive(Debug, Clone)]
pub struct Stopping {
    pub left: Vec<Id>,
    pub now: Option<Id>,
    pub then: Then,
}

#[derive(Debug, Clone)]
pub enum Then {
    /// Restart the group of a child, now or after a pause; whether it is one more attempt.
    Restart(Id, bool),
    /// The pause is over.
    Begin(Id),
    Answer(Id, usize),
    End(End),
}

impl World {
    pub fn rules(&self, id: Id) -> &Rules {
        match &self.nodes[id].plan.body {
            Body::Supervisor(rules) => rules,
            _ => panic!("{} is no supervisor", self.nodes[id].path),
        }
    }

    pub fn desk(&mut self, id: Id) -> &mut Desk {
        self.nodes[id].desk.as_mut().expect("the supervisor lives")
    }

    /// `init`: the specifications are looked at before anybody starts.
    pub fn open_desk(&mut self, id: Id) {
        self.nodes[id].desk = Some(Desk::default());
        self.nodes[id].life = Life::Starting;
        for child in self.nodes[id].planned.clone() {
            let name = &self.nodes[child].plan.name;
            let is_double = self.child(id, name).is_some();
            if is_double || self.is_bad(id, &self.nodes[child].plan) {
                self.tally.count("misconfigured");
                return self.close_desk(id, End::Misconfigured);
            }
            self.nodes[child].slot = Slot::Waiting;
            self.desk(id).children.push(child);
        }
        self.wake(id);
    }

    /// `validSignificant`.
    pub fn is_bad(&self, id: Id, plan: &Plan) -> bool {
        plan.significant
            && (self.rules(id).auto_shutdown == AutoShutdown::Never
                || plan.restart == Restart::Permanent)
    }

    pub fn child(&self, id: Id, name: &str) -> Option<Id> {
        let children = &self.nodes[id].desk.as_ref()?.children;
        children.iter().copied().find(|child| self.nodes[*child].plan.name == name)
    }

    /// Has a supervisor go on until it waits for something.
    pub fn supervise(&mut self, id: Id) {
        while self.nodes[id].desk.is_some() && self.step(id) {}
    }

    /// The supervisor's loop; `false` when there is nothing to do now.
    fn step(&mut self, id: Id) -> bool {
        let now = self.now;
        let desk = self.desk(id);
        if let Some(stopping) = &mut desk.stopping {
            if stopping.now.is_some() {
                return self.notice(id);
            }
            match stopping.left.pop() {
                Some(child) => self.stop(id, child),
                None => self.all_stopped(id),
            }
            // Whoever was asked to stop has to get its turn first.
            let desk = self.nodes[id].desk.as_ref();
            let waits_for = desk.and_then(|desk| desk.stopping.as_ref()?.now);
            return waits_for.is_none();
        }
        if desk.is_stopping {
            self.end_with(id, End::Shutdown);
            return true;
        }
        let (starting, is_started) = (desk.starting, desk.is_started);
        let children = desk.children.clone();
        if starting.is_none() {
            let waiting = children.iter().find(|child| self.nodes[**child].slot == Slot::Waiting);
            if let Some(child) = waiting {
                self.start(id, *child);
                return true;
            }
            if !is_started {
                self.desk(id).is_started = true;
                self.is_up(id);
                return true;
            }
            if let Some(note) = self.take_note(id, true) {
                self.heed(id, note);
                return true;
            }
        }
        // Who has become ready in its time, or ended, is not late: there is a note of that.
        let is_late = |child: Id| {
            let node = &self.nodes[child];
            node.life == Life::Starting && node.until.is_some_and(|until| until <= now)
        };
        match starting {
            Some(child) if is_late(child) => {
                let limit =
                    self.nodes[child].until.take().map_or(Duration::ZERO, |_| self.limit(child));
                self.tally.count("late start");
                self.nodes[child].slot = Slot::Idle;
                self.nodes[child].life = Life::None;
                self.not_started(id, child, End::NotReady(limit));
                return true;
            }
            _ => {}
        }
        if let Some(note) = self.take_note(id, false) {
            match starting.is_some_and(|starting| starting != note.of) {
                true => {
                    self.tally.count("put off during a start");
                    self.desk(id).deferred.push_back(note);
                }
                false => self.heed(id, note),
            }
            return true;
        }
        if starting.is_none() {
            let pauses = children.iter().filter_map(|child| match self.nodes[*child].slot {
                Slot::Restarting(at) if at <= now => Some((at, *child)),
                _ => None,
            });
            if let Some((_, child)) = pauses.min() {
                self.stop_all_of(id, self.group(id, child), Then::Begin(child));
                return true;
            }
        }
        match self.nodes[id].requests.pop_front() {
            Some(request) => {
                self.administer(id, request);
                true
            }
            None => false,
        }
    }

    /// `do_start_child`. What the supervisor can do before the child gets to run, it does.
    fn start(&mut self, id: Id, child: Id) {
        self.desk(id).starting = Some(child);
        let now = self.now;
        let node = &mut self.nodes[child];
        node.incarnation += 1;
        (node.slot, node.shown) = (Slot::Alive(false), NodeState::Starting);
        (node.life, node.until, node.is_struck) = (Life::Newborn, None, false);
        match &node.plan.clone().body {
            Body::Pool(_) => self.is_up(child),
            Body::Supervisor(_) => self.wake(child),
            Body::Actor(puppet) => {
                if let Some(limit) = puppet.says.flatten() {
                    node.until = Some(now + limit);
                    self.set_timer(now + limit, Timer::Wake(id));
                }
                self.wake(child);
            }
        }
    }

    fn limit(&self, child: Id) -> Duration {
        match &self.nodes[child].plan.body {
            Body::Actor(puppet) => puppet.says.flatten().unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// `do_restart`: a child that had started has ended.
    pub fn ended(&mut self, id: Id, child: Id, end: End) {
        self.rest(child);
        self.tell(child, What::Exited(end.clone()));
        let plan = self.nodes[child].plan.clone();
        let again = match plan.restart {
            Restart::Permanent => true,
            Restart::Transient => end.is_abnormal(),
            Restart::Temporary => false,
        };
        if again {
            return self.restart(id, child, end, false);
        }
        if plan.restart == Restart::Temporary {
            self.leave(id, child);
        }
        let ends = plan.significant
            && match self.rules(id).auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => {
                    let lives = |other: &Id| {
                        let other = &self.nodes[*other];
                        other.plan.significant && other.slot != Slot::Idle
                    };
                    !self.nodes[id].desk.iter().any(|desk| desk.children.iter().any(lives))
                }
            };
        if ends {
            self.tally.count(match self.rules(id).auto_shutdown {
                AutoShutdown::AnySignificant => "auto-shutdown: any",
                _ => "auto-shutdown: all",
            });
            self.end_with(id, if end.is_abnormal() { end } else { End::Normal });
        } else if plan.significant {
            self.tally.count("auto-shutdown: not yet");
        }
    }
}
