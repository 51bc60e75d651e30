//! A machine with little memory: a server that may hold 32 MiB in all stands each flood, and serves afterwards.
//!
//! The kernel counts what the server holds itself, what it holds in the kernel for it, and its pages of files, which it can let
//! go of; where all of this is more than the limit, it kills the server. How much was held at most is told with `--nocapture`.
//!
//! `SOCKACTORS_SMALL_MIB` sets another limit, and `SOCKACTORS_SMALL_CROWD` how many connections say nothing;
//! `SOCKACTORS_SMALL_PROGRAM` names another build of the program, say that for release.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::support::chat_client::{LineClient, connect};
use crate::support::framed_client::FramedReply;
use crate::support::peers::skip;
use crate::support::uploads::{env_number, files_below, seeded_bytes, upload};
use crate::support::{BINARY, DEADLINE, Program, serial};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, getrlimit, setrlimit};

const GREETING: &[u8] = b"Thank you for connecting";

/// A server with little memory.
struct Small {
    server: Program,
    group: Cgroup,
}

impl Small {
    /// Starts one, where a group can be made, and a descriptor for each of the crowd be had.
    fn start(args: &[&str]) -> Option<Small> {
        let group = Cgroup::new(env_number("SOCKACTORS_SMALL_MIB", 32) as u64 * 1024 * 1024)?;
        let wanted = crowd() as u64 + 500;
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|current| current < wanted) {
            limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
            setrlimit(Resource::Nofile, limit).unwrap();
            if limit.current < Some(wanted) {
                skip(&format!("it takes {wanted} descriptors"));
                return None;
            }
        }
        let program = std::env::var("SOCKACTORS_SMALL_PROGRAM").unwrap_or_else(|_| BINARY.into());
        let mut command = group.command(&program);
        if !args.contains(&"udp") {
            command.args(["--max-conns", &(crowd() + 100).to_string()]);
        }
        let server =
            Program::start(command.args(args).args(["--listen", "127.0.0.1:0"])).listening();
        Some(Small { server, group })
    }

    fn at(&self) -> &str {
        self.server.endpoint()
    }

    /// Asserts that the server has stood it, and that it ends well.
    #[track_caller]
    fn stands(self, what: &str) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?");
        eprintln!(
            "{what}: {} KiB in all, {} of its own",
            self.group.peak_bytes() / 1024,
            own.trim()
        );
        assert_eq!(self.group.oom_kills(), 0, "{what}");
        self.server.terminate();
        self.server.wait_within(Duration::from_secs(40)).with_code(0);
    }
}

fn crowd() -> usize {
    env_number("SOCKACTORS_SMALL_CROWD", 2000)
}

/// A directory on a disk: what is on a tmpfs is memory, and its writer's.
fn disk() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    if rustix::fs::statfs(directory.path()).unwrap().f_type == 0x0102_1994 {
        skip("the build directory is on a tmpfs");
        return None;
    }
    Some(directory)
}

/// Arguments of a file server.
fn storing(out: &Path) -> [&str; 4] {
    ["--scenario", "file", "--out", out.to_str().unwrap()]
}

#[track_caller]
fn is_greeted(at: &str) {
    let mut heard = Vec::new();
    connect(at).read_to_end(&mut heard).unwrap();
    assert_eq!(heard, GREETING);
}

#[track_caller]
fn is_stored(at: &str) {
    assert!(matches!(upload(at, "a file", b"what is in it").unwrap(), FramedReply::Stored(13, _)));
}

/// Connects many times, and says nothing, as long as what comes back is kept. The server takes connections in their order: who
/// is served after these knows that they are in.
fn silent(at: &str) -> Vec<TcpStream> {
    (0..crowd()).map(|_| connect(at)).collect()
}

/// Connects many times, and resets each; nothing of one stays, so that a part of the crowd does.
fn resets(at: &str) {
    for _ in 0..crowd() / 4 {
        let mut stream = connect(at);
        set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        // One that was greeted may be gone already.
        let _ = stream.write_all(b"half a wo");
    }
}

