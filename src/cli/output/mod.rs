//! Output.

pub mod background_writer;
pub mod color;
pub mod json;
pub mod lifecycle;
pub mod logger;
pub mod printer;
pub mod progress;
pub mod stats_table;
pub mod text;
