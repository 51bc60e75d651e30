//! The rules of restarts: what follows the end of a child.
//!
//! They are Erlang/OTP's. A permanent child is started again always, a transient one after an abnormal exit, a
//! temporary one never, not even with its group. Each restart counts against the intensity, a group's once;
//! an attempt that fails is a restart that is needed again, and counts again. Beyond OTP there may be a pause
//! before each restart, during which the child is in the `restarting` state.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::supervisor::admin::AdminError;
use crate::runtime::supervisor::options::StartMode;
use crate::runtime::supervisor::request::PendingStart;
use crate::runtime::supervisor::run::{ChildState, SupervisorRun};
use crate::runtime::tree::snapshot::NodeState;
use crate::runtime::{AutoShutdown, Exit, Lifecycle, Restart, Strategy};

/// Longer than any system runs.
const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl SupervisorRun {
    /// Decides what follows the end of a child that had started; an exit is the supervisor's own.
    pub(crate) async fn on_exit(&mut self, key: u64, exit: Exit) -> Option<Exit> {
        let spec = self.children.get(&key)?.spec.clone();
        let node = spec.node();
        spec.set_idle();
        let (path, lost) = (node.path(), node.lost_message(&exit));
        self.env.observer.emit(|| Lifecycle::Exited { path, exit: exit.clone(), lost });
        let again = match spec.options().restart {
            Restart::Permanent => true,
            Restart::Transient => !exit.is_normal(),
            Restart::Temporary => false,
        };
        if again {
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

    /// Decides what follows the end of a child that had not started; an exit is the supervisor's own.
    pub(crate) async fn on_exit_before_ready(&mut self, key: u64, exit: Exit) -> Option<Exit> {
        self.starting = None;
        let entry = self.children.get_mut(&key)?;
        let (spec, asked) = (entry.spec.clone(), entry.pending_start.take());
        let path = spec.node().path();
        spec.set_idle();
        if exit.is_normal() {
            self.env.observer.emit(|| Lifecycle::Ignored { path });
            match spec.options().restart {
                Restart::Temporary => self.remove_child(key),
                _ => self.close_if_final(spec.as_ref()),
            }
            PendingStart::complete(&mut { asked }, Ok(()));
            return None;
        }
        self.env.observer.emit(|| Lifecycle::StartFailed {
            path: path.clone(),
            exit: exit.clone(),
            lost: spec.node().lost_message(&exit),
        });
        if let Some(asked) = asked {
            if asked.is_new {
                self.remove_child(key);
            }
            PendingStart::complete(&mut Some(asked), Err(AdminError::StartFailed(exit)));
            return None;
        }
        if self.is_initial_start {
            return Some(Exit::StartFailed(Arc::new((path, exit))));
        }
        self.count_and_restart(key, exit, true).await
    }

    /// Has a child and its group restarted. What was put off during an attempt that failed comes before the
    /// next one, as in OTP: a child that does not start again and again must hold nobody else up.
    async fn count_and_restart(&mut self, key: u64, exit: Exit, is_retry: bool) -> Option<Exit> {
        if !self.intensity.allow(self.env.scheduler.now()) {
            return Some(self.give_up(key, exit));
        }
        self.stop_group(key).await;
        let group: Vec<_> = self.group(key).collect();
        let after = self.backoff_delay();
        if after.is_zero() && !is_retry {
            self.enqueue(&group);
        } else if let Some(entry) = self.children.get_mut(&key) {
            // From now on, and not from before the others were stopped. A pause without an end only ends with a
            // stop, or when somebody starts the child.
            let now = self.env.scheduler.now();
            let at = now.checked_add(after).unwrap_or(now + FAR_FUTURE);
            entry.state = ChildState::Restarting { restart_at: at };
            self.backoffs.insert((at, key));
            entry.spec.node().set_state(NodeState::Restarting);
            if !after.is_zero() {
                // Whose start was asked for does not wait for the others.
                let is_asked = |member: &u64| self.children[member].pending_start.is_some();
                let asked: Vec<_> = group.iter().copied().filter(is_asked).collect();
                self.enqueue(&asked);
            }
        }
        for member in &group {
            let node = self.children[member].spec.node();
            if node.incarnation() > 0 {
                let (path, restarts) = (node.path(), node.restarts() + 1);
                self.env.observer.emit(|| Lifecycle::Restarting { path, restarts, delay: after });
            }
        }
        None
    }

    /// Does what the time is up for: a start that took too long, or a pause before a restart.
    pub(crate) async fn on_deadline(&mut self, key: u64) -> Option<Exit> {
        if self.starting == Some(key) {
            let entry = self.children.get_mut(&key)?;
            let spec = entry.spec.clone();
            if let ChildState::Running { task, ready_deadline: until, .. } = &mut entry.state {
                // Whoever became ready or ended in its time is not late, though its supervisor may be, which
                // had somebody else to stop. There is a note of it.
                if task.is_finished() || spec.node().state() != NodeState::Starting {
                    *until = None;
                    return None;
                }
            }
            let task = self.take_task(key)?;
            let limit = match spec.options().start_mode {
                StartMode::OnReady(Some(limit)) => limit,
                _ => Duration::ZERO,
            };
            // One that ended by itself in the last moment has its own reason.
            let exit = self.kill_task(spec.as_ref(), task).await;
            return self.on_exit_before_ready(key, exit.unwrap_or(Exit::NotReady(limit))).await;
        }
        self.backoffs.pop_first();
        // Somebody may have started one of its group in between.
        self.stop_group(key).await;
        let group: Vec<_> = self.group(key).collect();
        self.enqueue(&group);
        None
    }

    /// Lists the children that are restarted when `key` is.
    pub(crate) fn group(&self, key: u64) -> impl Iterator<Item = u64> {
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
        let Some((first, most)) = self.config.backoff else {
            return Duration::ZERO;
        };
        let doublings = self.intensity.recent_count().saturating_sub(1).min(31);
        self.env.scheduler.jitter(first.saturating_mul(1 << doublings).min(most))
    }
}
