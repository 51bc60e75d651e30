//! Arbitrary bytes as the server of a chat client; see `bodies/client.rs`.

#![no_main]

#[path = "../bodies/client.rs"]
mod client;

libfuzzer_sys::fuzz_target!(|input: &[u8]| client::check(input));
