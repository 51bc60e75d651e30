//! How a supervisor brings its children to their end.
//!
//! In reverse order of their start, one by one, each by its [`Shutdown`]: asked and given time, or dropped.
//! Whatever is dropped is waited for until nothing of it is left.

use std::future::poll_fn;

use futures_lite::future;
use smol::Task;

use crate::runtime::supervisor::run::{Life, Slot};
use crate::runtime::supervisor::spec::Spec;
use crate::runtime::tree::snapshot::Kind;
use crate::runtime::{Exit, Restart, Shutdown, Strategy};

impl Life {
    /// Stops whoever is restarted together with `key`, and forgets the temporary ones among them.
    pub(crate) async fn stop_group(&mut self, key: u64) {
        let mut group: Vec<_> = self.group(key).collect();
        while let Some(member) = group.pop() {
            self.stop(member).await;
            let restart = self.entries[&member].spec.options().restart;
            if restart == Restart::Temporary && member != key {
                self.leave(member);
            }
        }
    }

    /// Stops every child, at the supervisor's own end.
    pub(crate) async fn stop_all(&mut self) {
        let mut keys: Vec<_> = self.entries.keys().copied().collect();
        while let Some(key) = keys.pop() {
            self.refuse_start(key);
            self.stop(key).await;
            let entry = &self.entries[&key];
            if entry.is_added {
                entry.spec.retire();
            }
        }
    }

    /// Tells whoever waits for a child's start that it waits in vain.
    pub(crate) fn refuse_start(&mut self, key: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.asked = None;
        }
    }

    /// Brings one child to its end, by its shutdown, or calls off its start.
    pub(crate) async fn stop(&mut self, key: u64) {
        self.queue.remove(&key);
        if self.starting == Some(key) {
            self.starting = None;
        }
        let task = self.take_alive(key);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.slot = Slot::Idle;
        let spec = entry.spec.clone();
        if let Some(task) = task {
            self.end(spec.as_ref(), task).await;
        }
        spec.rest();
    }

    /// Takes the task of a child that lives, which is idle from now on.
    pub(crate) fn take_alive(&mut self, key: u64) -> Option<Task<Exit>> {
        let entry = self.entries.get_mut(&key)?;
        match std::mem::replace(&mut entry.slot, Slot::Idle) {
            Slot::Alive { task, .. } => Some(task),
            other => {
                entry.slot = other;
                None
            }
        }
    }

    async fn end(&self, spec: &dyn Spec, mut task: Task<Exit>) {
        let limit = async {
            match spec.options().shutdown {
                Shutdown::Within(limit) => self.env.scheduler.sleep(limit).await,
                Shutdown::Kill => {}
                Shutdown::Forever => future::pending().await,
            }
        };
        // A supervisor that is killed itself leaves its children no time either.
        let killed = poll_fn(|cx| self.plan.node.control.poll_kill(cx));
        spec.node().control.stop();
        let ended = future::or(async { Some((&mut task).await) }, async {
            future::or(limit, killed).await;
            None
        });
        let exit = match ended.await {
            None => self.drop_alive(spec, task).await,
            exit => exit,
        };
        self.env.observer.tell(|| spec.node().told_of_stop(exit));
    }

    /// Drops what is left of a child, and waits until nothing is; an exit where it had one after all.
    pub(crate) async fn drop_alive(&self, spec: &dyn Spec, task: Task<Exit>) -> Option<Exit> {
        match spec.node().kind() {
            Kind::Actor => task.cancel().await,
            Kind::Supervisor | Kind::Pool => {
                // They end their own children, so they are never dropped.
                spec.node().control.kill();
                Some(task.await)
            }
        }
    }

    /// Closes the mailbox of a child that stays and can never come back. In a group it comes back with its
    /// group; below a nested supervisor, when that is restarted; and whoever has the supervisor's address may
    /// start it again.
    pub(crate) fn retire(&self, spec: &dyn Spec) {
        let is_alone = self.plan.strategy == Strategy::OneForOne && self.plan.requests.is_none();
        if is_alone && self.plan.node.path().is_root() {
            spec.retire();
        }
    }
}
