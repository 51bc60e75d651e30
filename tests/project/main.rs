//! Tests of the project itself: its structure, its README and its examples.

// Rules about imports and layers, and a check of each source file.
mod architecture;
// The examples build and run.
mod examples;
// The commands of the README.
mod readme;
// Programs, peers and clients that the tests share.
#[path = "../support/mod.rs"]
mod support;
