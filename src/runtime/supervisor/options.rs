//! The options of a child: when it is restarted, how it is stopped, and when it counts as started.
//!
//! The words and their meaning are Erlang/OTP's.

use std::time::Duration;

use crate::runtime::executor::worker::Placement;

/// The rule that says when a child that has ended is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after an abnormal exit: an error, a panic or a kill.
    Transient,
    /// Never, not even when its group is restarted.
    Temporary,
}

/// The way a supervisor stops a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// The child is asked to stop, and dropped if it has not ended within this time.
    Timeout(Duration),
    /// The child is dropped at once.
    Kill,
    /// The child is asked to stop, and waited for without a limit. For supervisors.
    Infinity,
}

/// The options of a child, as its supervisor reads them.
#[derive(Debug, Clone)]
pub(crate) struct ChildOptions {
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
    pub(crate) start_mode: StartMode,
    pub(crate) placement: Placement,
}

/// The moment at which a child counts as started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartMode {
    /// When its factory has created the actor.
    OnCreate,
    /// When the actor calls `Context::ready`, within the limit if there is one.
    OnReady(Option<Duration>),
}
