//! A value that most have from the start, and some get later, once.
//!
//! A cell that is filled later costs its owner as much as all its other fields together, at each start of a child in a pool,
//! which knows everything beforehand.

use std::sync::OnceLock;

/// A value that is there from the start, or comes once.
pub(crate) enum Late<T> {
    There(T),
    Comes(Box<OnceLock<T>>),
}

impl<T> Late<T> {
    /// Makes a place for a value that comes later.
    pub(crate) fn comes() -> Late<T> {
        Late::Comes(Box::default())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            Late::There(value) => Some(value),
            Late::Comes(cell) => cell.get(),
        }
    }

    /// Makes the value and puts it in, unless there is one.
    pub(crate) fn set(&self, make: impl FnOnce() -> T) {
        if let Late::Comes(cell) = self {
            cell.get_or_init(make);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays() {
        let late = Late::comes();
        assert_eq!(late.get(), None);
        late.set(|| 1);
        late.set(|| unreachable!("there is one"));
        assert_eq!(late.get(), Some(&1));

        let there = Late::There(2);
        there.set(|| unreachable!("there is one"));
        assert_eq!(there.get(), Some(&2));
    }
}
