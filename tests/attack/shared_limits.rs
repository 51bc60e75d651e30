//! Attacks on memory, descriptors and connections.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame, FrameWriter, client_hello};

use crate::support::cgroup::Cgroup;
use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::framed_client::{FramedClient, FramedReply, offer};
use crate::support::netns::NetworkNamespace;
use crate::support::process_stats::private_memory_kib;
use crate::support::uploads::{env_number, seeded_bytes};
use crate::support::{BINARY, Program, directory, serial};

/// The memory of the board that the tests imitate: its control group, or without root, four times
/// `--max-memory`.
const BOARD_MEMORY: u64 = 32 << 20;

/// The memory budget of such a board, in KiB.
const BUDGET_KIB: u64 = BOARD_MEMORY / 4 / 1024;

/// The memory that a server may use beyond its budget, in KiB.
const BASE_KIB: u64 = 8 << 10;

/// A server with default flags on a board with little memory.
struct Board {
    server: Program,
    group: Option<Cgroup>,
}

impl Board {
    fn start(args: &[&str]) -> Board {
        let group = Cgroup::new(BOARD_MEMORY);
        let mut command = match &group {
            Some(group) => group.command(BINARY),
            None => Command::new(BINARY),
        };
        if group.is_none() {
            command.args(["--max-memory", &(BOARD_MEMORY / 4).to_string()]);
        }
        let server =
            Program::start(command.args(args).args(["--listen", "127.0.0.1:0"])).listening();
        Board { server, group }
    }

    fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Asserts that the server stayed within its budget, was not killed, and still stops.
    #[track_caller]
    fn check_survived(self) {
        let used = private_memory_kib(&self.server);
        eprintln!("{used} KiB of {} KiB", BUDGET_KIB + BASE_KIB);
        assert!(used <= BUDGET_KIB + BASE_KIB, "{used} KiB");
        if let Some(group) = &self.group {
            assert_eq!(group.oom_kills(), 0);
        }
        self.server.terminate();
        self.server.wait().with_code(0);
    }
}

/// Writes to a peer that may not read, as much as fits into the buffers of the kernel.
fn write_available(stream: &TcpStream, bytes: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let _ = { stream }.write(bytes);
}

#[test]
fn members_that_do_not_read_stay_within_budget() {
    let _serial = serial::lock();
    let board = Board::start(&["--scenario", "chat"]);
    // The answers to these take 60 KiB for each member, and 390 of them killed the server.
    let attackers: Vec<TcpStream> = (0..env_number("SOCKACTORS_ATTACKERS", 200))
        .map(|number| {
            let mut stream = connect(board.endpoint());
            let topic = "x".repeat(300);
            write!(stream, "/nick mallory{number}\n/join room{number}\n/topic {topic}\n").unwrap();
            stream
        })
        .collect();
    let mut member = LineClient::joined(board.endpoint());
    for _ in 0..20 {
        for stream in &attackers {
            write_available(stream, "/rooms\n".repeat(500).as_bytes());
        }
        member.send("still here");
        member.wait_for_line(&acknowledgement("still here"));
    }
    let mut late = LineClient::joined(board.endpoint());
    late.send("me too");
    member.wait_for_message("me too");
    drop((attackers, member, late));
    board.check_survived();
}

#[test]
fn unfinished_frames_stay_within_budget() {
    let _serial = serial::lock();
    let out = directory();
    let board = Board::start(&["--scenario", "file", "--out", out.path().to_str().unwrap()]);
    let chunk = seeded_bytes("chunk", CHUNK_SIZE);
    let mut frame = Vec::new();
    let hash = hash_chunk(0, &chunk);
    FrameWriter::default().write(&Frame::Data { number: 0, hash, bytes: &chunk }, &mut frame);
    // 626 unfinished frames killed the server.
    let attackers: Vec<FramedClient> = (0..env_number("SOCKACTORS_ATTACKERS", 200))
        .map(|number| {
            let mut client = FramedClient::open(connect(board.endpoint()));
            let _ = client.send_offer(&number.to_string(), Some(1 << 20));
            client.send_frames(&[Frame::Begin(0)]).unwrap();
            write_available(&client.stream, &frame[..frame.len() - 1]);
            client
        })
        .collect();
    let mut honest = FramedClient::open(connect(board.endpoint()));
    let stored = honest.upload("honest", &chunk.repeat(4));
    assert!(matches!(stored, FramedReply::Stored(..)), "{stored:?}");
    let held = private_memory_kib(&board.server);
    assert!(held <= BUDGET_KIB + BASE_KIB, "{held} KiB");
    drop((attackers, honest));
    board.check_survived();
}

/// Connects clients of a kind, each of which first sends `opening`. They read nothing.
fn attackers(board: &Board, count: usize, opening: &[u8]) -> Vec<TcpStream> {
    let connect = |_| {
        let stream = connect(board.endpoint());
        write_available(&stream, opening);
        stream
    };
    (0..count).map(connect).collect()
}

/// An offer that is accepted, the begin of its data, and a chunk without its last byte.
fn unfinished_upload(name: &str) -> Vec<u8> {
    let (mut writer, mut bytes) = (FrameWriter::default(), client_hello().to_vec());
    let chunk = [7; CHUNK_SIZE];
    let data = Frame::Data { number: 0, hash: hash_chunk(0, &chunk), bytes: &chunk };
    let offered = Frame::Offer(offer(name.as_bytes(), Some(1 << 20)));
    [offered, Frame::Begin(0), data].iter().for_each(|frame| writer.write(frame, &mut bytes));
    bytes.pop();
    bytes
}

