//! placeholder
#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations)]

#[path = "../actors/mod.rs"]
pub mod actors;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod net;
pub mod runtime;
#[cfg(feature = "cli")]
pub mod scenario;
pub mod wire;
