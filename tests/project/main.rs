//! Tests of the project: its architecture, its README and its examples.

// Layers, imports, names, line width and wording.
mod architecture;
// The output of the examples.
mod examples;
// The commands of the README.
mod readme;
// The page about security.
mod security;
// Helpers of several test programs.
#[path = "../support/mod.rs"]
mod support;
