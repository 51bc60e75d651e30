//! A value that most have from the start, and some get later, once.
//!
//! A cell that is filled later costs its owner as much as all its other fields together, at each start of a child in a pool,
//! which knows everything beforehand.

use std::sync::OnceLock;

/// A value that is there from the start, or comes once.
pub(crate) enum PresetOnce<T> {
    Set(T),
    Unset(Box<OnceLock<T>>),
}

impl<T> PresetOnce<T> {
    /// Makes a place for a value that comes later.
    pub(crate) fn unset() -> PresetOnce<T> {
        PresetOnce::Unset(Box::default())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            PresetOnce::Set(value) => Some(value),
            PresetOnce::Unset(cell) => cell.get(),
        }
    }

    /// Makes the value and puts it in, unless there is one.
    pub(crate) fn init(&self, make: impl FnOnce() -> T) {
        if let PresetOnce::Unset(cell) = self {
            cell.get_or_init(make);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let late = PresetOnce::unset();
        assert_eq!(late.get(), None);
        late.init(|| 1);
        late.init(|| unreachable!("there is one"));
        assert_eq!(late.get(), Some(&1));

        let there = PresetOnce::Set(2);
        there.init(|| unreachable!("there is one"));
        assert_eq!(there.get(), Some(&2));
    }
}
