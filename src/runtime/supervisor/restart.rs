//! The rules of restarts: what follows the end of a child.
//!
//! The rules are Erlang/OTP's. A permanent child is always restarted, a transient child after an
//! abnormal exit, a temporary child never, not even with its group. Each restart counts against the
//! intensity, and a restart of a group counts once. A failed start attempt needs another restart,
//! which counts again. Beyond OTP there can be a pause before each restart, in which the child is
//! in the `restarting` state.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::executor::exponential_delay;
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::supervisor::config::{AutoShutdown, Strategy};
use crate::runtime::supervisor::options::{Restart, StartMode};
use crate::runtime::supervisor::request::AdminError;
use crate::runtime::supervisor::run::{ChildState, SupervisorRun};
use crate::runtime::tree::snapshot::NodeState;
use crate::time::deadline_after;

impl SupervisorRun {
    /// Handles the end of a child that had started. Returns the supervisor's own exit if it ends.
    pub(super) async fn on_exit(&mut self, key: u64, exit: Exit) -> Option<Exit> {
        let spec = self.children.get(&key)?.spec.clone();
        let node = spec.node();
        spec.set_idle();
        let (path, lost) = (node.path(), node.lost_message(&exit));
        self.env.observer.emit(|| Lifecycle::Exited { path, exit: exit.clone(), lost });
        let is_restarted = match spec.options().restart {
            Restart::Permanent => true,
            Restart::Transient => !exit.is_normal(),
            Restart::Temporary => false,
        };
        if is_restarted {
            return self.count_and_restart(key, exit, false).await;
        }
        match spec.options().restart {
            Restart::Temporary => self.remove_child(key),
            _ => self.close_if_final(spec.as_ref()),
        }
        let shuts_down = spec.options().significant
            && match self.config.auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => !self.has_significant(),
            };
        shuts_down.then(|| if exit.is_normal() { Exit::Normal } else { exit })
    }

    /// Handles the end of a child that had not started. Returns the supervisor's own exit if it
    /// ends.
    pub(super) async fn on_exit_before_ready(&mut self, key: u64, exit: Exit) -> Option<Exit> {
        self.starting = None;
        let entry = self.children.get_mut(&key)?;
        let (spec, pending_start) = (entry.spec.clone(), entry.pending_start.take());
        let path = spec.node().path();
        spec.set_idle();
        if exit.is_normal() {
            self.env.observer.emit(|| Lifecycle::Ignored { path });
            match spec.options().restart {
                Restart::Temporary => self.remove_child(key),
                _ => self.close_if_final(spec.as_ref()),
            }
            if let Some(pending) = pending_start {
                pending.reply.send(Ok(()));
            }
            return None;
        }
        self.env.observer.emit(|| Lifecycle::StartFailed {
            path: path.clone(),
            exit: exit.clone(),
            lost: spec.node().lost_message(&exit),
        });
        if let Some(pending) = pending_start {
            if pending.is_new {
                self.remove_child(key);
            }
            pending.reply.send(Err(AdminError::StartFailed(exit)));
            return None;
        }
        if self.is_initial_start {
            return Some(Exit::StartFailed(Arc::new((path, exit))));
        }
        self.count_and_restart(key, exit, true).await
    }

    /// Counts a restart, and restarts a child with its group or gives up.
    ///
    /// A retry after a failed start attempt always goes through the list of pauses, even without a
    /// backoff. So the events that were deferred during the attempt come first, as in OTP. A child
    /// that fails to start again and again must not delay the others.
    async fn count_and_restart(&mut self, key: u64, exit: Exit, is_retry: bool) -> Option<Exit> {
        if !self.intensity.allow(self.env.scheduler.now()) {
            return Some(self.give_up(key, exit));
        }
        self.stop_group(key).await;
        let group: Vec<_> = self.group(key).collect();
        let delay = self.backoff_delay();
        if delay.is_zero() && !is_retry {
            self.enqueue(&group);
        } else if let Some(entry) = self.children.get_mut(&key) {
            // The pause begins now, after the group was stopped. An unlimited pause only ends with
            // a stop, or with a request to start the child.
            let now = self.env.scheduler.now();
            let restart_at = deadline_after(now, delay);
            entry.state = ChildState::Restarting { restart_at };
            self.backoffs.insert((restart_at, key));
            entry.spec.node().set_state(NodeState::Restarting);
            if !delay.is_zero() {
                // A start that was requested does not wait for the end of the pause.
                let is_requested = |member: &u64| self.children[member].pending_start.is_some();
                let requested: Vec<_> = group.iter().copied().filter(is_requested).collect();
                self.enqueue(&requested);
            }
        }
        for member in &group {
            let node = self.children[member].spec.node();
            if node.incarnation() > 0 {
                let (path, restarts) = (node.path(), node.restarts() + 1);
                self.env.observer.emit(|| Lifecycle::Restarting { path, restarts, delay });
            }
        }
        None
    }

    /// Handles a deadline: a start that took too long, or the end of a pause before a restart.
    pub(super) async fn on_deadline(&mut self, key: u64) -> Option<Exit> {
        if self.starting == Some(key) {
            let entry = self.children.get_mut(&key)?;
            let spec = entry.spec.clone();
            if let ChildState::Running { task, ready_deadline, .. } = &mut entry.state {
                // The child became ready or ended in time, but the supervisor was busy stopping
                // another child. The child's event is in the queue.
                if task.is_finished() || spec.node().state() != NodeState::Starting {
                    *ready_deadline = None;
                    return None;
                }
            }
            let task = self.take_task(key)?;
            let limit = match spec.options().start_mode {
                StartMode::OnReady(Some(limit)) => limit,
                _ => Duration::ZERO,
            };
            // A child that ended by itself at the last moment keeps its own exit.
            let exit = self.kill_task(spec.as_ref(), task).await;
            return self.on_exit_before_ready(key, exit.unwrap_or(Exit::NotReady(limit))).await;
        }
        self.backoffs.pop_first();
        // A request may have started a child of the group during the pause.
        self.stop_group(key).await;
        let group: Vec<_> = self.group(key).collect();
        self.enqueue(&group);
        None
    }

    /// Returns the keys of the children that are restarted together with `key`.
    pub(super) fn group(&self, key: u64) -> impl Iterator<Item = u64> {
        let (first, last) = match self.config.strategy {
            Strategy::OneForOne => (key, key),
            Strategy::OneForAll => (0, u64::MAX),
            Strategy::RestForOne => (key, u64::MAX),
        };
        self.children.range(first..=last).map(|(key, _)| *key)
    }

    fn enqueue(&mut self, group: &[u64]) {
        for member in group {
            if let Some(entry) = self.children.get_mut(member) {
                entry.state = ChildState::Queued;
                entry.spec.node().set_state(NodeState::Restarting);
                self.start_queue.insert(*member);
            }
        }
    }

    /// Returns whether a significant child is running or about to run.
    fn has_significant(&self) -> bool {
        let mut entries = self.children.values();
        entries.any(|e| e.spec.options().significant && !matches!(e.state, ChildState::Idle))
    }

    fn give_up(&self, key: u64, exit: Exit) -> Exit {
        let last = self.children[&key].spec.node().path();
        let exit = Exit::GaveUp {
            max_restarts: self.intensity.max_restarts,
            window: self.intensity.window,
            last: Arc::new((last, exit)),
        };
        let path = self.config.node.path();
        self.env.observer.emit(|| Lifecycle::GaveUp { path, exit: exit.clone() });
        exit
    }

    fn backoff_delay(&self) -> Duration {
        let Some((initial, max)) = self.config.backoff else {
            return Duration::ZERO;
        };
        let delay = exponential_delay(self.intensity.recent_count(), initial, max);
        self.env.scheduler.jitter(delay)
    }
}
