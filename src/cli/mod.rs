//! The program: from words on a command line to a running tree, and from its reports to a terminal.
//!
//! What comes in goes one way, each step a pure function of the one before, so that all of it is tested
//! without a process or an environment:
//!
//! ```text
//! words on the line ─┐
//!                    ├─ words ── flags ── args ── parse ──► Settings, OutputSettings
//! environment ───────┘  split    belongs?  argh    values
//! ```
//!
//! [`flags`] holds the one table of flags: which there are, and to which scenarios and roles each belongs.
//! [`words`] splits the line and takes the environment by that table, [`args`] is what argh makes of the
//! words (and the text of `--help`), [`values`] turns each text into a value in its range, and [`parse`]
//! runs these in order and ends early, with a text and an exit code, where one of them says so.
//!
//! What goes out is on two streams. stdout belongs to the scenario: a [`narrator`] turns the roles' reports
//! into lines, worded by [`narration`] for people or by [`json`] for programs. Everything else is stderr's,
//! through the [`logger`]. [`input`] reads stdin on a thread of its own and hands its lines to an actor; for a
//! chat at a terminal, a [`terminal`] with a line editor does, and shows what goes out above what is being typed.
//! [`bars`] show how far
//! files are. [`exit`] lists the codes that the program ends with.

pub mod args;
pub mod exit;
pub mod output;
pub mod run;
pub mod terminal;

pub use run::main;
