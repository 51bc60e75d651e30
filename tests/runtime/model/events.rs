//! Events and states as text that the model and the library share.

use std::fmt;
use std::time::Duration;

use sockactors::runtime::{AdminError, ChildInfo, Exit, Lifecycle, Path};

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelEvent {
    pub path: String,
    pub what: EventKind,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    Started(u32),
    StartFailed(ModelExit),
    Ignored,
    Exited(ModelExit),
    Restarting(u32, Duration),
    GaveUp(ModelExit),
    Killed,
    Stopped(ModelExit),
    Stalled,
}

/// An exit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelExit {
    Normal,
    Shutdown,
    Failed(String),
    Panicked(String),
    Killed,
    NotReady(Duration),
    StartFailed(String, Box<ModelExit>),
    Misconfigured,
    GaveUp(u32, Duration, String, Box<ModelExit>),
    Other,
}

impl ModelExit {
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, ModelExit::Normal | ModelExit::Shutdown)
    }

    pub fn of(exit: &Exit) -> ModelExit {
        let both = |both: &(Path, Exit)| (both.0.to_string(), Box::new(ModelExit::of(&both.1)));
        match exit {
            Exit::Normal => ModelExit::Normal,
            Exit::Shutdown => ModelExit::Shutdown,
            Exit::Failed(error) => ModelExit::Failed(error.to_string()),
            Exit::Panicked { text, .. } => ModelExit::Panicked(text.to_string()),
            Exit::Killed => ModelExit::Killed,
            Exit::NotReady(limit) => ModelExit::NotReady(*limit),
            Exit::Misconfigured(_) => ModelExit::Misconfigured,
            Exit::StartFailed(child) => {
                let (path, end) = both(child);
                ModelExit::StartFailed(path, end)
            }
            Exit::GaveUp { max_restarts: restarts, window: within, last } => {
                let (path, end) = both(last);
                ModelExit::GaveUp(*restarts, *within, path, end)
            }
            _ => ModelExit::Other,
        }
    }
}

impl ModelEvent {
    pub fn of(event: &Lifecycle) -> ModelEvent {
        let what = match event {
            Lifecycle::Started { incarnation, .. } => EventKind::Started(*incarnation),
            Lifecycle::StartFailed { exit, .. } => EventKind::StartFailed(ModelExit::of(exit)),
            Lifecycle::Ignored { .. } => EventKind::Ignored,
            Lifecycle::Exited { exit, .. } => EventKind::Exited(ModelExit::of(exit)),
            Lifecycle::Restarting { restarts, delay: after, .. } => {
                EventKind::Restarting(*restarts, *after)
            }
            Lifecycle::GaveUp { exit, .. } => EventKind::GaveUp(ModelExit::of(exit)),
            Lifecycle::Killed { .. } => EventKind::Killed,
            Lifecycle::Stopped { exit, .. } => EventKind::Stopped(ModelExit::of(exit)),
            _ => EventKind::Stalled,
        };
        ModelEvent { path: event.path().to_string(), what }
    }

    /// Returns whether the event is of a pool's child. Only these have numbers as names.
    fn is_of_member(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.parse::<u64>().is_ok())
    }

    /// Sorts the events of a pool's children, which stop in parallel.
    pub fn sort(events: &mut [ModelEvent]) {
        for run in events.chunk_by_mut(|a, b| a.is_of_member() && b.is_of_member()) {
            run.sort();
        }
    }
}

impl fmt::Display for ModelEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.path, self.what)
    }
}

/// The answer to a change request.
pub fn answer(answer: Result<(), AdminError>) -> String {
    match answer {
        Ok(()) => "ok".into(),
        Err(AdminError::Misconfigured(_)) => "misconfigured".into(),
        Err(AdminError::StartFailed(exit)) => format!("start failed: {:?}", ModelExit::of(&exit)),
        Err(AdminError::NotFound) => "not found".into(),
        Err(AdminError::Running) => "running".into(),
        Err(AdminError::Restarting) => "restarting".into(),
        Err(AdminError::AlreadyStarted) => "already started".into(),
        Err(AdminError::AlreadyPresent) => "already present".into(),
        Err(AdminError::Unavailable) => "gone".into(),
        Err(other) => other.to_string(),
    }
}

/// One child in an answer.
pub fn line(child: &ChildInfo) -> String {
    format!(
        "{} {:?} {:?} {} {:?} {:?} {}",
        child.name,
        child.kind,
        child.state,
        child.restarts,
        child.restart,
        child.shutdown,
        child.significant
    )
}
