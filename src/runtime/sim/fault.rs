//! The faults that a simulation injects, and the rules that choose them.

use std::fmt;
use std::time::Duration;

use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::path::Path;

/// A fault that an actor suffers when it is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The actor panics.
    Panic,
    /// The actor ends with an error.
    Error,
    /// The actor is dropped.
    Kill,
    /// The actor is not polled any more: it replies to nothing and ignores stop requests.
    Hang,
    /// The poll is delayed. A delay of the first poll is a slow start.
    Delay(Duration),
}

impl Fault {
    /// Returns the interrupt that causes the fault; none for a delay.
    pub(crate) fn interrupt(self) -> Option<Interrupt> {
        match self {
            Fault::Panic => Some(Interrupt::Panic),
            Fault::Error => Some(Interrupt::Error),
            Fault::Kill => Some(Interrupt::Drop),
            Fault::Hang => Some(Interrupt::Hang),
            Fault::Delay(_) => None,
        }
    }
}

/// A poll of an actor that is about to happen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PollInfo {
    /// The path of the actor.
    pub path: Path,
    /// The number of its incarnation, from 1.
    pub incarnation: u32,
    /// The number of the poll in that incarnation, from 1. The first poll makes the actor and runs
    /// it to its first wait.
    pub number: u64,
}

/// A message that is being sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MessageInfo {
    /// The path of the sender; none if it is not an actor.
    pub from: Option<Path>,
    /// The path of the receiver.
    pub to: Path,
}

type FaultRule = Box<dyn FnMut(&PollInfo) -> Option<Fault> + Send>;
type DropRule = Box<dyn FnMut(&MessageInfo) -> bool + Send>;

/// The faults of one simulation.
#[derive(Default)]
pub(crate) struct FaultRules {
    pub(crate) fault_rules: Vec<FaultRule>,
    pub(crate) drop_rules: Vec<DropRule>,
    /// The probability (0 to 1) of a random fault before each step, and the faults to choose from.
    pub(crate) random: (f64, Vec<Fault>),
    /// The number of random faults that are still allowed.
    pub(crate) remaining: u64,
}

impl FaultRules {
    /// Returns the fault of the first rule that has one for this poll.
    pub(crate) fn fault_for(&mut self, poll: &PollInfo) -> Option<Fault> {
        self.fault_rules.iter_mut().find_map(|rule| rule(poll))
    }

    /// Returns whether a rule drops this message. Every rule sees every message.
    pub(crate) fn drops(&mut self, message: &MessageInfo) -> bool {
        self.drop_rules.iter_mut().fold(false, |is_dropped, rule| rule(message) | is_dropped)
    }
}

impl fmt::Debug for FaultRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FaultRules({} fault rules, {} drop rules, {:?})",
            self.fault_rules.len(),
            self.drop_rules.len(),
            self.random
        )
    }
}
