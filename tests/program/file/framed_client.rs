//! The framed file client of the built program, against a scripted server.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::support::files::{distinct_chunks, send};
use crate::support::framed_client::chunk_hashes;
use crate::support::framed_server::{ScriptedServer, ServerFiles, accept_all, cut_after, script};
use crate::support::{ProgramOutput, directory, sockactors};
use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{CHUNK_SIZE, Frame, SIGNATURE, Stored, server_hello};
use tempfile::TempDir;

/// Creates a directory with a file `name` of this length.
fn file(name: &str, length: usize) -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join(name);
    fs::write(&path, distinct_chunks(length)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// Returns the state of a server that has this much of the file already.
fn holding(name: &str, bytes: Vec<u8>) -> ServerFiles {
    ServerFiles { files: [(name.to_owned(), bytes)].into(), ..ServerFiles::default() }
}

#[test]
fn files_are_sent_in_order_of_names() {
    let (directory, one) = file("one", 3 * CHUNK_SIZE + 1);
    let tree = directory.path().join("tree");
    fs::create_dir_all(tree.join("b/empty")).unwrap();
    fs::write(tree.join("b/z"), "").unwrap();
    fs::write(tree.join("a"), distinct_chunks(CHUNK_SIZE)).unwrap();
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let ended = send(&server_stub.address, &[tree.to_str().unwrap(), &one]).with_code(0);
    let store = server_stub.join();
    assert_eq!(store.stored, ["tree", "tree/a", "tree/b", "tree/b/empty", "tree/b/z", "one"]);
    assert!(store.files["one"] == distinct_chunks(3 * CHUNK_SIZE + 1));
    assert!(store.files["tree/a"] == distinct_chunks(CHUNK_SIZE));
    assert!(ended.out().contains(&format!("Sent {one}: 192 KiB in ")), "{ended:?}");
    assert!(ended.out().contains("\n3 files, 256 KiB in "), "{ended:?}");
}

#[test]
fn json_reports_files_and_summary() {
    let (_directory, one) = file("one", 70_000);
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let lines = send(&server_stub.address, &["--json", &one]).with_code(0).lines();
    let digest = format!("\"blake3\":\"{}\"", blake3::hash(&distinct_chunks(70_000)));
    let wanted = ["\"event\":\"sent\"", "\"bytes\":70000", &digest, "\"stored\":\"one\""];
    assert!(wanted.iter().all(|part| lines[0].contains(part)), "{lines:?}");
    let wanted = ["\"event\":\"summary\"", "\"sent\":1", "\"failed\":0", "\"bytes\":70000"];
    assert!(wanted.iter().all(|part| lines[1].contains(part)), "{lines:?}");
}

#[test]
fn dash_sends_stdin() {
    let text = "x".repeat(2 * CHUNK_SIZE + 9);
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let args = ["--scenario", "file", "--connect", &server_stub.address, "-"];
    sockactors(&args, &text).with_code(0);
    assert_eq!(server_stub.join().files["stdin"], text.as_bytes());
}

#[test]
fn names_are_read_from_stdin_without_file_argument() {
    let (_directory, one) = file("one", 5);
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let args = ["--scenario", "file", "--connect", &server_stub.address];
    sockactors(&args, &format!("/no/such/file\n\n{one}")).with_code(1).with_stderr("/no/such/file");
    assert_eq!(server_stub.join().stored, ["one"]);
}

#[test]
fn upload_resumes_after_servers_chunks() {
    let length = 3 * CHUNK_SIZE + 100;
    let (_directory, one) = file("one", length);
    for held in [CHUNK_SIZE, 3 * CHUNK_SIZE, length] {
        let server_stub =
            ScriptedServer::new(holding("one", distinct_chunks(held)), vec![accept_all()]);
        send(&server_stub.address, &[&one]).with_code(0);
        let store = server_stub.join();
        assert_eq!(
            (store.chunk_bytes, store.resume_points[0]),
            (length - held, held.div_ceil(CHUNK_SIZE) as u64)
        );
        assert!(store.files["one"] == distinct_chunks(length));
    }
}

#[test]
fn mismatching_partial_file_is_sent_again() {
    let (_directory, one) = file("one", 2 * CHUNK_SIZE + 100);
    for (held, args) in
        [(vec![7; 2 * CHUNK_SIZE], "auto"), (distinct_chunks(2 * CHUNK_SIZE), "off")]
    {
        let server_stub = ScriptedServer::new(holding("one", held), vec![accept_all()]);
        send(&server_stub.address, &["--resume", args, &one]).with_code(0);
        let store = server_stub.join();
        assert_eq!(
            (store.resume_points, store.chunk_bytes),
            (vec![0], 2 * CHUNK_SIZE + 100),
            "{args}"
        );
    }
}

#[test]
fn cut_connection_is_reestablished_and_resumed() {
    let length = 40 * CHUNK_SIZE + 7;
    let (_directory, one) = file("one", length);
    let cuts = [1, 10, 12, 60, 100, 5000, 70_000, 200_000, CHUNK_SIZE * 9, CHUNK_SIZE * 20];
    let scripts = cuts.map(cut_after).into_iter().chain([accept_all()]).collect();
    let server_stub = ScriptedServer::new(ServerFiles::default(), scripts);
    // A client that is cut before the first reply was never connected.
    let mut ended = send(&server_stub.address, &["--timeout", "5s", &one]);
    while ended.code != 0 {
        assert!(ended.err().contains(&server_stub.address), "{ended:?}");
        ended = send(&server_stub.address, &["--timeout", "5s", &one]);
    }
    let store = server_stub.join();
    assert!(store.files["one"] == distinct_chunks(length));
    assert!(store.chunk_bytes <= length + CHUNK_SIZE, "{} moved", store.chunk_bytes);
    assert_eq!(store.stored, ["one"]);
    assert!(ended.err().contains("trying again"), "{ended:?}");
}

#[test]
fn resume_off_fails_at_lost_connection() {
    let (_directory, one) = file("one", 20 * CHUNK_SIZE);
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![cut_after(CHUNK_SIZE)]);
    send(&server_stub.address, &["--resume=off", &one])
        .with_code(1)
        .with_stderr(&server_stub.address);
}

