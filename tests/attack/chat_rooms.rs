//! Attacks on large rooms and on the history.
