//! A server limited to 32 MiB of memory survives each flood, and serves afterwards.
//!
//! The kernel counts the server's own memory, kernel memory on its behalf, and its page cache,
//! which it can reclaim. It kills the server if the sum exceeds the limit. `--nocapture` prints the
//! peak.
//!
//! `SOCKACTORS_SMALL_MIB` sets the limit, `SOCKACTORS_SMALL_CROWD` the number of silent
//! connections. `SOCKACTORS_SMALL_PROGRAM` names another build of the program, for example the
//! release build.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::support::cgroup::Cgroup;
use crate::support::chat_client::{LineClient, connect};
use crate::support::framed_client::FramedReply;
use crate::support::peers::skip;
use crate::support::uploads::{env_number, files_below, seeded_bytes, upload};
use crate::support::{BINARY, DEADLINE, Program, serial};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, getrlimit, setrlimit};

const GREETING: &[u8] = b"Thank you for connecting";

/// A server in a memory cgroup.
struct LimitedServer {
    server: Program,
    group: Cgroup,
}

impl LimitedServer {
    /// Starts a server, if a cgroup can be made and the descriptor limit fits all clients.
    fn start(args: &[&str]) -> Option<LimitedServer> {
        let group = Cgroup::new(env_number("SOCKACTORS_SMALL_MIB", 32) as u64 * 1024 * 1024)?;
        let wanted = client_count() as u64 + 500;
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|current| current < wanted) {
            limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
            setrlimit(Resource::Nofile, limit).unwrap();
            if limit.current < Some(wanted) {
                skip(&format!("this test needs {wanted} file descriptors"));
                return None;
            }
        }
        let program = std::env::var("SOCKACTORS_SMALL_PROGRAM").unwrap_or_else(|_| BINARY.into());
        let mut command = group.command(&program);
        if !args.contains(&"udp") {
            // Silent connections take less than they are counted for.
            command.args(["--max-conns", &(client_count() + 100).to_string()]);
            command.args(["--max-memory", "64MiB"]);
        }
        let server =
            Program::start(command.args(args).args(["--listen", "127.0.0.1:0"])).listening();
        Some(LimitedServer { server, group })
    }

    fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Asserts that the kernel did not kill the server, and that it exits with 0.
    #[track_caller]
    fn check_survived(self, load: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?");
        eprintln!(
            "{load}: {} KiB in all, {} of its own",
            self.group.peak_bytes() / 1024,
            own.trim()
        );
        assert_eq!(self.group.oom_kills(), 0, "{load}");
        self.server.terminate();
        self.server.wait_within(Duration::from_secs(40)).with_code(0);
    }
}

fn client_count() -> usize {
    env_number("SOCKACTORS_SMALL_CROWD", 2000)
}

/// Makes a directory on a disk. Files on a tmpfs would count as the server's memory.
fn disk_directory() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if rustix::fs::statfs(directory.path()).unwrap().f_type == 0x0102_1994 {
        skip("the build directory is on a tmpfs");
        return None;
    }
    Some(directory)
}

/// Returns the arguments of a file server.
fn file_args(out: &Path) -> [&str; 4] {
    ["--scenario", "file", "--out", out.to_str().unwrap()]
}

#[track_caller]
fn check_greeting(endpoint: &str) {
    let mut received = Vec::new();
    connect(endpoint).read_to_end(&mut received).unwrap();
    assert_eq!(received, GREETING);
}

#[track_caller]
fn check_upload(endpoint: &str) {
    assert!(matches!(
        upload(endpoint, "a file", b"some content.").unwrap(),
        FramedReply::Stored(13, _)
    ));
}

/// Opens many silent connections. The server accepts connections in order, so a client that is
/// served later knows that they were accepted.
fn open_silent_connections(endpoint: &str) -> Vec<TcpStream> {
    (0..client_count()).map(|_| connect(endpoint)).collect()
}

/// Opens and resets connections. A quarter of the usual number is sufficient, since none stays.
fn reset_connections(endpoint: &str) {
    for _ in 0..client_count() / 4 {
        let mut stream = connect(endpoint);
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        // A greeted connection may be closed already.
        let _ = stream.write_all(b"half a wo");
    }
}

#[test]
fn silent_tcp_clients_fit_in_memory() {
    let _serial = serial::lock();
    let Some(server) = LimitedServer::start(&["--scenario", "tcp"]) else { return };
    let all = open_silent_connections(server.endpoint());
    check_greeting(server.endpoint());
    server.check_survived("tcp, silent");
    drop(all);
}

