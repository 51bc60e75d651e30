//! The order of what happens at the same moment.
//!
//! Where two can go on at the same moment either may be first, in the library as in Erlang. The model tries
//! one order, and where that does not come to what was seen it searches for one that does.

use std::time::Duration;

use super::events::Told;
use super::state::World;

impl World {
    /// Lets time pass as [`World::pass`] does, but in an order that comes to what was seen. Returns none where
    /// there is no such order, or none was found in so many attempts.
    pub fn pass_as_seen(
        mut self,
        then: Duration,
        accept: &impl Fn(&World) -> bool,
        attempts: &mut u32,
    ) -> Option<World> {
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
                if other.takes_turn_as_seen(at) {
                    if let Some(passed) = other.pass_as_seen(then, accept, attempts) {
                        return Some(passed);
                    }
                }
            }
            let last = self.ready.len() - 1;
            if !self.takes_turn_as_seen(last) {
                return None;
            }
        }
    }

    /// Has one of those go on that can, and tells whether what is told then was seen so far.
    fn takes_turn_as_seen(&mut self, at: usize) -> bool {
        if let Some(id) = self.ready.remove(at) {
            self.turn(id);
        }
        let mut told = self.told.clone();
        let Some(seen) = self.seen.get(..told.len()) else { return false };
        let mut seen = seen.to_vec();
        Told::sort(&mut told);
        Told::sort(&mut seen);
        told == seen
    }
}
