//! How a supervisor does what it is asked at run time; the asking is in `admin`.

use crate::runtime::supervisor::admin::{AdminError, ChildCounts, ChildInfo};
use crate::runtime::supervisor::request::{PendingStart, Request};
use crate::runtime::supervisor::run::{ChildEntry, ChildState, SupervisorRun};
use crate::runtime::{NodeKind, NodeState, Restart};

impl SupervisorRun {
    pub(crate) async fn handle_request(&mut self, request: Request) {
        match request {
            // Whoever has gone, or was told that nobody answers, is not obeyed afterwards.
            request if !request.has_caller() => {}
            Request::Add(spec, reply) => {
                // The specification is looked at before its name, as in Erlang/OTP.
                let admitted = match self.config.validate(spec.as_ref()) {
                    Err(text) => Err(AdminError::Misconfigured(text.into())),
                    Ok(()) => match self.find(&spec.node().name().to_string()) {
                        None => Ok(()),
                        Some(key) => Err(match self.children[&key].state {
                            ChildState::Running { is_ready: true, .. } => {
                                AdminError::AlreadyStarted
                            }
                            _ => AdminError::AlreadyPresent,
                        }),
                    },
                };
                match admitted {
                    Ok(()) => {
                        self.add_child(spec, true, Some(PendingStart { is_new: true, reply }))
                    }
                    Err(refused) => reply.send(Err(refused)),
                }
            }
            Request::Remove(name, reply) => {
                reply.send(self.find_idle(&name).map(|key| self.remove_child(key)))
            }
            Request::Terminate(name, reply) => match self.find(&name) {
                Some(key) => {
                    let is_restart =
                        !self.is_initial_start && self.children[&key].pending_start.is_none();
                    if self.starting == Some(key) && is_restart {
                        self.cancel_restart(key);
                    }
                    self.reject_start(key);
                    self.stop(key).await;
                    if self.children[&key].spec.options().restart == Restart::Temporary {
                        self.remove_child(key);
                    }
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
                Err(refused) => reply.send(Err(refused)),
            },
            Request::List(reply) => reply.send(self.children.values().map(child_info).collect()),
            Request::Find(name, reply) => {
                let key = self.find(&name).ok_or(AdminError::NotFound);
                reply.send(key.map(|key| child_info(&self.children[&key])));
            }
            Request::Count(reply) => reply.send(self.count_children()),
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

    /// Leaves those at rest who wait for their turn in a child's restart.
    fn cancel_restart(&mut self, key: u64) {
        for member in self.group(key).collect::<Vec<_>>() {
            let Some(entry) = self.children.get_mut(&member) else { continue };
            if matches!(entry.state, ChildState::Queued) && entry.pending_start.is_none() {
                entry.state = ChildState::Idle;
                entry.spec.node().set_state(NodeState::Idle);
                self.start_queue.remove(&member);
            }
        }
    }

    /// Finds a child that is at rest.
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
