//! The framed file client, rare cases: repeatedly lost connections, unexpected replies, Ctrl-C.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::support::files::{distinct_chunks, send};
use crate::support::framed_server::{
    ScriptedServer, ServerConnection, ServerFiles, accept_all, cut_after, script,
};
use crate::support::{Program, directory, sockactors};
use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{CHUNK_SIZE, Frame, Stored};
use tempfile::TempDir;

/// Creates a directory with a file `one` of this length.
fn file(length: usize) -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join("one");
    fs::write(&path, distinct_chunks(length)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// Receives an offer, and replies that nothing is held of it.
fn holds_nothing(talk: &mut ServerConnection) {
    talk.recv_offer().unwrap();
    talk.send(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
}

/// Receives frames up to the end of the file.
fn hear_to_the_end(talk: &mut ServerConnection) {
    let mut ended = false;
    while !ended {
        assert!(talk.recv(|frame| ended = matches!(frame, Frame::End { .. })));
    }
}

/// Returns a port of this machine without a listener.
fn unused_endpoint() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn every_length_arrives_over_one_connection() {
    let source = directory();
    let lengths = [
        0,
        1,
        CHUNK_SIZE - 1,
        CHUNK_SIZE,
        CHUNK_SIZE + 1,
        16 * CHUNK_SIZE,
        16 * CHUNK_SIZE + 1,
        50 * CHUNK_SIZE + 7,
    ];
    let paths = lengths.map(|length| {
        let path = source.path().join(format!("of-{length}"));
        fs::write(&path, distinct_chunks(length)).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let args = ["-v"].into_iter().chain(paths.iter().map(String::as_str)).collect::<Vec<_>>();
    let ended = send(&server_stub.address, &args).with_code(0);
    let store = server_stub.join();
    for length in lengths {
        let file = distinct_chunks(length);
        assert!(store.files[&format!("of-{length}")] == file, "{length}");
        assert!(ended.err().contains(blake3::hash(&file).to_hex().as_str()), "{length}: {ended:?}");
    }
    assert_eq!(store.stored.len(), lengths.len());
}

#[test]
fn lost_connections_resend_no_chunk() {
    let length = 30 * CHUNK_SIZE + 9;
    let (_directory, one) = file(length);
    let far = |chunks: usize| chunks * (CHUNK_SIZE + 53) + 1000;
    // The first connection succeeds, so the others count as lost. Each one without progress is
    // followed by one with progress.
    let cuts =
        [12, far(1), 1, 3 * CHUNK_SIZE, 9, far(0), 10, 11, far(5) + 17, 100, far(4), far(12)];
    let mut scripts: Vec<_> = cuts.map(cut_after).into_iter().collect();
    scripts.push(script(|talk, _| drop(talk)));
    scripts.push(accept_all());
    let server_stub = ScriptedServer::new(ServerFiles::default(), scripts);
    let ended = send(&server_stub.address, &[&one]).with_code(0);
    let store = server_stub.join();
    assert!(store.files["one"] == distinct_chunks(length));
    assert_eq!(store.chunk_bytes, length);
    assert_eq!(ended.err().matches("trying again").count(), 13, "{ended:?}");
}

#[test]
fn known_server_is_retried_after_foreign_reply() {
    let (_directory, one) = file(3 * CHUNK_SIZE);
    let welcomed = script(|talk, _| holds_nothing(&mut talk.handshake()));
    let ends = script(|talk, _| drop(talk.read_hello()));
    let proxy = script(|talk, _| {
        let mut talk = talk.read_hello();
        talk.stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap();
    });
    let server_stub =
        ScriptedServer::new(ServerFiles::default(), vec![welcomed, ends, proxy, accept_all()]);
    send(&server_stub.address, &[&one]).with_code(0);
    assert_eq!(server_stub.join().stored, ["one"]);
}

#[test]
fn missing_server_is_retried_until_interrupt() {
    let (_directory, one) = file(5);
    let gone = || script(|talk, _| holds_nothing(&mut talk.handshake()));
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![gone(), gone()]);
    let mut program =
        Program::run(&["--scenario", "file", "--connect", &server_stub.address, &one]);
    program.close_stdin();
    program.wait_for_error_line(|line| line.contains("trying again") && line.contains("refused"));
    program.interrupt();
    program.wait().with_code(130);
    server_stub.join();
}

#[test]
fn unreachable_server_fails_at_once() {
    let (_directory, one) = file(5);
    let at = unused_endpoint();
    let ended = sockactors(&["--scenario", "file", "--connect", &at, &one], "").with_code(3);
    assert!(!ended.with_stderr(&at).err().contains("again"));
}

#[test]
fn unreadable_files_open_no_connection() {
    let args = ["--scenario", "file", "--connect", &unused_endpoint(), "/no/such/file"];
    sockactors(&args, "").with_code(1).with_stderr("/no/such/file");
}

#[test]
fn interrupt_ends_client_of_silent_server() {
    let (_directory, one) = file(CHUNK_SIZE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut program = Program::run(&["--scenario", "file", "--connect", &at, &one]);
    program.close_stdin();
    let _stream = listener.accept().unwrap();
    program.interrupt();
    program.wait().with_code(130);
}

#[test]
fn file_changed_while_disconnected_is_not_resumed() {
    let (_directory, one) = file(400 * CHUNK_SIZE);
    let path = PathBuf::from(&one);
    let changes = script(move |talk, store| {
        let mut talk = talk.handshake();
        talk.byte_limit = 40 * CHUNK_SIZE;
        talk.serve(store);
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(b"another beginning").unwrap();
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![changes, accept_all()]);
    send(&server_stub.address, &[&one]).with_code(1).with_stderr("changed");
    let store = server_stub.join();
    assert_eq!((store.stored.len(), store.failure_codes), (0, vec![10]));
}

#[test]
fn late_rejection_is_reported() {
    let (_directory, one) = file(40 * CHUNK_SIZE);
    for (code, expected) in [(1, 1), (5, 6), (7, 5), (3, 1), (6, 1), (11, 0)] {
        let refuses = script(move |talk, _| {
            let mut talk = talk.handshake();
            holds_nothing(&mut talk);
            hear_to_the_end(&mut talk);
            talk.send_failed(code, "that is why");
            while talk.recv(|_| {}) {}
        });
        let server_stub = ScriptedServer::new(ServerFiles::default(), vec![refuses]);
        let ended = send(&server_stub.address, &[&one]).with_code(expected);
        if code != 11 {
            ended.with_stderr("one").with_stderr("that is why");
        }
        server_stub.join();
    }
}

#[test]
fn server_stop_at_end_of_file_is_retried() {
    let (_directory, one) = file(40 * CHUNK_SIZE);
    let stops = script(|talk, _| {
        let mut talk = talk.handshake();
        holds_nothing(&mut talk);
        hear_to_the_end(&mut talk);
        talk.send_failed(9, "it stops");
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![stops, accept_all()]);
    send(&server_stub.address, &[&one]).with_code(0).with_stderr("it stops; trying again");
    assert_eq!(server_stub.join().stored, ["one"]);
}

#[test]
fn resume_point_beyond_file_is_protocol_error() {
    let (_directory, one) = file(10 * CHUNK_SIZE);
    for held in [10, 11, u64::MAX] {
        let holds = script(move |talk, store| {
            let mut talk = talk.handshake();
            talk.recv_offer().unwrap();
            store.files.insert("one".into(), Vec::new());
            talk.send(&Frame::Answer { chunk_count: held, chunk_list_hash: [7; 32] });
            let mut begun = None;
            assert!(talk.recv(|frame| begun = Some(frame == Frame::Begin(0))));
            assert_eq!(begun, Some(true), "{held}");
            hear_to_the_end(&mut talk);
            let digest = blake3::hash(&distinct_chunks(10 * CHUNK_SIZE)).into();
            talk.send(&Frame::Stored(Stored { size: 10 * CHUNK_SIZE as u64, digest, name: "one" }));
        });
        let server_stub = ScriptedServer::new(ServerFiles::default(), vec![holds]);
        send(&server_stub.address, &[&one]).with_code(0);
        server_stub.join();
    }
}

#[test]
fn unexpected_replies_are_reported() {
    let (_directory, one) = file(5 * CHUNK_SIZE);
    let answers: [fn(&mut ServerConnection); 4] = [
        |talk| talk.send(&Frame::Begin(0)),
        |talk| {
            let held = Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) };
            talk.send(&held);
            talk.send(&held);
        },
        |talk| talk.send(&Frame::Offer(crate::support::framed_client::offer(b"one", Some(1)))),
        |talk| talk.send(&Frame::Stored(Stored { size: 5, digest: [0; 32], name: "one" })),
    ];
    for answer in answers {
        let odd = script(move |talk, _| {
            let mut talk = talk.handshake();
            talk.recv_offer().unwrap();
            answer(&mut talk);
            while talk.recv(|_| {}) {}
        });
        let server_stub = ScriptedServer::new(ServerFiles::default(), vec![odd]);
        send(&server_stub.address, &[&one])
            .with_code(1)
            .with_stderr(&server_stub.address)
            .with_stderr("unexpected reply");
        server_stub.join();
    }
}

#[test]
fn other_servers_are_reported_with_remedy() {
    let (_directory, one) = file(CHUNK_SIZE);
    let web = script(|talk, _| {
        let mut talk = talk.read_hello();
        talk.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        while talk.recv(|_| {}) {}
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![web]);
    send(&server_stub.address, &[&one])
        .with_code(1)
        .with_stderr(&server_stub.address)
        .with_stderr("--raw");
    server_stub.join();
}

#[test]
fn quiet_upload_prints_results_only() {
    let (_directory, one) = file(CHUNK_SIZE);
    let cut = || cut_after(1000);
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![cut(), accept_all()]);
    let ended = send(&server_stub.address, &["--quiet", &one]).with_code(0);
    server_stub.join();
    assert!(ended.out().contains("one"), "{ended:?}");
    assert_eq!(ended.err(), "");
}
