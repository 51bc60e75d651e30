//! Arbitrary bytes as the peers of a file server; see `bodies/file_session.rs`.

#![no_main]

#[path = "../bodies/file_session.rs"]
mod file_session;

libfuzzer_sys::fuzz_target!(|input: &[u8]| file_session::check(input));
