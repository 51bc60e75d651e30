//! How a supervisor does what it is asked at run time; the asking is in `admin`.

use crate::runtime::supervisor::admin::{AdminError, ChildInfo, Counts};
use crate::runtime::supervisor::request::{Asked, Request};
use crate::runtime::supervisor::run::{Entry, Life, Slot};
use crate::runtime::{Kind, Restart, State};

impl Life {
    pub(crate) async fn administer(&mut self, request: Request) {
        match request {
            // Whoever has gone, or was told that nobody answers, is not obeyed afterwards.
            request if !request.is_awaited() => {}
            Request::Add(spec, reply) => {
                // The specification is looked at before its name, as in Erlang/OTP.
                let admitted = match self.plan.admits(spec.as_ref()) {
                    Err(text) => Err(AdminError::Misconfigured(text.into())),
                    Ok(()) => match self.find(&spec.node().name().to_string()) {
                        None => Ok(()),
                        Some(key) => Err(match self.entries[&key].slot {
                            Slot::Alive { is_ready: true, .. } => AdminError::AlreadyStarted,
                            _ => AdminError::AlreadyPresent,
                        }),
                    },
                };
                match admitted {
                    Ok(()) => self.enter(spec, true, Some(Asked { is_new: true, reply })),
                    Err(refused) => reply.send(Err(refused)),
                }
            }
            Request::Remove(name, reply) => {
                reply.send(self.resting(&name).map(|key| self.leave(key)))
            }
            Request::Terminate(name, reply) => match self.find(&name) {
                Some(key) => {
                    let is_restart = !self.is_first && self.entries[&key].asked.is_none();
                    if self.starting == Some(key) && is_restart {
                        self.call_off(key);
                    }
                    self.refuse_start(key);
                    self.stop(key).await;
                    if self.entries[&key].spec.options().restart == Restart::Temporary {
                        self.leave(key);
                    }
                    reply.send(Ok(()));
                }
                None => reply.send(Err(AdminError::NotFound)),
            },
            Request::Restart(name, reply) => match self.resting(&name) {
                Ok(key) => {
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.slot = Slot::Waiting;
                        entry.asked = Some(Asked { is_new: false, reply });
                        self.queue.insert(key);
                    }
                }
                Err(refused) => reply.send(Err(refused)),
            },
            Request::List(reply) => reply.send(self.entries.values().map(info).collect()),
            Request::Find(name, reply) => {
                let key = self.find(&name).ok_or(AdminError::NotFound);
                reply.send(key.map(|key| info(&self.entries[&key])));
            }
            Request::Count(reply) => reply.send(self.count()),
        }
    }

    fn count(&self) -> Counts {
        let mut counts = Counts { specs: self.entries.len(), ..Counts::default() };
        for entry in self.entries.values() {
            counts.active += usize::from(matches!(entry.slot, Slot::Alive { is_ready: true, .. }));
            match entry.spec.node().kind() {
                Kind::Actor => counts.workers += 1,
                Kind::Supervisor | Kind::Pool => counts.supervisors += 1,
            }
        }
        counts
    }

    /// Leaves those at rest who wait for their turn in a child's restart.
    fn call_off(&mut self, key: u64) {
        for member in self.group(key).collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&member) else { continue };
            if matches!(entry.slot, Slot::Waiting) && entry.asked.is_none() {
                entry.slot = Slot::Idle;
                entry.spec.node().set(State::Idle);
                self.queue.remove(&member);
            }
        }
    }

    /// Finds a child that is at rest.
    fn resting(&self, name: &str) -> Result<u64, AdminError> {
        let key = self.find(name).ok_or(AdminError::NotFound)?;
        match self.entries[&key].slot {
            Slot::Idle => Ok(key),
            Slot::Alive { is_ready: true, .. } => Err(AdminError::Running),
            Slot::Alive { .. } | Slot::Waiting | Slot::Restarting { .. } => {
                Err(AdminError::Restarting)
            }
        }
    }
}

fn info(entry: &Entry) -> ChildInfo {
    let (node, options) = (entry.spec.node(), entry.spec.options());
    let state = match entry.slot {
        Slot::Idle => State::Idle,
        Slot::Waiting | Slot::Restarting { .. } => State::Restarting,
        Slot::Alive { is_ready: false, .. } => State::Starting,
        Slot::Alive { .. } => State::Running,
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
