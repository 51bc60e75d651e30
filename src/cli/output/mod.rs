//! Output: the scenario's lines on stdout, and the log and progress on stderr.

pub mod background_writer;
pub mod color;
pub mod json;
pub mod lifecycle;
pub mod line_limit;
pub mod logger;
pub mod printer;
pub mod progress;
pub mod settings;
pub mod sink;
pub mod stats_table;
pub mod text;
