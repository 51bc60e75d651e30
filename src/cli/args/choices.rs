//! The words that flags choose among, each with what it means.

use crate::actors::{Dialect, OnConflict, Reconnect};

/// What `--on-conflict` takes.
pub const ON_CONFLICT_CHOICES: [(&str, OnConflict); 4] = [
    ("fail", OnConflict::Fail),
    ("rename", OnConflict::Rename),
    ("overwrite", OnConflict::Overwrite),
    ("skip", OnConflict::Skip),
];

/// What `--dialect` takes.
pub const DIALECT_CHOICES: [(&str, Option<Dialect>); 3] =
    [("auto", None), ("lecture", Some(Dialect::Lecture)), ("line", Some(Dialect::Line))];

/// What `--reconnect` takes.
pub const RECONNECT_CHOICES: [(&str, Option<Reconnect>); 3] =
    [("auto", None), ("always", Some(Reconnect::Always)), ("never", Some(Reconnect::Never))];

/// What `--resume` takes.
pub const RESUME_CHOICES: [(&str, bool); 2] = [("auto", true), ("off", false)];
