//! Thousands of connections that are reset right after the handshake. They leave nothing in the
//! server, and other clients are serve_one.
//!
//! `SOCKACTORS_RESETS` sets their number.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::chat_client::{LineClient, connect};
use crate::support::files::stored_reply;
use crate::support::framed_client::FramedClient;
use crate::support::process_stats::{
    open_descriptors, private_memory_kib, wait_for_descriptors, wait_until_idle,
};
use crate::support::uploads::env_number;
use crate::support::{Program, directory, serial};
use rustix::net::sockopt::set_socket_linger;

/// Resets between two serve_one clients. This bounds the number of simultaneous connections.
const BATCH: usize = 100;

/// Resets before memory is measured first. A room's log keeps thousands of joins and leaves.
const WARM_UP: usize = 12_000;

/// The growth of memory in KiB that is allowed after the warm-up, and one more per `RESETS_PER_KIB`
/// resets. The number of simultaneous connections varies, and the allocator keeps
/// the memory of their maximum.
const MAX_GROWTH_KIB: u64 = 512;
const RESETS_PER_KIB: usize = 256;

/// Connects, sends `word`, and resets the connection.
fn reset(endpoint: &str, word: &[u8]) {
    let mut stream = TcpStream::connect(endpoint).unwrap();
    // The server may have closed the connection already.
    let _ = stream.write_all(word);
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Resets `count` connections, serves a client after each batch, and checks for leaks.
fn check_resets(server: &Program, words: &[&[u8]], count: usize, serve_one: impl Fn(&str)) {
    let before = open_descriptors(server);
    let batch = |count: usize| {
        for number in 0..count {
            reset(server.endpoint(), words[number % words.len()]);
        }
        serve_one(server.endpoint());
    };
    // The warm-up allocates what stays: buffers, threads, a room's log.
    (0..WARM_UP / BATCH).for_each(|_| batch(BATCH));
    wait_for_descriptors(server, before);
    wait_until_idle(server);
    let warm = private_memory_kib(server);
    (0..count.div_ceil(BATCH)).for_each(|_| batch(BATCH));
    wait_for_descriptors(server, before);
    wait_until_idle(server);
    let after = private_memory_kib(server);
    println!("{count} resets: {warm} KiB before, {after} KiB after");
    assert!(
        after <= warm + MAX_GROWTH_KIB + (count / RESETS_PER_KIB) as u64,
        "{warm} KiB became {after} KiB"
    );
}

fn count() -> usize {
    env_number("SOCKACTORS_RESETS", 10_000)
}

#[test]
fn greeting_server_leaks_nothing_on_reset() {
    let _serial = serial::lock();
    let server = Program::server(&["--scenario", "tcp"]);
    check_resets(&server, &[b"", b"x"], count(), |endpoint| {
        let mut greeted = String::new();
        connect(endpoint).read_to_string(&mut greeted).unwrap();
        assert_eq!(greeted, "Thank you for connecting");
    });
}

#[test]
fn chat_server_leaks_nothing_on_reset() {
    let _serial = serial::lock();
    let server = Program::server(&["--scenario", "chat"]);
    let words: [&[u8]; 4] = [b"", b"", b"x", b"/who\n"];
    check_resets(&server, &words, count(), |endpoint| drop(LineClient::joined(endpoint)));
}

#[test]
fn file_server_leaks_nothing_on_reset() {
    let _serial = serial::lock();
    let out = directory();
    let server = crate::support::files::server(out.path(), &[]);
    let (hello, half) =
        (sockactors::wire::file::client_hello(), &sockactors::wire::file::SIGNATURE[..5]);
    check_resets(&server, &[b"", b"", &hello, half], count(), |endpoint| {
        assert_eq!(
            FramedClient::open(connect(endpoint)).upload("file", b"1"),
            stored_reply(1, "file")
        );
    });
    assert_eq!(crate::support::files::names(out.path()), ["file"]);
}
