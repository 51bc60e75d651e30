//! The file client and the file server of the program with each other, framed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use crate::support::directory;
use crate::support::files::{distinct_chunks, send, server};

/// Forwards `bytes` of each connection in turn and then cuts it. The last one is forwarded whole.
/// Returns the number of forwarded bytes.
fn cutting(to: &str, cuts: Vec<usize>) -> (String, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
    let passed = std::thread::spawn(move || {
        let cuts = cuts.into_iter().chain([usize::MAX]);
        cuts.map(|cut| pass(listener.accept().unwrap().0, &to, cut)).sum()
    });
    (at, passed)
}

fn pass(mut client: TcpStream, to: &str, most: usize) -> usize {
    let mut server = TcpStream::connect(to).unwrap();
    let (mut answers, mut received) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut received);
        let _ = received.shutdown(Shutdown::Write);
    });
    let (mut piece, mut passed) = (vec![0; 64 << 10], 0);
    while passed < most {
        let room = piece.len().min(most - passed);
        match client.read(&mut piece[..room]) {
            Ok(length @ 1..) if server.write_all(&piece[..length]).is_ok() => passed += length,
            _ => break,
        }
    }
    if passed == most {
        let _ = client.shutdown(Shutdown::Both);
    }
    let _ = server.shutdown(Shutdown::Write);
    back.join().unwrap();
    passed
}

#[test]
fn directory_tree_arrives_and_second_run_sends_nothing() {
    let (from, to) = (directory(), directory());
    let tree = from.path().join("tree");
    fs::create_dir_all(tree.join("empty")).unwrap();
    fs::write(tree.join("large"), distinct_chunks(3_000_000)).unwrap();
    fs::write(tree.join("none"), "").unwrap();
    let server = server(to.path(), &["--json"]);
    for _ in 0..2 {
        let ended = send(server.endpoint(), &["--json", tree.to_str().unwrap()]).with_code(0);
        let digest = format!("\"blake3\":\"{}\"", blake3::hash(&distinct_chunks(3_000_000)));
        assert!(ended.out().contains(&digest), "{ended:?}");
    }
    assert!(fs::read(to.path().join("tree/large")).unwrap() == distinct_chunks(3_000_000));
    assert_eq!(fs::read(to.path().join("tree/none")).unwrap(), b"");
    assert!(to.path().join("tree/empty").is_dir());
}

#[test]
fn repeated_cuts_resend_little() {
    let (from, to) = (directory(), directory());
    let length = 20_000_000;
    let path = from.path().join("large");
    fs::write(&path, distinct_chunks(length)).unwrap();
    let server = server(to.path(), &[]);
    let cuts = vec![70_000, 1_000_000, 300_000, 5_000_000, 2_222_222, 100_000, 4_000_000];
    let most = length + length / 1000 + cuts.len() * (66 << 10);
    let (at, passed) = cutting(server.endpoint(), cuts);
    let ended = send(&at, &[path.to_str().unwrap()]).with_code(0);
    assert!(ended.err().contains("trying again"), "{ended:?}");
    let passed = passed.join().unwrap();
    assert!((length..=most).contains(&passed), "{passed} bytes moved, {most} may be");
    assert!(fs::read(to.path().join("large")).unwrap() == distinct_chunks(length));
}

#[test]
fn rejections_set_exit_code() {
    let (from, to) = (directory(), directory());
    let path = from.path().join("file");
    fs::write(&path, distinct_chunks(5000)).unwrap();
    fs::write(to.path().join("file"), "another").unwrap();
    let path = path.to_str().unwrap();
    let no_room = u64::MAX.to_string();
    let cases: [(&[&str], i32, &str); 4] = [
        (&[], 1, "already exists on the server"),
        (&["--on-conflict", "skip"], 0, "already exists on the server"),
        (&["--max-size", "4KiB"], 1, "size limit of 4 KiB"),
        (&["--on-conflict", "rename", "--keep-free", &no_room], 6, "full"),
    ];
    for (flags, code, words) in cases {
        let server = server(to.path(), flags);
        send(server.endpoint(), &[path]).with_code(code).with_stderr(words).with_stderr(path);
    }
    assert_eq!(fs::read(to.path().join("file")).unwrap(), b"another");
    let server = server(to.path(), &["--on-conflict", "rename"]);
    let ended = send(server.endpoint(), &[path]).with_code(0);
    assert!(ended.out().contains("stored as file-"), "{ended:?}");
}

#[test]
fn hidden_name_is_rejected_and_others_arrive() {
    let (from, to) = (directory(), directory());
    for name in [".hidden", "plain"] {
        fs::write(from.path().join(name), name).unwrap();
    }
    let server = server(to.path(), &[]);
    send(server.endpoint(), &[from.path().to_str().unwrap()]).with_code(1).with_stderr("hidden");
    let inside = to.path().join(from.path().file_name().unwrap());
    assert_eq!(fs::read(inside.join("plain")).unwrap(), b"plain");
    assert!(!inside.join(".hidden").exists());
}
