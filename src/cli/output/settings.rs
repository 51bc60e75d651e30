//! The settings of the output, as the flags set them.

use crate::actors::Reconnect;

/// The form of the output of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputSettings {
    /// Whether stdout is one JSON object per line.
    pub json: bool,
    /// Whether only results and errors are shown.
    pub quiet: bool,
    /// The number of levels of the log beyond the default.
    pub verbose: u8,
    /// The use of colors.
    pub color: Color,
    /// Whether prompts are forbidden.
    pub no_input: bool,
    /// The condition on which a chat client reconnects. `None` depends on the terminal.
    pub reconnect: Option<Reconnect>,
}

/// The use of colors on stderr, and on stdout in a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// Colors on a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Colors everywhere, except in the journal.
    Always,
    /// No colors.
    Never,
}
