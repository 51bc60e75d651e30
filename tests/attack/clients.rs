//! Hostile servers against our clients.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{Frame, Stored};
use tempfile::TempDir;

use crate::support::framed_server::{ScriptedServer, ServerConnection, ServerFiles, script};
use crate::support::{directory, serial, sockactors};

/// Creates a directory with a file `sent`.
fn file() -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join("sent");
    fs::write(&path, "text").unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// Accepts the next file, and reads it to its end.
fn accept_file(talk: &mut ServerConnection) {
    talk.recv_offer().unwrap();
    talk.send(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
    let mut ended = false;
    while !ended && talk.recv(|frame| ended = matches!(frame, Frame::End { .. })) {}
}

#[test]
fn failure_text_with_line_feeds_forges_no_log_line() {
    const FORGED: &str = "x\r\nsockactors: error: forged\u{85}\u{2028}\x1b[2J\u{ad}\u{3164}";
    for code in [1, 2, 5, 6, 7, 11] {
        let (_directory, path) = file();
        let reject = script(move |talk, _| {
            let mut talk = talk.handshake();
            talk.recv_offer().unwrap();
            talk.send_failed(code, FORGED);
            while talk.recv(|_| {}) {}
        });
        let server = ScriptedServer::new(ServerFiles::default(), vec![reject]);
        let ended =
            sockactors(&["--scenario", "file", "--connect", &server.address, "-v", &path], "");
        for line in ended.err().lines().chain(ended.out().lines()) {
            assert!(!line.starts_with("sockactors: error: forged"), "{code}: {ended:?}");
            let is_plain = |c: char| !c.is_control() && !"\u{2028}\u{ad}\u{3164}".contains(c);
            assert!(line.chars().all(is_plain), "{code}: {line:?}");
        }
        assert!(ended.err().contains("forged"), "{code}: {ended:?}");
        server.join();
    }
}

#[test]
fn flood_of_wait_frames_ends_file_client() {
    let _serial = serial::lock();
    let (_directory, path) = file();
    let flood = script(|talk, _| {
        let mut talk = talk.handshake();
        accept_file(&mut talk);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            (0..1000).for_each(|_| talk.frames.write(&Frame::Wait, &mut bytes));
            if talk.stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let server = ScriptedServer::new(ServerFiles::default(), vec![flood]);
    let start = Instant::now();
    let args = ["--scenario", "file", "--connect", &server.address, "--timeout", "60s", &path];
    sockactors(&args, "").with_code(1).with_stderr("unexpected reply");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    server.join();
}

#[test]
fn surplus_reply_ends_file_client() {
    let (directory, path) = file();
    // A surplus reply must not count as the creation of a directory.
    let second = directory.path().join("second");
    fs::create_dir(&second).unwrap();
    let twice = script(|talk, _| {
        let mut talk = talk.handshake();
        accept_file(&mut talk);
        let stored = Stored { size: 4, digest: blake3::hash(b"text").into(), name: "sent" };
        let mut bytes = Vec::new();
        (0..2).for_each(|_| talk.frames.write(&Frame::Stored(stored.clone()), &mut bytes));
        talk.stream.write_all(&bytes).unwrap();
        while talk.recv(|_| {}) {}
    });
    let server = ScriptedServer::new(ServerFiles::default(), vec![twice]);
    let second = second.to_str().unwrap();
    let args = ["--scenario", "file", "--connect", &server.address, &path, second];
    sockactors(&args, "").with_code(1).with_stderr("unexpected reply");
    server.join();
}

#[test]
fn flood_of_replies_does_not_hold_raw_client() {
    let _serial = serial::lock();
    let (_directory, path) = file();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let flood = std::thread::spawn(move || {
        let mut stream: TcpStream = listener.accept().unwrap().0;
        let mut sent = 0_u64;
        while stream.write_all(&[b'x'; 64 << 10]).is_ok() {
            sent += 64 << 10;
        }
        sent
    });
    sockactors(&["--scenario", "file", "--connect", &address, "--raw", &path], "").with_code(0);
    // The kernel's buffers hold some megabytes.
    let sent = flood.join().unwrap();
    assert!(sent < 32 << 20, "the client read {sent} bytes");
}
