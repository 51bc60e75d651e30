//! What a supervisor does, one incarnation of it.
//!
//! It starts its children in order, waits for an exit, the end of a pause or its own stop, and applies the
//! rules of Erlang/OTP's `supervisor`: restart by the child's kind and the strategy, count against the
//! intensity, stop in reverse order one by one with a time limit each, kill by dropping and wait for the
//! drop. Each child's task is awaited before anything takes its place, so two incarnations of a child
//! never live at once.

use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use futures_lite::future;
use smol::Task;

use super::child::{Env, Notice, Restart, Shutdown, Spec};
use super::intensity::Intensity;
use super::supervisor::{Plan, Strategy};
use super::tree::{Kind, State};
use super::{Exit, Lifecycle};

/// Lives one incarnation of a supervisor. Its children are gone when it is ready.
pub(crate) async fn supervise(plan: Arc<Plan>, env: Env) -> Exit {
    let (sender, exits) = async_channel::unbounded();
    let slots = plan.children.iter().map(|_| Slot::Idle).collect();
    let intensity = Intensity::new(plan.intensity.0, plan.intensity.1);
    let mut life = Life { plan, env, slots, intensity, sender, exits };
    let exit = life.run().await;
    life.stop_from(0).await;
    exit
}

struct Life {
    plan: Arc<Plan>,
    env: Env,
    slots: Vec<Slot>,
    intensity: Intensity,
    sender: Sender<(usize, u32)>,
    /// Unbounded, but never longer than the incarnations that ended since it was last looked at.
    exits: Receiver<(usize, u32)>,
}

/// A child, as this incarnation of its supervisor has it.
enum Slot {
    Idle,
    Running { task: Task<Exit>, incarnation: u32 },
    Restarting { at: Instant },
}

/// What the supervisor was woken for.
enum Wake {
    Stop,
    Due,
    Exit(usize, u32),
}

impl Life {
    async fn run(&mut self) -> Exit {
        for child in 0..self.slots.len() {
            self.start(child);
        }
        loop {
            match self.wake().await {
                Wake::Stop => return Exit::Shutdown,
                Wake::Due => self.start_due(),
                Wake::Exit(child, incarnation) => {
                    if let Some(exit) = self.ended(child, incarnation).await {
                        return exit;
                    }
                }
            }
        }
    }

    async fn wake(&self) -> Wake {
        let control = &self.plan.node.control;
        let stop = async {
            poll_fn(|cx| control.poll_stop(cx)).await;
            Wake::Stop
        };
        let exit = async {
            match self.exits.recv().await {
                Ok((child, incarnation)) => Wake::Exit(child, incarnation),
                // This incarnation holds a sender itself, so the channel is never closed.
                Err(_) => future::pending().await,
            }
        };
        let due = async {
            match self.next_due() {
                Some(at) => {
                    let pause = at.saturating_duration_since(self.env.scheduler.now());
                    if !pause.is_zero() {
                        self.env.scheduler.sleep(pause).await;
                    }
                }
                None => future::pending().await,
            }
            Wake::Due
        };
        future::or(stop, future::or(due, exit)).await
    }

    fn next_due(&self) -> Option<Instant> {
        let due = |slot: &Slot| match slot {
            Slot::Restarting { at } => Some(*at),
            _ => None,
        };
        self.slots.iter().filter_map(due).min()
    }

    fn start_due(&mut self) {
        let now = self.env.scheduler.now();
        for child in 0..self.slots.len() {
            if matches!(self.slots[child], Slot::Restarting { at } if at <= now) {
                self.start(child);
            }
        }
    }

    fn spec(&self, child: usize) -> &dyn Spec {
        self.plan.children[child].as_ref()
    }

    fn start(&mut self, child: usize) {
        let spec = self.spec(child);
        let incarnation = spec.node().begin(self.env.scheduler.now());
        spec.open();
        self.env.observer.tell(|| Lifecycle::Started { path: spec.node().path(), incarnation });
        let notice = Notice { child, incarnation, exits: self.sender.clone() };
        let task = spec.launch(&self.env, notice);
        self.slots[child] = Slot::Running { task, incarnation };
    }

