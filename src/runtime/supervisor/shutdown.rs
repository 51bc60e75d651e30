//! How a supervisor brings its children to their end.
//!
//! In reverse order of their start, one by one, each by its [`Shutdown`]: asked and given time, or dropped.
//! Whatever is dropped is waited for until nothing of it is left.

use std::future::poll_fn;

use futures_lite::future;
use smol::Task;

use crate::runtime::supervisor::run::{ChildState, SupervisorRun};
use crate::runtime::supervisor::spec::ChildSpec;
use crate::runtime::tree::snapshot::NodeKind;
use crate::runtime::{Exit, Restart, Shutdown, Strategy};

impl SupervisorRun {
    /// Stops whoever is restarted together with `key`, and forgets the temporary ones among them.
    pub(crate) async fn stop_group(&mut self, key: u64) {
        let mut group: Vec<_> = self.group(key).collect();
        while let Some(member) = group.pop() {
            self.stop(member).await;
            let restart = self.children[&member].spec.options().restart;
            if restart == Restart::Temporary && member != key {
                self.remove_child(member);
            }
        }
    }

    /// Stops every child, at the supervisor's own end.
    pub(crate) async fn stop_all(&mut self) {
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

    /// Tells whoever waits for a child's start that it waits in vain.
    pub(crate) fn reject_start(&mut self, key: u64) {
        if let Some(entry) = self.children.get_mut(&key) {
            entry.pending_start = None;
        }
    }

    /// Brings one child to its end, by its shutdown, or calls off its start.
    pub(crate) async fn stop(&mut self, key: u64) {
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

    /// Takes the task of a child that lives, which is idle from now on.
    pub(crate) fn take_task(&mut self, key: u64) -> Option<Task<Exit>> {
        let entry = self.children.get_mut(&key)?;
        match std::mem::replace(&mut entry.state, ChildState::Idle) {
            ChildState::Running { task, .. } => Some(task),
            other => {
                entry.state = other;
                None
            }
        }
    }

    async fn shutdown_task(&self, spec: &dyn ChildSpec, mut task: Task<Exit>) {
        let limit = async {
            match spec.options().shutdown {
                Shutdown::Timeout(limit) => self.env.scheduler.sleep(limit).await,
                Shutdown::Kill => {}
                Shutdown::Infinity => future::pending().await,
            }
        };
        // A supervisor that is killed itself leaves its children no time either.
        let killed = poll_fn(|cx| self.config.node.control.poll_kill(cx));
        spec.node().control.stop();
        let ended = future::or(async { Some((&mut task).await) }, async {
            future::or(limit, killed).await;
            None
        });
        let exit = match ended.await {
            None => self.kill_task(spec, task).await,
            exit => exit,
        };
        self.env.observer.emit(|| spec.node().stop_event(exit));
    }

    /// Drops what is left of a child, and waits until nothing is; an exit where it had one after all.
    pub(crate) async fn kill_task(&self, spec: &dyn ChildSpec, task: Task<Exit>) -> Option<Exit> {
        match spec.node().kind() {
            NodeKind::Actor => task.cancel().await,
            NodeKind::Supervisor | NodeKind::Pool => {
                // They end their own children, so they are never dropped.
                spec.node().control.kill();
                Some(task.await)
            }
        }
    }

    /// Closes the mailbox of a child that stays and can never come back. In a group it comes back with its
    /// group; below a nested supervisor, when that is restarted; and whoever has the supervisor's address may
    /// start it again.
    pub(crate) fn close_if_final(&self, spec: &dyn ChildSpec) {
        let is_alone =
            self.config.strategy == Strategy::OneForOne && self.config.requests.is_none();
        if is_alone && self.config.node.path().is_root() {
            spec.close();
        }
    }
}