#[test]
fn worst_input_of_every_kind_stays_within_budget() {
    let _serial = serial::lock();
    let out = directory();
    let [tcp, udp, chat] = ["tcp", "udp", "chat"].map(|name| Board::start(&["--scenario", name]));
    let file = Board::start(&["--scenario", "file", "--out", out.path().to_str().unwrap()]);
    // Each takes about a fifth of the 256 connections of such a board.
    let count = env_number("SOCKACTORS_ATTACKERS", 40);
    let rooms = "/rooms\n/history 100\n".repeat(200);
    let (half_line, endless_line) = ("x".repeat(4000), "y".repeat(100_000));
    let repeated_offers = {
        let (mut writer, mut bytes) = (FrameWriter::default(), client_hello().to_vec());
        let offered = Frame::Offer(offer(b"../refused", Some(5)));
        (0..2000).for_each(|_| writer.write(&offered, &mut bytes));
        bytes
    };
    let mut crowd = attackers(&tcp, count, b"unread input");
    for opening in ["", &half_line, &endless_line, &rooms] {
        crowd.extend(attackers(&chat, count, opening.as_bytes()));
    }
    for opening in [&b"raw"[..], &client_hello()[..5], &repeated_offers] {
        crowd.extend(attackers(&file, count, opening));
    }
    for number in 0..count {
        crowd.extend(attackers(&file, 1, &unfinished_upload(&number.to_string())));
    }
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(udp.endpoint()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut member = LineClient::joined(chat.endpoint());
    let end =
        Instant::now() + Duration::from_secs(env_number("SOCKACTORS_ATTACK_SECONDS", 2) as u64);
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < end {
        for stream in &crowd {
            write_available(stream, rooms.as_bytes());
        }
        for _ in 0..20 {
            let _ = datagrams.send_to(&[9; 65_000], udp.endpoint());
        }
        let mut greeting = Vec::new();
        connect(tcp.endpoint()).read_to_end(&mut greeting).unwrap();
        assert_eq!(greeting, b"Thank you for connecting");
        // A lost datagram is sent again, as the flood fills the buffer of the kernel.
        let mut reply = [0; 64];
        while client.send(b"hello there, server").and_then(|_| client.recv(&mut reply)).is_err() {}
        member.send(format!("round {rounds}"));
        member.wait_for_line(&acknowledgement(&format!("round {rounds}")));
        let mut honest = FramedClient::open(connect(file.endpoint()));
        let stored = honest.upload(&format!("honest-{rounds}"), b"an honest file");
        assert!(matches!(stored, FramedReply::Stored(..)), "{stored:?}");
        for board in [&tcp, &udp, &chat, &file] {
            let used = private_memory_kib(&board.server);
            assert!(used <= BUDGET_KIB + BASE_KIB, "{}: {used} KiB", board.endpoint());
        }
        rounds += 1;
    }
    eprintln!("{rounds} rounds");
    drop((crowd, member));
    [tcp, udp, chat, file].into_iter().for_each(Board::check_survived);
}

#[test]
fn silent_offers_with_few_descriptors_reset_no_client() {
    let _serial = serial::lock();
    let out = directory();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\"", BINARY, "--scenario", "file"]);
    command.args(["--listen", "127.0.0.1:0", "--out"]).arg(out.path());
    let server = Program::start(&mut command).listening();
    // Each holds its connection, its partial file with the checksums, and its directory.
    let attackers: Vec<TcpStream> = (0..80)
        .map(|number| {
            let (mut bytes, name) = (client_hello().to_vec(), format!("directory/{number}"));
            let offered = Frame::Offer(offer(name.as_bytes(), Some(1 << 20)));
            FrameWriter::default().write(&offered, &mut bytes);
            let mut stream = connect(server.endpoint());
            stream.write_all(&bytes).unwrap();
            stream
        })
        .collect();
    server.wait_for_error_line(|line| line.contains("connection limit of"));
    let stderr = String::from_utf8_lossy(&server.stderr()).into_owned();
    assert!(!stderr.contains("cannot accept"), "{stderr}");
    drop(attackers);
    let mut client = connect(server.endpoint());
    client.write_all(b"an honest file").unwrap();
    drop(client);
    server.wait_for("Received successfully");
}

#[test]
fn one_address_takes_at_most_a_quarter() {
    NetworkNamespace::run("ip addr add 192.0.2.1/24 dev lo", || {
        let server = Program::server(&["--scenario", "chat", "--listen", "0.0.0.0:0"]);
        let address = format!("192.0.2.1:{}", server.port());
        let mut attackers: Vec<_> = (0..256).map(|_| LineClient::connect(&address)).collect();
        let mut refused = LineClient::connect(&address);
        let why = "connection limit of 256 per address reached (--max-per-ip)";
        refused.wait_for_line(&format!("* you were turned away: {why}; good bye"));
        // They hold their connections, and other addresses are served.
        attackers[255].send("here");
        attackers[255].wait_for_line(&acknowledgement("here"));
        LineClient::joined(&format!("127.0.0.1:{}", server.port())).send("hello");
        attackers[255].wait_for_message("hello");
    });
}