#[test]
fn silent_chat_clients_fit_in_memory() {
    let _serial = serial::lock();
    let Some(server) = LimitedServer::start(&["--scenario", "chat"]) else { return };
    let all = open_silent_connections(server.endpoint());
    LineClient::joined(server.endpoint());
    server.check_survived("chat, silent");
    drop(all);
}

#[test]
fn silent_file_clients_fit_in_memory() {
    let _serial = serial::lock();
    let Some(out) = disk_directory() else { return };
    let Some(server) = LimitedServer::start(&file_args(out.path())) else { return };
    let all = open_silent_connections(server.endpoint());
    check_upload(server.endpoint());
    server.check_survived("file, silent");
    drop(all);
}

#[test]
fn reset_connections_fit_in_memory() {
    let _serial = serial::lock();
    let Some(out) = disk_directory() else { return };
    let (tcp, chat) = (["--scenario", "tcp"], ["--scenario", "chat"]);
    for scenario in [&tcp[..], &chat, &file_args(out.path())] {
        let Some(server) = LimitedServer::start(scenario) else { return };
        reset_connections(server.endpoint());
        // Some connections were reset before they were accepted.
        match scenario[1] {
            "tcp" => check_greeting(server.endpoint()),
            "chat" => drop(LineClient::joined(server.endpoint())),
            _ => check_upload(server.endpoint()),
        }
        server.check_survived(&format!("{}, resets", scenario[1]));
    }
}

#[test]
fn endless_lines_to_silent_readers_fit_in_memory() {
    let _serial = serial::lock();
    let Some(server) = LimitedServer::start(&["--scenario", "chat"]) else { return };
    let silent_readers: Vec<_> = (0..50).map(|_| LineClient::joined(server.endpoint())).collect();
    let line = [&[b'y'; 4000][..], b"\n"].concat();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (endpoint, line) = (server.endpoint(), &line);
            scope.spawn(move || {
                let mut sender = connect(endpoint);
                let mut result = sender.write_all(b"/ack off\n");
                // Two megabytes each. The server may disconnect the sender for not reading.
                for _ in 0..512 {
                    let piece = if number % 2 == 0 { &line[..] } else { &line[..4000] };
                    result = result.and_then(|()| sender.write_all(piece));
                }
                // Wait until the server has read everything.
                let _ = sender.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut sender, &mut std::io::sink());
                result.is_ok()
            });
        }
    });
    LineClient::joined(server.endpoint());
    server.check_survived("chat, endless lines");
    drop(silent_readers);
}

#[test]
fn simultaneous_uploads_fit_in_memory() {
    let _serial = serial::lock();
    let Some(out) = disk_directory() else { return };
    let Some(server) = LimitedServer::start(&file_args(out.path())) else { return };
    let mut sent: Vec<_> =
        (0..200).map(|number| seeded_bytes(format!("upload {number}"), 256 << 10)).collect();
    let mut senders: Vec<_> = sent.iter().map(|_| connect(server.endpoint())).collect();
    for at in (0..256 << 10).step_by(16 << 10) {
        for (sender, file) in senders.iter_mut().zip(&sent) {
            sender.write_all(&file[at..at + (16 << 10)]).unwrap();
        }
    }
    for sender in &senders {
        sender.shutdown(Shutdown::Write).unwrap();
    }
    for sender in &mut senders {
        assert_eq!(sender.read(&mut [0]).unwrap(), 0);
    }
    let mut stored: Vec<_> = files_below(out.path()).into_iter().map(|(_, file)| file).collect();
    stored.sort_unstable();
    sent.sort_unstable();
    assert!(stored == sent, "the content of {} files differs", stored.len());
    check_upload(server.endpoint());
    server.check_survived("file, 200 uploads");
}

#[test]
fn largest_datagrams_fit_in_memory() {
    let _serial = serial::lock();
    let flags = ["--scenario", "udp", "--buffer-size", "65535"];
    let Some(server) = LimitedServer::start(&flags) else { return };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.endpoint()).unwrap();
    for _ in 0..20_000 {
        client.send(&[b'z'; 65_507]).unwrap();
    }
    // The request may be dropped, too.
    let deadline = std::time::Instant::now() + DEADLINE;
    let mut received = [0; 64];
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    probe.connect(server.endpoint()).unwrap();
    probe.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let length = loop {
        probe.send(b"Hello UDP Server").unwrap();
        match probe.recv(&mut received) {
            Ok(length) => break length,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(&received[..length], b"Hello UDP Client");
    server.check_survived("udp, largest datagrams");
}