#[test]
fn thousands_that_say_nothing_are_greeted() {
    let _alone = serial::lock();
    let Some(small) = Small::start(&["--scenario", "tcp"]) else { return };
    let all = silent(small.at());
    is_greeted(small.at());
    small.stands("tcp, silent");
    drop(all);
}

#[test]
fn thousands_that_say_nothing_are_kept_by_the_chat() {
    let _alone = serial::lock();
    let Some(small) = Small::start(&["--scenario", "chat"]) else { return };
    let all = silent(small.at());
    LineClient::joined(small.at());
    small.stands("chat, silent");
    drop(all);
}

#[test]
fn thousands_that_say_nothing_are_kept_by_the_receiver_of_files() {
    let _alone = serial::lock();
    let Some(out) = disk() else { return };
    let Some(small) = Small::start(&storing(out.path())) else { return };
    let all = silent(small.at());
    is_stored(small.at());
    small.stands("file, silent");
    drop(all);
}

#[test]
fn resets_leave_nothing_behind_in_any_scenario() {
    let _alone = serial::lock();
    let Some(out) = disk() else { return };
    let (tcp, chat) = (["--scenario", "tcp"], ["--scenario", "chat"]);
    for scenario in [&tcp[..], &chat, &storing(out.path())] {
        let Some(small) = Small::start(scenario) else { return };
        resets(small.at());
        // Some were gone before they could be accepted.
        match scenario[1] {
            "tcp" => is_greeted(small.at()),
            "chat" => drop(LineClient::joined(small.at())),
            _ => is_stored(small.at()),
        }
        small.stands(&format!("{}, resets", scenario[1]));
    }
}

#[test]
fn lines_without_end_to_members_that_never_read_are_dropped() {
    let _alone = serial::lock();
    let Some(small) = Small::start(&["--scenario", "chat"]) else { return };
    let deaf: Vec<_> = (0..50).map(|_| LineClient::joined(small.at())).collect();
    let line = [&[b'y'; 4000][..], b"\n"].concat();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (at, line) = (small.at(), &line);
            scope.spawn(move || {
                let mut sender = connect(at);
                let mut said = sender.write_all(b"/ack off\n");
                // Two megabytes each; one that is cut for not reading has done its part.
                for _ in 0..512 {
                    let piece = if number % 2 == 0 { &line[..] } else { &line[..4000] };
                    said = said.and_then(|()| sender.write_all(piece));
                }
                // It stays until all that it said has been read.
                let _ = sender.shutdown(Shutdown::Write);
                let _ = std::io::copy(&mut sender, &mut std::io::sink());
                said.is_ok()
            });
        }
    });
    LineClient::joined(small.at());
    small.stands("chat, lines without end");
    drop(deaf);
}

#[test]
fn hundreds_of_uploads_at_once_arrive() {
    let _alone = serial::lock();
    let Some(out) = disk() else { return };
    let Some(small) = Small::start(&storing(out.path())) else { return };
    let mut sent: Vec<_> =
        (0..200).map(|number| seeded_bytes(format!("upload {number}"), 256 << 10)).collect();
    let mut senders: Vec<_> = sent.iter().map(|_| connect(small.at())).collect();
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
    assert!(stored == sent, "{} files are not those that were sent", stored.len());
    is_stored(small.at());
    small.stands("file, 200 uploads");
}

#[test]
fn the_largest_datagrams_are_read_and_dropped() {
    let _alone = serial::lock();
    let flags = ["--scenario", "udp", "--buffer-size", "65535"];
    let Some(small) = Small::start(&flags) else { return };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(small.at()).unwrap();
    for _ in 0..20_000 {
        client.send(&[b'z'; 65_507]).unwrap();
    }
    // Its question may be lost among them.
    let until = std::time::Instant::now() + DEADLINE;
    let mut heard = [0; 64];
    let asking = UdpSocket::bind("127.0.0.1:0").unwrap();
    asking.connect(small.at()).unwrap();
    asking.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let length = loop {
        asking.send(b"Hello UDP Server").unwrap();
        match asking.recv(&mut heard) {
            Ok(length) => break length,
            Err(error) => assert!(std::time::Instant::now() < until, "{error}"),
        }
    };
    assert_eq!(&heard[..length], b"Hello UDP Client");
    small.stands("udp, the largest datagrams");
}
