//! The error of building a scenario.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::actors::HistoryError;
use crate::net::BindError;

/// The reason why a scenario could not be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An endpoint could not be bound.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The history of a chat could not be opened.
    #[error("{0}")]
    History(#[from] HistoryError),
    /// The operators' password could not be read.
    #[error("cannot read the operators' password from {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}
