//! The observer of lifecycle events: it writes the log and the JSON lines, and runs the drills.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::json;
use crate::cli::output::sink::{Sink, write_line};
use crate::runtime::{Exit, Handle, Lifecycle, Path, StopReason};
use crate::scenario::Role;
use crate::sync::lock;

/// An observer of the lifecycle events of a run.
#[derive(Debug, Clone)]
pub struct LifecycleLog(Arc<LifecycleLogInner>);

struct LifecycleLogInner {
    handle: Handle,
    /// The writer of JSON lines, with `--json`.
    json: Option<BackgroundWriter>,
    /// Whether there are drills. Every start of an actor checks this without a lock.
    has_drills: bool,
    state: Mutex<LifecycleLogState>,
}

#[derive(Debug)]
struct LifecycleLogState {
    drills: Vec<Drill>,
    /// The exits of actors that are about to be restarted, by path.
    exit_reasons: HashMap<String, String>,
    /// The time of the first stopped actor.
    stop_started_at: Option<Instant>,
    /// The number of connections that ended within the drain timeout.
    closed_connections: usize,
    /// The number of connections that were cut at the drain timeout.
    killed_connections: usize,
}

/// An actor to crash.
#[derive(Debug)]
struct Drill {
    path: String,
    requested: u32,
    done: u32,
}

impl fmt::Debug for LifecycleLogInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.state)
    }
}

impl LifecycleLog {
    /// Creates an observer that crashes the actors in `drills` through `handle`.
    ///
    /// A drill is a path and a number of crashes. With a `sink`, JSON lines are written to it.
    pub fn new(drills: Vec<(String, u32)>, handle: Handle, sink: Option<Sink>) -> LifecycleLog {
        let has_drills = !drills.is_empty();
        let drills = drills.into_iter();
        let state = LifecycleLogState {
            drills: drills.map(|(path, requested)| Drill { path, requested, done: 0 }).collect(),
            exit_reasons: HashMap::new(),
            stop_started_at: None,
            closed_connections: 0,
            killed_connections: 0,
        };
        let (json, state) = (sink.map(json_writer), Mutex::new(state));
        LifecycleLog(Arc::new(LifecycleLogInner { handle, json, has_drills, state }))
    }

    fn state(&self) -> MutexGuard<'_, LifecycleLogState> {
        lock(&self.0.state)
    }

    /// Logs one event, and runs the drill for an actor that started.
    pub fn on_event(&self, event: &Lifecycle) {
        match event {
            Lifecycle::Started { path, .. } => {
                log::debug!("{event}");
                self.run_drill(path);
            }
            // The program reports the exit of the root itself, at its end.
            Lifecycle::Exited { path, .. } | Lifecycle::StartFailed { path, .. }
                if path.is_root() =>
            {
                log::debug!("{event}");
            }
            Lifecycle::Exited { exit, .. } if exit.is_normal() => log::debug!("{event}"),
            Lifecycle::Exited { path, exit, .. } => self.on_abnormal_exit(event, path, exit),
            Lifecycle::Restarting { path, restarts, .. } => {
                log::warn!("{event}");
                let path = path.to_string();
                let reason = self.state().exit_reasons.remove(&path);
                let reason = reason.unwrap_or_else(|| "restarted with its group".into());
                self.write_json(|| json::format_restart(&path, &reason, *restarts));
            }
            Lifecycle::StartFailed { path, exit, .. } => {
                log::warn!("{event}");
                self.state().exit_reasons.insert(path.to_string(), exit.to_string());
            }
            Lifecycle::Stalled { .. } => log::warn!("{event}"),
            // The program reports at its end why a supervisor gave up.
            Lifecycle::GaveUp { .. } | Lifecycle::Ignored { .. } => log::debug!("{event}"),
            Lifecycle::Stopped { path, exit, .. } => {
                let mut state = self.state();
                state.stop_started_at.get_or_insert_with(Instant::now);
                state.closed_connections += usize::from(path.is_pool_child());
                drop(state);
                // The program reports the exit of the root itself, at its end.
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
                log::warn!("{event}: it did not stop in time");
            }
        }
    }

    fn on_abnormal_exit(&self, event: &Lifecycle, path: &Path, exit: &Exit) {
        // The failure of a client ends the program, which reports it then.
        let is_client_failure = path.name() == "client" && matches!(exit, Exit::Failed(_));
        match is_client_failure {
            true => log::debug!("{event}"),
            false => log::warn!("{event}"),
        }
        exit.backtrace().into_iter().flat_map(str::lines).for_each(|line| log::warn!("{line}"));
        // The children of pools are never restarted.
        if !path.is_pool_child() {
            self.state().exit_reasons.insert(path.to_string(), exit.to_string());
        }
    }

    /// Crashes an actor that has just started, if its drill is not complete.
    fn run_drill(&self, path: &Path) {
        if !self.0.has_drills {
            return;
        }
        let mut state = self.state();
        let Some(drill) = state.drills.iter_mut().find(|drill| path.matches(&drill.path)) else {
            return;
        };
        if drill.done < drill.requested {
            drill.done += 1;
            let target = drill.path.clone();
            // The crash emits events, which lock the state again.
            drop(state);
            if !self.0.handle.crash(&target) {
                log::warn!("there is no actor named {target}");
            }
        }
    }

    /// Logs incomplete drills (requested crashes), and the result of a server's drain.
    pub fn report_shutdown(&self, role: Role, result: &Result<StopReason, Exit>) {
        let state = self.state();
        for Drill { path, requested, done } in &state.drills {
            match done {
                0 => log::warn!("there is no actor named {path}; SIGUSR1 lists the actors"),
                done if done < requested => {
                    log::warn!("{path} started and was crashed {done} of {requested} times")
                }
                _ => {}
            }
        }
        if role == Role::Client
            || !matches!(result, Ok(StopReason::Signalled(_) | StopReason::Killed(_)))
        {
            return;
        }
        let seconds = state.stop_started_at.map_or(0.0, |start| start.elapsed().as_secs_f64());
        let (closed, killed) = (state.closed_connections, state.killed_connections);
        drop(state);
        let connections = if closed == 1 { "connection" } else { "connections" };
        log::info!("drained in {seconds:.1} s: {closed} {connections} closed, {killed} cut");
        self.write_json(|| json::format_drain(killed, seconds));
    }

    fn write_json(&self, line: impl FnOnce() -> String) {
        if let Some(writer) = &self.0.json {
            writer.write(line());
        }
    }

    /// Waits until the queued JSON lines are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        if let Some(writer) = &self.0.json {
            writer.flush(timeout);
        }
    }
}

fn json_writer(sink: Sink) -> BackgroundWriter {
    let write = move |line: &str| {
        // The printer writes to the same sink, and handles its errors.
        let _ = write_line(&sink, line);
    };
    BackgroundWriter::new("events", write, json::format_dropped)
}
