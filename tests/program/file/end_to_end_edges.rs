//! Our client and our server together, rare cases: cut links, server restarts, names, conflicts,
//! stdin.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::chat_client::connect;
use crate::support::files::{distinct_chunks, names, send, server};
use crate::support::{Program, directory, sockactors};
use sockactors::wire::file::CHUNK_SIZE;

/// Writes a file, and returns its path as text.
fn file(directory: &Path, name: &str, bytes: &[u8]) -> String {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A proxy to a server that cuts each connection after a given number of bytes, except the last.
struct Link {
    at: String,
    /// The number of bytes sent to the server.
    moved: Arc<AtomicUsize>,
}

impl Link {
    fn to(server: &Program, cuts: Vec<usize>) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let (server, moved) = (server.endpoint().to_owned(), Arc::new(AtomicUsize::new(0)));
        let counted = moved.clone();
        std::thread::spawn(move || {
            for most in cuts.into_iter().chain([usize::MAX]) {
                let (client, _) = listener.accept().unwrap();
                let _ = pass(client, connect(&server), most, &counted);
            }
        });
        Link { at, moved }
    }

    fn moved(&self) -> usize {
        self.moved.load(Ordering::Relaxed)
    }
}

/// Forwards bytes both ways, until the limit of bytes to the server is reached.
fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    mut most: usize,
    moved: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut piece = vec![0; CHUNK_SIZE];
    while most > 0 {
        let length = client.read(&mut piece[..most.min(CHUNK_SIZE)])?;
        if length == 0 {
            break;
        }
        server.write_all(&piece[..length])?;
        moved.fetch_add(length, Ordering::Relaxed);
        most -= length;
    }
    server.shutdown(Shutdown::Write)?;
    if most == 0 {
        client.shutdown(Shutdown::Both)?;
    }
    back.join().unwrap();
    Ok(())
}

#[test]
fn second_run_resumes_first() {
    let (source, out) = (directory(), directory());
    let bytes = distinct_chunks(50 * CHUNK_SIZE);
    let name = file(source.path(), "file", &bytes);
    let server = server(out.path(), &[]);
    let link = Link::to(&server, vec![30 * CHUNK_SIZE]);
    send(&link.at, &["--resume", "off", &name]).with_code(1);
    let before = link.moved();
    assert!(!out.path().join("file").exists());
    send(&link.at, &[&name]).with_code(0);
    assert!(fs::read(out.path().join("file")).unwrap() == bytes);
    let moved = link.moved() - before;
    assert!(moved < 22 * (CHUNK_SIZE + 53) + 4000, "{moved} bytes moved the second time");
}

#[test]
fn restarted_server_is_reconnected() {
    let (source, out) = (directory(), directory());
    let (first, second) = (
        file(source.path(), "first", b"first"),
        file(source.path(), "second", &distinct_chunks(9)),
    );
    let before = server(out.path(), &[]);
    let at = before.endpoint().to_owned();
    let mut client = Program::run(&["--scenario", "file", "--connect", &at]);
    client.write(format!("{first}\n"));
    before.wait_for("first");
    client.wait_for("first");
    before.signal(rustix::process::Signal::KILL);
    before.wait();
    let after = server(out.path(), &["--listen", &at]);
    client.write(format!("{second}\n"));
    client.wait().with_code(0).with_stderr("trying again");
    after.wait_for("second");
    assert_eq!(names(out.path()), ["first", "second"]);
}

#[test]
fn on_conflict_decides_about_taken_names() {
    let source = directory();
    let name = file(source.path(), "file", b"new");
    for (policy, code, kept) in
        [("fail", 1, "old"), ("skip", 0, "old"), ("overwrite", 0, "new"), ("rename", 0, "old")]
    {
        let out = directory();
        fs::write(out.path().join("file"), "old").unwrap();
        let server = server(out.path(), &["--on-conflict", policy]);
        let ended = send(server.endpoint(), &[&name]).with_code(code);
        assert_eq!(fs::read_to_string(out.path().join("file")).unwrap(), kept, "{policy}");
        match policy {
            "fail" => drop(ended.with_stderr("file")),
            "rename" => {
                let other = names(out.path()).into_iter().find(|name| name != "file").unwrap();
                assert_eq!(fs::read_to_string(out.path().join(&other)).unwrap(), "new");
                assert!(ended.out().contains(&format!("stored as {other}")), "{ended:?}");
            }
            _ => assert_eq!(names(out.path()), ["file"], "{policy}"),
        }
    }
}

#[test]
fn full_disk_exits_with_6_and_oversized_file_is_skipped() {
    let (source, out) = (directory(), directory());
    let (large, small) = (
        file(source.path(), "large", &distinct_chunks(2000)),
        file(source.path(), "small", b"small"),
    );
    let strict = server(out.path(), &["--max-size", "1000"]);
    send(strict.endpoint(), &[&large, &small]).with_code(1).with_stderr("large");
    assert_eq!(names(out.path()), ["small"]);
    let full = server(out.path(), &["--keep-free", "1000000GiB"]);
    send(full.endpoint(), &[&large, &small]).with_code(6).with_stderr("large");
    assert!(!out.path().join("large").exists());
}

#[test]
fn stdin_is_stored_as_stdin() {
    let out = directory();
    let server = server(out.path(), &[]);
    let text = "what came\n".repeat(50_000);
    let args = ["--scenario", "file", "--connect", server.endpoint(), "-"];
    sockactors(&args, &text).with_code(0);
    assert!(fs::read_to_string(out.path().join("stdin")).unwrap() == text);
}

#[test]
fn rejected_names_are_escaped_and_others_arrive() {
    let (source, out) = (directory(), directory());
    let odd = [".hidden", "red\u{1b}[31m", "\u{202e}txt.exe"];
    let mut paths: Vec<String> = odd.iter().map(|name| file(source.path(), name, b"odd")).collect();
    paths.push(file(source.path(), "good", b"good"));
    let server = server(out.path(), &[]);
    let ended = send(server.endpoint(), &paths.iter().map(String::as_str).collect::<Vec<_>>());
    let ended = ended.with_code(1).with_stderr(".hidden");
    assert_eq!(names(out.path()), ["good"]);
    for text in [ended.err(), ended.out(), String::from_utf8_lossy(&server.stderr()).into()] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn role_both_transfers_file() {
    let (source, out) = (directory(), directory());
    let name = file(source.path(), "file", &distinct_chunks(3 * CHUNK_SIZE));
    let out_text = out.path().to_str().unwrap();
    let args = ["--scenario", "file", "--role", "both", "--listen", "127.0.0.1:0"];
    sockactors(&[&args[..], &["--out", out_text, &name]].concat(), "").with_code(0);
    assert!(fs::read(out.path().join("file")).unwrap() == distinct_chunks(3 * CHUNK_SIZE));
}
