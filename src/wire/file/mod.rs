//! File.

pub mod codec;
pub mod digest;
pub mod filename;
pub mod frame;
