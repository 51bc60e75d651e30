//! The options of a child: when it is restarted, how it is stopped, when it counts as started.

use std::time::Duration;

/// When a child that ended is started again. The words and their meaning are Erlang/OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after an abnormal exit: an error, a panic, a kill.
    Transient,
    /// Never, not even when its group is restarted.
    Temporary,
}

/// How a child is brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It is asked to stop, and dropped if it has not within this time.
    Timeout(Duration),
    /// It is dropped at once.
    Kill,
    /// It is asked to stop and waited for, however long. For supervisors.
    Infinity,
}

/// What a supervisor knows of any child before it starts.
#[derive(Debug, Clone)]
pub(crate) struct ChildOptions {
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
    pub(crate) start_mode: StartMode,
}

/// When a child counts as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartMode {
    /// Once its actor is made.
    OnCreate,
    /// When the actor says so, within a limit if there is one.
    OnReady(Option<Duration>),
}
