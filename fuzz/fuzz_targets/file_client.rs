//! Arbitrary bytes as a hostile server of the file client; see `bodies/file_client.rs`.

#![no_main]

#[path = "../bodies/file_client.rs"]
mod file_client;

libfuzzer_sys::fuzz_target!(|input: &[u8]| file_client::check(input));
