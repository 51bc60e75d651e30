//! The configuration of a supervisor: its strategy, its limits and its children's specifications.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::supervisor::options::Restart;
use crate::runtime::supervisor::request::RequestReceiver;
use crate::runtime::supervisor::spec::ChildSpec;
use crate::runtime::tree::node::Node;

/// The children that are restarted with a child. The words and their meaning are Erlang/OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// That child alone.
    OneForOne,
    /// All children: the others are stopped in reverse order, then all are started in order.
    OneForAll,
    /// That child and the children that were started after it.
    RestForOne,
}

/// The rule for ending a supervisor with its significant children. The words and their meaning are
/// Erlang/OTP's.
///
/// An end counts if a significant child ends by itself and is not restarted. It does not count if
/// the child was stopped by its supervisor or through a
/// [`SupervisorAddress`](crate::runtime::SupervisorAddress).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoShutdown {
    /// Never. Then no child may be significant.
    Never,
    /// With the first significant child that ends. The default, unlike in Erlang/OTP: no child is
    /// significant unless [`Child::significant`](crate::runtime::Child::significant) is called.
    AnySignificant,
    /// With the last significant child that ends.
    AllSignificant,
}

/// The configuration that every incarnation of a supervisor starts from.
pub(crate) struct SupervisorConfig {
    pub(crate) node: Arc<Node>,
    pub(crate) strategy: Strategy,
    /// The number of restarts that are allowed within a window, and the window.
    pub(crate) intensity: (u32, Duration),
    /// The first and the longest pause before a restart.
    pub(crate) backoff: Option<(Duration, Duration)>,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) children: Vec<Arc<dyn ChildSpec>>,
    /// The requests from the supervisor's address; none if `Supervisor::address` was never called.
    pub(crate) requests: Option<RequestReceiver>,
}

impl SupervisorConfig {
    /// Checks whether the supervisor can have a child.
    ///
    /// # Errors
    ///
    /// The text says what is contradictory, as Erlang/OTP's `bad_combination`.
    pub(crate) fn validate(&self, child: &dyn ChildSpec) -> Result<(), String> {
        child.check()?;
        let (name, options) = (child.node().name(), child.options());
        if options.significant && self.auto_shutdown == AutoShutdown::Never {
            return Err(format!(
                "{name} is significant, but the supervisor never shuts down for it"
            ));
        }
        if options.significant && options.restart == Restart::Permanent {
            return Err(format!(
                "{name} is significant, but a permanent child never ends for good"
            ));
        }
        Ok(())
    }
}