#[test]
fn partially_sent_stdin_is_not_resumed() {
    let server_stub =
        ScriptedServer::new(ServerFiles::default(), vec![cut_after(3 * CHUNK_SIZE), accept_all()]);
    let args = ["--scenario", "file", "--connect", &server_stub.address, "-"];
    let text = "x".repeat(20 * CHUNK_SIZE);
    sockactors(&args, &text).with_code(1).with_stderr("stdin cannot be sent again");
}

/// Rejects the first offer with a code, before or after its data, and accepts the next.
fn refused(code: u16, after: bool, expected: i32) -> (ProgramOutput, ServerFiles) {
    let (directory, one) = file("one", 30 * CHUNK_SIZE);
    let two = directory.path().join("two");
    fs::write(&two, "second").unwrap();
    let refuse = script(move |talk, store| {
        let mut talk = talk.handshake();
        talk.recv_offer().unwrap();
        if after {
            talk.send(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
            (0..3).for_each(|_| assert!(talk.recv(|_| {})));
        }
        talk.send_failed(code, "because \u{1b}[31m of \u{202e}it");
        // Data of the first file that is still in flight is skipped.
        match talk.recv_offer() {
            Some(name) => {
                let size = fs::read(&two).unwrap();
                talk.send(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
                let mut ended = false;
                while !ended && talk.recv(|frame| ended = matches!(frame, Frame::End { .. })) {}
                let digest = blake3::hash(&size).into();
                talk.send(&Frame::Stored(Stored { size: size.len() as u64, digest, name: &name }));
                store.stored.push(name);
                talk.serve(store);
            }
            None => drop(talk),
        }
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![refuse]);
    let two = directory.path().join("two");
    let ended = send(&server_stub.address, &[&one, two.to_str().unwrap()])
        .with_code(expected)
        .with_stderr("because");
    assert!(!ended.err().contains(['\u{1b}', '\u{202e}']), "{ended:?}");
    (ended.with_stderr("one"), server_stub.join())
}

#[test]
fn rejected_file_is_reported_and_next_is_sent() {
    for (code, expected) in [(2, 1), (3, 1), (4, 1), (6, 1), (10, 1), (11, 0), (999, 1)] {
        for after in [false, true] {
            assert_eq!(refused(code, after, expected).1.stored, ["two"], "{code}, {after}");
        }
    }
}

#[test]
fn fatal_failures_have_own_exit_codes() {
    for (code, expected) in [(1, 1), (7, 5), (5, 6)] {
        for after in [false, true] {
            assert_eq!(refused(code, after, expected).1.stored, [""; 0], "{code}, {after}");
        }
    }
}

#[test]
fn busy_or_stopping_server_is_retried() {
    let (_directory, one) = file("one", 2 * CHUNK_SIZE);
    for code in [8, 9] {
        let later = script(move |talk, _| {
            let mut talk = talk.handshake();
            talk.recv_offer().unwrap();
            talk.send_failed(code, "later");
        });
        let server_stub = ScriptedServer::new(ServerFiles::default(), vec![later, accept_all()]);
        send(&server_stub.address, &[&one]).with_code(0).with_stderr("later; trying again");
        assert_eq!(server_stub.join().stored, ["one"]);
    }
}

/// Uploads to a server that sends these first bytes, and then waits for the client's end.
fn greeted_with(words: Vec<u8>, expected: i32) -> ProgramOutput {
    let (_directory, one) = file("one", 100);
    let strange = script(move |talk, _| {
        let mut talk = talk.read_hello();
        talk.stream.write_all(&words).unwrap();
        while talk.recv(|_| {}) {}
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![strange]);
    let ended = send(&server_stub.address, &["--timeout", "300ms", &one]).with_code(expected);
    ended.with_stderr(&server_stub.address)
}

#[test]
fn silent_server_error_recommends_raw() {
    greeted_with(Vec::new(), 4).with_stderr("--raw");
    greeted_with(SIGNATURE[..4].to_vec(), 4);
    let (_directory, one) = file("one", 100);
    let server_stub = ScriptedServer::new(
        ServerFiles::default(),
        vec![script(|talk, _| drop(talk.read_hello()))],
    );
    send(&server_stub.address, &[&one]).with_code(1).with_stderr("--raw");
}

#[test]
fn foreign_protocol_is_reported() {
    greeted_with(b"Thank you for connecting".to_vec(), 1).with_stderr("does not speak");
    greeted_with(server_hello(0), 1).with_stderr("version");
    greeted_with(server_hello(2), 1).with_stderr("version");
    let garbage = [&server_hello(1)[..], b"\x07\x02\0\0\0ab01234567"].concat();
    greeted_with(garbage, 5).with_stderr("wrong checksum");
}

#[test]
fn digest_mismatch_exits_with_5() {
    let (_directory, one) = file("one", 100);
    let lies = script(|talk, _| {
        let mut talk = talk.handshake();
        let name = talk.recv_offer().unwrap();
        talk.send(&Frame::Answer {
            chunk_count: 0,
            chunk_list_hash: hash_chunk_list(&chunk_hashes(&[])),
        });
        (0..3).for_each(|_| assert!(talk.recv(|_| {})));
        talk.send(&Frame::Stored(Stored { size: 100, digest: [9; 32], name: &name }));
        while talk.recv(|_| {}) {}
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![lies]);
    send(&server_stub.address, &[&one]).with_code(5).with_stderr("one").with_stderr("0909");
}

#[test]
fn file_changed_during_upload_is_reported() {
    let (_directory, one) = file("one", 3 * CHUNK_SIZE);
    let path = PathBuf::from(&one);
    let slow = script(move |talk, store| {
        let mut talk = talk.handshake();
        talk.recv_offer().unwrap();
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        talk.send(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
        talk.serve(store);
    });
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![slow]);
    send(&server_stub.address, &[&one]).with_code(1).with_stderr("changed while it was sent");
    assert_eq!(server_stub.join().failure_codes, [10]);
}

#[test]
fn links_and_pipes_are_skipped_and_reported() {
    let (directory, _one) = file("one", 5);
    let pipe = directory.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
    let server_stub = ScriptedServer::new(ServerFiles::default(), vec![accept_all()]);
    let ended =
        send(&server_stub.address, &[directory.path().to_str().unwrap(), pipe.to_str().unwrap()]);
    ended.with_code(1).with_stderr("link").with_stderr("pipe").with_stderr("through stdin");
    assert_eq!(server_stub.join().files.len(), 1);
}