    /// Decides what follows the end of a child; an exit is the supervisor's own.
    async fn ended(&mut self, child: usize, incarnation: u32) -> Option<Exit> {
        match &self.slots[child] {
            Slot::Running { incarnation: present, .. } if *present == incarnation => {}
            // It was stopped in between, with its group: that was told then.
            _ => return None,
        }
        let Slot::Running { task, .. } = mem::replace(&mut self.slots[child], Slot::Idle) else {
            return None;
        };
        let exit = task.await;
        let spec = self.spec(child);
        let path = spec.node().path();
        spec.node().set(State::Idle);
        self.env.observer.tell(|| Lifecycle::Exited { path: path.clone(), exit: exit.clone() });
        let again = match spec.options().restart {
            Restart::Permanent => true,
            Restart::Transient => !exit.is_normal(),
            Restart::Temporary => false,
        };
        if !again {
            self.retire(child);
            let significant = self.spec(child).options().significant;
            return significant.then(|| if exit.is_normal() { Exit::Normal } else { exit });
        }
        if !self.intensity.allow(self.env.scheduler.now()) {
            return Some(self.give_up(path.to_string(), exit));
        }
        self.restart(child).await;
        None
    }

    fn give_up(&self, last: String, exit: Exit) -> Exit {
        let exit = Exit::GaveUp {
            restarts: self.intensity.restarts,
            within: self.intensity.within,
            last: Arc::new((last, exit)),
        };
        let path = self.plan.node.path();
        self.env.observer.tell(|| Lifecycle::GaveUp { path, exit: exit.clone() });
        exit
    }

    /// Stops the rest of the child's group in reverse order and sets the whole group up to start again.
    async fn restart(&mut self, child: usize) {
        let group = match self.plan.strategy {
            Strategy::OneForOne => child..child + 1,
            Strategy::OneForAll => 0..self.slots.len(),
            Strategy::RestForOne => child..self.slots.len(),
        };
        if self.plan.strategy != Strategy::OneForOne {
            self.stop_from(group.start).await;
        }
        let after = self.pause();
        let at = self.env.scheduler.now() + after;
        for member in group {
            if self.spec(member).options().restart == Restart::Temporary {
                self.retire(member);
                continue;
            }
            self.slots[member] = Slot::Restarting { at };
            let node = self.spec(member).node();
            node.set(State::Restarting);
            let restarts = node.restarts() + 1;
            self.env.observer.tell(|| Lifecycle::Restarting { path: node.path(), restarts, after });
        }
    }

    fn pause(&self) -> Duration {
        let Some((first, most)) = self.plan.backoff else {
            return Duration::ZERO;
        };
        let doublings = self.intensity.recent().saturating_sub(1).min(31);
        self.env.scheduler.jitter(first.saturating_mul(1 << doublings).min(most))
    }

    /// Closes the mailbox of a child that can never come back. In a group, a child that is not temporary
    /// comes back with its group, and below a nested supervisor any child does when that is restarted.
    fn retire(&self, child: usize) {
        let temporary = self.spec(child).options().restart == Restart::Temporary;
        let alone = temporary || self.plan.strategy == Strategy::OneForOne;
        if alone && self.plan.node.path().is_root() {
            self.spec(child).retire();
        }
    }

    async fn stop_from(&mut self, first: usize) {
        for child in (first..self.slots.len()).rev() {
            let slot = mem::replace(&mut self.slots[child], Slot::Idle);
            if let Slot::Running { task, .. } = slot {
                self.stop(child, task).await;
            }
            self.spec(child).node().set(State::Idle);
        }
    }

    /// Brings one child to its end, by its shutdown, and waits until nothing of it is left.
    async fn stop(&self, child: usize, mut task: Task<Exit>) {
        let spec = self.spec(child);
        let node = spec.node();
        let limit = async {
            match spec.options().shutdown {
                Shutdown::Within(limit) => self.env.scheduler.sleep(limit).await,
                Shutdown::Kill => {}
                Shutdown::Forever => future::pending().await,
            }
        };
        // A supervisor that is killed itself leaves its children no time either.
        let killed = poll_fn(|cx| self.plan.node.control.poll_kill(cx));
        node.control.stop();
        let ended = future::or(async { Some((&mut task).await) }, async {
            future::or(limit, killed).await;
            None
        });
        let exit = match ended.await {
            None if node.kind == Kind::Actor => task.cancel().await,
            None => {
                // A supervisor and a pool end their own children, so they are never dropped.
                node.control.kill();
                Some(task.await)
            }
            exit => exit,
        };
        let path = node.path();
        self.env.observer.tell(|| match exit {
            Some(exit) => Lifecycle::Stopped { path, exit },
            None => Lifecycle::Killed { path },
        });
    }
}
