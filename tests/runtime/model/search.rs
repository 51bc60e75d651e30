//! The order of events at the same moment.
//!
//! Of two tasks that are runnable at the same moment either may be first, in the library as in
//! Erlang. The model tries one order. If it does not match the observation, the model searches for
//! one that does.

use std::time::Duration;

use super::events::ModelEvent;
use super::state::ModelState;

impl ModelState {
    /// Lets time pass as `pass` does, but in an order that matches the observation. Returns `None`
    /// if there is no such order, or if none was found within the limit of attempts.
    pub fn pass_as_observed(
        mut self,
        then: Duration,
        accept: &impl Fn(&ModelState) -> bool,
        attempts: &mut u32,
    ) -> Option<ModelState> {
        loop {
            if self.ready.is_empty() {
                if !self.jump(then) {
                    return accept(&self).then_some(self);
                }
                continue;
            }
            *attempts = attempts.checked_sub(1)?;
            for at in 0..self.ready.len() - 1 {
                let mut other = self.clone();
                if other.matches_observation(at) {
                    if let Some(passed) = other.pass_as_observed(then, accept, attempts) {
                        return Some(passed);
                    }
                }
            }
            let last = self.ready.len() - 1;
            if !self.matches_observation(last) {
                return None;
            }
        }
    }

    /// Runs one of the runnable nodes, and returns whether its events were observed so far.
    fn matches_observation(&mut self, at: usize) -> bool {
        if let Some(id) = self.ready.remove(at) {
            self.turn(id);
        }
        let mut told = self.told.clone();
        let Some(seen) = self.seen.get(..told.len()) else { return false };
        let mut seen = seen.to_vec();
        ModelEvent::sort(&mut told);
        ModelEvent::sort(&mut seen);
        told == seen
    }
}
