//! The raw file client through the built program, and large uploads from eight clients.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::peers::{Family, Peer, PeerAddress, SocketKind, lecture, require_tool};
use crate::support::{Program, directory, sockactors};

/// Writes a file, and returns its path as text.
fn file(directory: &Path, name: &str, bytes: &[u8]) -> String {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Every byte value, not valid UTF-8.
fn binary() -> Vec<u8> {
    (0..300_000u32).map(|i| (i ^ (i >> 8)) as u8).collect()
}

/// Sends two files from our client to every peer's server, over one family. They arrive joined.
fn our_client_sends_to_every_peer(family: Family) {
    for peer in Peer::all() {
        let directory = directory();
        let Some(at) = family.free_address(SocketKind::Stream, directory.path()) else { return };
        let (first, second) = (
            file(directory.path(), "first", b"text, then "),
            file(directory.path(), "second", &binary()),
        );
        let mut server = peer.server("file", SocketKind::Stream, &at, directory.path());
        if peer == Peer::Netcat {
            server.close_stdin();
        }
        let args = ["--scenario", "file", "--raw", "--connect", &at.endpoint(), &first, &second];
        sockactors(&args, "").with_code(0);
        let ended = server.wait();
        let expected = [b"text, then ".to_vec(), binary()].concat();
        let received = match peer {
            Peer::Python => fs::read(directory.path().join("output0.txt")).unwrap(),
            _ => ended.stdout,
        };
        assert!(received == expected, "{peer:?} received {} bytes", received.len());
    }
}

#[test]
fn client_sends_to_every_peer_over_ipv4() {
    our_client_sends_to_every_peer(Family::V4);
}

#[test]
fn client_sends_to_every_peer_over_ipv6() {
    our_client_sends_to_every_peer(Family::V6);
}

#[test]
fn client_sends_to_every_peer_over_unix() {
    our_client_sends_to_every_peer(Family::Unix);
}

/// A listener that accepts one client and returns everything it sent.
fn receiver() -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let received = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A client that gives up may reset the connection. The data before that counts.
        let _ = listener.accept().unwrap().0.read_to_end(&mut bytes);
        bytes
    });
    (at, received)
}

#[test]
fn piped_names_are_sent_and_bad_one_reported() {
    let directory = directory();
    let (first, second) =
        (file(directory.path(), "a", b"one, "), file(directory.path(), "b", b"two"));
    let (at, received) = receiver();
    let names = format!("{first}\n/no/such/file\n{second}\n");
    let ended = sockactors(&["--scenario", "file", "--raw", "--connect", &at], &names);
    let ended = ended.with_stderr("/no/such/file");
    assert!(ended.code <= 1, "{ended:?}");
    assert_eq!(received.join().unwrap(), b"one, two");
}

#[test]
fn unterminated_last_name_is_sent() {
    let directory = directory();
    let name = file(directory.path(), "with a space in it", b"content");
    let (at, received) = receiver();
    sockactors(&["--scenario", "file", "--raw", "--connect", &at], &name).with_code(0);
    assert_eq!(received.join().unwrap(), b"content");
}

/// Sends an unreadable file. The message names it, and the exit code is 1.
fn what_cannot_be_sent_is_named(name: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    sockactors(&["--scenario", "file", "--raw", "--connect", &at, name], "")
        .with_code(1)
        .with_stderr(name);
}

#[test]
fn missing_file_is_named() {
    what_cannot_be_sent_is_named("/no/such/file");
}

#[test]
fn directory_is_rejected_by_raw_client() {
    let directory = directory();
    what_cannot_be_sent_is_named(directory.path().to_str().unwrap());
}

#[test]
fn unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // Root may open every file. This one opens, and fails when it is read.
        return what_cannot_be_sent_is_named("/proc/self/mem");
    }
    let directory = directory();
    let name = file(directory.path(), "secret", b"secret");
    fs::set_permissions(&name, fs::Permissions::from_mode(0o000)).unwrap();
    what_cannot_be_sent_is_named(&name);
}

#[test]
fn raw_client_and_server_interoperate() {
    let directory = directory();
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let name = file(directory.path(), "source", &binary());
    let server =
        Program::server(&["--scenario", "file", "--out", out.to_str().unwrap(), "--clients", "1"]);
    sockactors(&["--scenario", "file", "--raw", "--connect", server.endpoint(), &name], "")
        .with_code(0);
    server.wait().with_code(0);
    assert!(fs::read(out.join("output0.txt")).unwrap() == binary());
}

/// The large file of one client: its number, and then 100 different blocks of a mebibyte.
struct Large {
    block: Vec<u8>,
}

impl Large {
    fn of(client: u8) -> Large {
        let mut state = 0x9E37_79B9_7F4A_7C15 ^ u64::from(client);
        let words = (0..1 << 17).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        let mut block: Vec<u8> = words.collect();
        block[0] = client;
        Large { block }
    }

    /// Calls `with` for each block.
    fn blocks(mut self, mut with: impl FnMut(&[u8])) {
        for i in 0..100u8 {
            self.block[1] = i;
            with(&self.block);
        }
    }
}

#[test]
fn eight_large_raw_uploads_arrive_intact() {
    if !require_tool("python3") {
        return;
    }
    let directory = directory();
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let source = |client: u8| -> PathBuf { directory.path().join(format!("source{client}")) };
    for client in 0..8 {
        let mut file = BufWriter::new(File::create(source(client)).unwrap());
        Large::of(client).blocks(|block| file.write_all(block).unwrap());
        file.flush().unwrap();
    }
    let server =
        Program::server(&["--scenario", "file", "--out", out.to_str().unwrap(), "--clients", "8"]);
    let at = PeerAddress::parse(server.endpoint());
    let start = |client: u8| {
        let mut program = Program::start(&mut lecture("file_client.py", &at));
        program.write(format!("{}\n", source(client).display()));
        program.close_stdin();
        program
    };
    let clients: Vec<Program> = (0..8).map(start).collect();
    let patience = Duration::from_secs(120);
    for client in clients {
        client.wait_within(patience).with_code(0);
    }
    server.wait_within(patience).with_code(0);

    let mut seen = Vec::new();
    for k in 0..8 {
        let mut file = BufReader::new(File::open(out.join(format!("output{k}.txt"))).unwrap());
        let mut first = [0; 1];
        file.read_exact(&mut first).unwrap();
        seen.push(first[0]);
        let mut read = vec![0; 1 << 20];
        let mut at = 1;
        Large::of(first[0]).blocks(|block| {
            file.read_exact(&mut read[at..]).unwrap();
            assert!(
                read[at..] == block[at..],
                "output{k}.txt differs from what client {} sent",
                first[0]
            );
            at = 0;
        });
        assert_eq!(file.read(&mut read).unwrap(), 0, "output{k}.txt is longer than what was sent");
    }
    seen.sort();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7], "each client's file is there once");
}
