//! The lives of the actors, as the log, the JSON lines and the drills see them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::actors::StoreError;
use crate::cli::exit::ExitStatus;
use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::json;
use crate::cli::output::printer::{Sink, write_line};
use crate::runtime::{Exit, Handle, Lifecycle, Path, StopReason};
use crate::scenario::Role;
use crate::sync::lock;

/// Watches the lifecycle events of a run.
#[derive(Debug, Clone)]
pub struct LifecycleLog(Arc<LifecycleLogInner>);

struct LifecycleLogInner {
    handle: Handle,
    /// Writes JSON lines, if they are wanted.
    json: Option<BackgroundWriter>,
    /// Whether any actor is to be crashed: each start asks.
    has_drills: bool,
    state: Mutex<LifecycleLogState>,
}

#[derive(Debug)]
struct LifecycleLogState {
    /// Which actors are still to be crashed, and how often.
    drills: Vec<(String, u32)>,
    /// Why actors that are about to be restarted ended.
    exit_reasons: HashMap<String, String>,
    /// When the first actor was stopped.
    stop_started_at: Option<Instant>,
    /// Connections that did not end in time.
    killed_connections: usize,
    /// The code for something that went wrong while the rest went on.
    exit_status: ExitStatus,
}

impl fmt::Debug for LifecycleLogInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state)
    }
}

impl LifecycleLog {
    /// Makes a watch that crashes the actors in `drills` by way of `handle`, and writes JSON lines
    /// to `sink` if there is one.
    pub fn new(drills: Vec<(String, u32)>, handle: Handle, sink: Option<Sink>) -> LifecycleLog {
        let (reasons, has_drills) = (HashMap::new(), !drills.is_empty());
        let state = LifecycleLogState {
            drills,
            exit_reasons: reasons,
            stop_started_at: None,
            killed_connections: 0,
            exit_status: ExitStatus::Success,
        };
        let json = sink.map(json_writer);
        LifecycleLog(Arc::new(LifecycleLogInner {
            handle,
            json,
            has_drills,
            state: Mutex::new(state),
        }))
    }

    fn state(&self) -> MutexGuard<'_, LifecycleLogState> {
        lock(&self.0.state)
    }

    /// Takes note of one event.
    pub fn on_event(&self, event: &Lifecycle) {
        match event {
            Lifecycle::Started { path, .. } => {
                log::debug!("{event}");
                self.run_drill(path);
            }
            // The root's end is the program's, which tells it at its own.
            Lifecycle::Exited { path, .. } | Lifecycle::StartFailed { path, .. }
                if path.is_root() =>
            {
                log::debug!("{event}");
            }
            Lifecycle::Exited { exit, .. } if exit.is_normal() => log::debug!("{event}"),
            Lifecycle::Exited { path, exit, .. } => {
                let store = exit.error().and_then(|error| error.downcast_ref::<StoreError>());
                // A client's failure ends the program, which tells it then; a receiver told its own.
                let is_told = path.name() == "client" && matches!(exit, Exit::Failed(_));
                match is_told || store.is_some() {
                    true => log::debug!("{event}"),
                    false => log::warn!("{event}"),
                }
                let mut state = self.state();
                if let Some(error) = store {
                    state.exit_status = match error {
                        StoreError::DiskFull { .. } => ExitStatus::DiskFull,
                        _ => ExitStatus::Failed,
                    };
                }
                // The children of pools are never restarted.
                if !path.is_pool_child() {
                    state.exit_reasons.insert(path.to_string(), exit.to_string());
                }
            }
            Lifecycle::Restarting { path, restarts, .. } => {
                log::warn!("{event}");
                let why = self.state().exit_reasons.remove(&path.to_string());
                let why = why.unwrap_or_else(|| "restarted with its group".into());
                self.write_json(|| json::format_restart(&path.to_string(), &why, *restarts));
            }
            Lifecycle::StartFailed { path, exit, .. } => {
                log::warn!("{event}");
                self.state().exit_reasons.insert(path.to_string(), exit.to_string());
            }
            Lifecycle::Stalled { .. } => log::warn!("{event}"),
            // The program tells why it gave up at its end.
            Lifecycle::GaveUp { .. } | Lifecycle::Ignored { .. } => log::debug!("{event}"),
            Lifecycle::Stopped { path, exit, .. } => {
                self.state().stop_started_at.get_or_insert_with(Instant::now);
                // The root's exit is the program's, which tells it at its end.
                match exit.is_normal() || path.is_root() {
                    true => log::debug!("{event}"),
                    false => log::warn!("{event}"),
                }
            }
            Lifecycle::Killed { path, .. } => {
                let mut state = self.state();
                state.stop_started_at.get_or_insert_with(Instant::now);
                state.killed_connections += usize::from(path.is_pool_child());
                drop(state);
                log::warn!("{event}: it did not end in time");
            }
        }
    }

    /// Crashes an actor that has just been started, if a drill is left for it.
    fn run_drill(&self, path: &Path) {
        if !self.0.has_drills {
            return;
        }
        let mut state = self.state();
        let Some((name, left)) = state.drills.iter_mut().find(|(name, _)| path.matches(name))
        else {
            return;
        };
        if *left > 0 {
            *left -= 1;
            let name = name.clone();
            drop(state);
            if !self.0.handle.crash(&name) {
                log::warn!("{name} is no actor, so there is nothing to crash");
            }
        }
    }

    /// Tells how a server's end went, and which drills found no actor.
    pub fn report_shutdown(&self, role: Role, ended: &Result<StopReason, Exit>) {
        let state = self.state();
        for (name, _) in state.drills.iter().filter(|(_, left)| *left > 0) {
            log::warn!(
                "the drill of {name} was not done as often as asked; SIGUSR1 lists the actors"
            );
        }
        if role == Role::Client
            || !matches!(ended, Ok(StopReason::Signalled(_) | StopReason::Killed(_)))
        {
            return;
        }
        let seconds = state.stop_started_at.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let left = state.killed_connections;
        drop(state);
        log::info!("drained in {seconds:.1} s, {left} connections were cut");
        self.write_json(|| json::format_drain(left, seconds));
    }

    /// Returns the code for what went wrong while the rest went on.
    pub fn exit_status(&self) -> ExitStatus {
        self.state().exit_status
    }

    fn write_json(&self, line: impl FnOnce() -> String) {
        if let Some(scribe) = &self.0.json {
            scribe.write(line());
        }
    }

    /// Waits until what was handed to the JSON lines is written, at most `within`.
    pub fn flush(&self, within: Duration) {
        if let Some(scribe) = &self.0.json {
            scribe.flush(within);
        }
    }
}

fn json_writer(sink: Sink) -> BackgroundWriter {
    let write = move |line: &str| {
        // Whether anybody reads is the narrator's to find out.
        let _ = write_line(&sink, line);
    };
    BackgroundWriter::new("events", write, json::format_dropped_events)
}
