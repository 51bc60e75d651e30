//! How a supervisor stops its children.
//!
//! Children are stopped one by one, in the reverse order of their start, each by its [`Shutdown`]:
//! the child is asked to stop and given time, or it is dropped. The supervisor waits until nothing
//! is left of a dropped child.

use std::future::poll_fn;

use futures_lite::future;
use smol::Task;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::supervisor::config::Strategy;
use crate::runtime::supervisor::options::{Restart, Shutdown};
use crate::runtime::supervisor::run::{ChildState, SupervisorRun};
use crate::runtime::supervisor::spec::ChildSpec;
use crate::runtime::tree::snapshot::NodeKind;

impl SupervisorRun {
    /// Stops the children that are restarted together with `key`, and removes the temporary ones,
    /// except `key` itself.
    pub(super) async fn stop_group(&mut self, key: u64) {
        let mut group: Vec<_> = self.group(key).collect();
        while let Some(member) = group.pop() {
            self.stop(member).await;
            let restart = self.children[&member].spec.options().restart;
            if restart == Restart::Temporary && member != key {
                self.remove_child(member);
            }
        }
    }

    /// Stops every child when the supervisor itself ends.
    pub(super) async fn stop_all(&mut self) {
        let mut keys: Vec<_> = self.children.keys().copied().collect();
        while let Some(key) = keys.pop() {
            self.reject_start(key);
            self.stop(key).await;
            let entry = &self.children[&key];
            if entry.is_added {
                entry.spec.close();
            }
        }
    }

    /// Rejects the request that waits for a child's start, if there is one.
    pub(super) fn reject_start(&mut self, key: u64) {
        if let Some(entry) = self.children.get_mut(&key) {
            entry.pending_start = None;
        }
    }

    /// Stops a child by its shutdown, or cancels its start.
    pub(super) async fn stop(&mut self, key: u64) {
        self.start_queue.remove(&key);
        if self.starting == Some(key) {
            self.starting = None;
        }
        let task = self.take_task(key);
        let Some(entry) = self.children.get_mut(&key) else { return };
        entry.state = ChildState::Idle;
        let spec = entry.spec.clone();
        if let Some(task) = task {
            self.shutdown_task(spec.as_ref(), task).await;
        }
        spec.set_idle();
    }

    async fn shutdown_task(&self, spec: &dyn ChildSpec, mut task: Task<Exit>) {
        let timeout = async {
            match spec.options().shutdown {
                Shutdown::Timeout(limit) => self.env.scheduler.sleep(limit).await,
                Shutdown::Kill => {}
                Shutdown::Infinity => future::pending().await,
            }
        };
        // A supervisor that is itself killed gives its children no time either.
        let killed = poll_fn(|cx| self.config.node.control.poll_kill(cx));
        spec.node().control.stop();
        let exit = future::or(async { Some((&mut task).await) }, async {
            future::or(timeout, killed).await;
            None
        });
        let exit = match exit.await {
            None => self.kill_task(spec, task).await,
            exit => exit,
        };
        self.env.observer.emit(|| spec.node().stop_event(exit));
    }

    /// Drops a child and waits until nothing of it is left. Returns its exit if it had ended
    /// before.
    pub(super) async fn kill_task(&self, spec: &dyn ChildSpec, task: Task<Exit>) -> Option<Exit> {
        match spec.node().kind() {
            NodeKind::Actor => task.cancel().await,
            NodeKind::Supervisor | NodeKind::Pool => {
                // Supervisors and pools must stop their own children, so they are never dropped.
                spec.node().control.kill();
                Some(task.await)
            }
        }
    }

    /// Closes the mailbox of a child that has ended and can never be started again.
    ///
    /// Three things can start it again: a restart of its group, a restart of its supervisor, and a
    /// request through the supervisor's address.
    pub(super) fn close_if_final(&self, spec: &dyn ChildSpec) {
        let is_never_restarted =
            self.config.strategy == Strategy::OneForOne && self.config.requests.is_none();
        if is_never_restarted && self.config.node.path().is_root() {
            spec.close();
        }
    }
}
