//! What may befall an actor in a simulation.

use std::fmt;
use std::time::Duration;

use crate::runtime::Path;
use crate::runtime::tree::control::Blow;

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
    pub(crate) fn blow(self) -> Option<Blow> {
        match self {
            Fault::Panic => Some(Blow::Panic),
            Fault::Error => Some(Blow::Error),
            Fault::Kill => Some(Blow::Drop),
            Fault::Hang => Some(Blow::Hang),
            Fault::Delay(_) => None,
        }
    }
}

/// A turn that an actor is about to have: it is polled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Turn {
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
pub struct Edge {
    /// Who sends it; none where it comes from outside of the tree.
    pub from: Option<Path>,
    /// Whose mailbox it goes to.
    pub to: Path,
}

type Befall = Box<dyn FnMut(&Turn) -> Option<Fault> + Send>;
type Lose = Box<dyn FnMut(&Edge) -> bool + Send>;

/// The faults of one simulation.
#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) rules: Vec<Befall>,
    pub(crate) losses: Vec<Lose>,
    /// The probability of a random fault before each step, and the faults to choose from.
    pub(crate) random: (f64, Vec<Fault>),
    /// How many random faults there may still be.
    pub(crate) left: u64,
}

impl Faults {
    /// Returns what befalls the actor at this turn.
    pub(crate) fn befall(&mut self, turn: &Turn) -> Option<Fault> {
        self.rules.iter_mut().find_map(|rule| rule(turn))
    }

    /// Tells whether a message is lost. Every rule sees every message.
    pub(crate) fn lose(&mut self, edge: &Edge) -> bool {
        self.losses.iter_mut().fold(false, |lost, rule| rule(edge) | lost)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Faults({} rules, {} losses, {:?})",
            self.rules.len(),
            self.losses.len(),
            self.random
        )
    }
}
