//! Arbitrary bytes as the lines of a chat client; see `bodies/lines.rs`.

#![no_main]

#[path = "../bodies/lines.rs"]
mod lines;

libfuzzer_sys::fuzz_target!(|input: &[u8]| lines::check(input));
