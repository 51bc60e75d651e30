//! The program: from a command line to a running tree, and from its reports to a terminal.
//!
//! Input passes through pure functions, so that tests need neither a process nor an environment:
//!
//! ```text
//! command line ──┐
//!                ├── argv ── flags ── argh ── values ──► Settings, OutputSettings
//! environment ───┘  split    scope   fields   ranges
//! ```
//!
//! [`args`] holds these steps. [`output`] formats the roles' reports for stdout, and everything
//! else for stderr. [`terminal`] reads stdin on a thread, and runs a line editor for a chat at a
//! terminal. [`run`] connects them, [`exit`] lists the exit codes, and [`remedy`] the
//! commands that help after an error.

pub mod args;
pub mod exit;
pub mod output;
pub mod remedy;
pub mod run;
pub mod terminal;

pub use run::main;
