//! What may befall an actor in a simulation.

use std::fmt;
use std::time::Duration;

use crate::runtime::Path;
use crate::runtime::tree::control::Interrupt;

/// What befalls an actor at one of its awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It panics.
    Panic,
    /// It ends with an error.
    Error,
    /// It is dropped where it is.
    Kill,
    /// It is not polled any more: it answers nothing, and does not stop when asked.
    Hang,
    /// It is held up for so long; before its first turn, that is a slow start.
    Delay(Duration),
}

impl Fault {
    /// What deals it; a delay is no blow.
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

/// A turn that an actor is about to have: it is polled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PollInfo {
    /// Whose turn it is.
    pub path: Path,
    /// Which incarnation's, from 1.
    pub incarnation: u32,
    /// Which of that incarnation's, from 1. The first one makes the actor and runs it to its first await.
    pub number: u64,
}

/// A message on its way.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MessageInfo {
    /// Who sends it; none where it comes from outside of the tree.
    pub from: Option<Path>,
    /// Whose mailbox it goes to.
    pub to: Path,
}

type FaultRule = Box<dyn FnMut(&PollInfo) -> Option<Fault> + Send>;
type DropRule = Box<dyn FnMut(&MessageInfo) -> bool + Send>;

/// The faults of one simulation.
#[derive(Default)]
pub(crate) struct FaultRules {
    pub(crate) fault_rules: Vec<FaultRule>,
    pub(crate) drop_rules: Vec<DropRule>,
    /// The probability of a random fault before each step, and the faults to choose from.
    pub(crate) random: (f64, Vec<Fault>),
    /// How many random faults there may still be.
    pub(crate) remaining: u64,
}

impl FaultRules {
    /// Returns what befalls the actor at this turn.
    pub(crate) fn fault_for(&mut self, turn: &PollInfo) -> Option<Fault> {
        self.fault_rules.iter_mut().find_map(|rule| rule(turn))
    }

    /// Tells whether a message is lost. Every rule sees every message.
    pub(crate) fn drops(&mut self, edge: &MessageInfo) -> bool {
        self.drop_rules.iter_mut().fold(false, |lost, rule| rule(edge) | lost)
    }
}

impl fmt::Debug for FaultRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Faults({} rules, {} losses, {:?})",
            self.fault_rules.len(),
            self.drop_rules.len(),
            self.random
        )
    }
}
