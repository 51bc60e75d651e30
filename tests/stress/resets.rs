//! Connections that are reset right after the handshake, thousands of them: nothing of them is left in the server, and whoever
//! comes next is served.
//!
//! `SOCKACTORS_RESETS` sets how many there are.

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

/// So many come between two who are served, hence at once at most. What memory the most of them need stays.
const BATCH: usize = 100;

/// So many come before the first look at the memory: a room remembers thousands of comings and goings.
const FIRST: usize = 12_000;

/// What a server may hold more in the end than after a first part of them, in KiB, and one more for so many connections: how
/// many are there at once is chance, and what the most of them need stays with the allocator.
const MORE: u64 = 512;
const FOR_ONE_MORE: usize = 256;

/// Connects, says something or nothing, and resets the connection.
fn reset(endpoint: &str, word: &[u8]) {
    let mut stream = TcpStream::connect(endpoint).unwrap();
    // A server that was quicker is no matter.
    let _ = stream.write_all(word);
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

/// Has many come and reset, and others served in between; then nothing of any of them is left.
fn come_and_reset(server: &Program, words: &[&[u8]], count: usize, served: impl Fn(&str)) {
    let before = open_descriptors(server);
    let batch = |count: usize| {
        for number in 0..count {
            reset(server.endpoint(), words[number % words.len()]);
        }
        served(server.endpoint());
    };
    // What a first part of them leaves is there once: buffers, threads, what a room remembers.
    (0..FIRST / BATCH).for_each(|_| batch(BATCH));
    wait_for_descriptors(server, before);
    wait_until_idle(server);
    let warm = private_memory_kib(server);
    (0..count.div_ceil(BATCH)).for_each(|_| batch(BATCH));
    wait_for_descriptors(server, before);
    wait_until_idle(server);
    let after = private_memory_kib(server);
    println!("{count} resets: {warm} KiB before, {after} KiB after");
    assert!(after <= warm + MORE + (count / FOR_ONE_MORE) as u64, "{warm} KiB became {after} KiB");
}

fn count() -> usize {
    env_number("SOCKACTORS_RESETS", 10_000)
}

#[test]
fn a_server_of_greetings_keeps_nothing_of_connections_that_were_reset() {
    let _alone = serial::lock();
    let server = Program::server(&["--scenario", "tcp"]);
    come_and_reset(&server, &[b"", b"x"], count(), |endpoint| {
        let mut greeted = String::new();
        connect(endpoint).read_to_string(&mut greeted).unwrap();
        assert_eq!(greeted, "Thank you for connecting");
    });
}

#[test]
fn a_chat_keeps_nothing_of_connections_that_were_reset() {
    let _alone = serial::lock();
    let server = Program::server(&["--scenario", "chat"]);
    let words: [&[u8]; 4] = [b"", b"", b"x", b"/who\n"];
    come_and_reset(&server, &words, count(), |endpoint| drop(LineClient::joined(endpoint)));
}

#[test]
fn a_file_server_keeps_nothing_of_connections_that_were_reset() {
    let _alone = serial::lock();
    let out = directory();
    let server = crate::support::files::server(out.path(), &[]);
    let (hello, half) =
        (sockactors::wire::file::client_hello(), &sockactors::wire::file::SIGNATURE[..5]);
    come_and_reset(&server, &[b"", b"", &hello, half], count(), |endpoint| {
        assert_eq!(
            FramedClient::open(connect(endpoint)).upload("file", b"1"),
            stored_reply(1, "file")
        );
    });
    assert_eq!(crate::support::files::names(out.path()), ["file"]);
}
