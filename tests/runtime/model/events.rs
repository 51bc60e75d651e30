//! What is told and what is shown, in words that the model and the library share.

use std::fmt;
use std::time::Duration;

use sockactors::runtime::{AdminError, ChildInfo, Exit, Lifecycle, Path};

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub path: String,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Started(u32),
    StartFailed(End),
    Ignored,
    Exited(End),
    Restarting(u32, Duration),
    GaveUp(End),
    Killed,
    Stopped(End),
    Stalled,
}

/// An exit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Normal,
    Shutdown,
    Failed(String),
    Panicked(String),
    Killed,
    NotReady(Duration),
    StartFailed(String, Box<End>),
    Misconfigured,
    GaveUp(u32, Duration, String, Box<End>),
    Other,
}

impl End {
    pub fn is_abnormal(&self) -> bool {
        !matches!(self, End::Normal | End::Shutdown)
    }

    pub fn of(exit: &Exit) -> End {
        let both = |both: &(Path, Exit)| (both.0.to_string(), Box::new(End::of(&both.1)));
        match exit {
            Exit::Normal => End::Normal,
            Exit::Shutdown => End::Shutdown,
            Exit::Failed(error) => End::Failed(error.to_string()),
            Exit::Panicked { text, .. } => End::Panicked(text.to_string()),
            Exit::Killed => End::Killed,
            Exit::NotReady(limit) => End::NotReady(*limit),
            Exit::Misconfigured(_) => End::Misconfigured,
            Exit::StartFailed(child) => {
                let (path, end) = both(child);
                End::StartFailed(path, end)
            }
            Exit::GaveUp { max_restarts: restarts, window: within, last } => {
                let (path, end) = both(last);
                End::GaveUp(*restarts, *within, path, end)
            }
            _ => End::Other,
        }
    }
}

impl Told {
    pub fn of(event: &Lifecycle) -> Told {
        let what = match event {
            Lifecycle::Started { incarnation, .. } => What::Started(*incarnation),
            Lifecycle::StartFailed { exit, .. } => What::StartFailed(End::of(exit)),
            Lifecycle::Ignored { .. } => What::Ignored,
            Lifecycle::Exited { exit, .. } => What::Exited(End::of(exit)),
            Lifecycle::Restarting { restarts, delay: after, .. } => {
                What::Restarting(*restarts, *after)
            }
            Lifecycle::GaveUp { exit, .. } => What::GaveUp(End::of(exit)),
            Lifecycle::Killed { .. } => What::Killed,
            Lifecycle::Stopped { exit, .. } => What::Stopped(End::of(exit)),
            _ => What::Stalled,
        };
        Told { path: event.path().to_string(), what }
    }

    /// Tells whether it is of a pool's child. Nobody else has a number for a name.
    fn is_of_member(&self) -> bool {
        self.path.rsplit('/').next().is_some_and(|name| name.parse::<u64>().is_ok())
    }

    /// Puts what happens to the children of a pool side by side in one order: they stop in parallel.
    pub fn sort(events: &mut [Told]) {
        for run in events.chunk_by_mut(|a, b| a.is_of_member() && b.is_of_member()) {
            run.sort();
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.path, self.what)
    }
}

/// The answer to a request that changes something.
pub fn answer(answer: Result<(), AdminError>) -> String {
    match answer {
        Ok(()) => "ok".into(),
        Err(AdminError::Misconfigured(_)) => "misconfigured".into(),
        Err(AdminError::StartFailed(exit)) => format!("start failed: {:?}", End::of(&exit)),
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
