//! Arbitrary bytes as one side of a chat session; see `bodies/session.rs`.

#![no_main]

#[path = "../bodies/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|input: &[u8]| session::check(input));
