//! Hostile chat servers against our client.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::process_stats::private_memory_kib;
use crate::support::terminal::Terminal;
use crate::support::{DEADLINE, Program, serial};

/// The notice that admits a client to the default room.
const WELCOME: &str = "* you are ada in lobby, with 2 others; /help lists the commands\n";

/// A hostile server, which the test plays.
struct HostileServer {
    connections: Receiver<TcpStream>,
    endpoint: String,
}

impl HostileServer {
    fn new() -> HostileServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        let (accepted, connections) = channel();
        thread::spawn(move || {
            listener.incoming().all(|stream| accepted.send(stream.unwrap()).is_ok());
        });
        HostileServer { connections, endpoint }
    }

    /// Accepts the client's next connection.
    fn accept(&self) -> TcpStream {
        let stream = self.connections.recv_timeout(DEADLINE).expect("a connection");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Starts a client with a nick that reconnects.
    fn client(&self, more: &[&str]) -> Program {
        let args = ["--scenario", "chat", "--connect", &self.endpoint, "--nick", "ada"];
        Program::run(&[&args[..], more].concat())
    }
}

/// Reads the lines of a client up to `/ack off`, which ends its handshake.
fn handshake(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    lines.take_while(|line| line != "/ack off").collect()
}

#[test]
fn client_sends_who_once_a_second() {
    const WELCOMES: usize = 5000;
    let server = HostileServer::new();
    let args = ["--scenario", "chat", "--connect", &server.endpoint, "--nick", "ada"];
    let Some(terminal) = Terminal::run(&args) else { return };
    let stream = server.accept();
    handshake(&stream);
    let began_at = Instant::now();
    let mut sender = stream.try_clone().unwrap();
    // Each reply allows the next request.
    let welcome = format!("{WELCOME}* in lobby: ada, bob, cy\n");
    sender.write_all(welcome.repeat(WELCOMES).as_bytes()).unwrap();
    sender.write_all(b"* you are ada in end, with 0 others; /help lists the commands\n").unwrap();
    terminal.wait_for_last_line("ada@end>");
    terminal.type_text("bye\n");
    let lines = BufReader::new(&stream).lines().map(Result::unwrap);
    let count = lines.take_while(|line| line != "bye").filter(|line| line == "/who").count();
    let limit = began_at.elapsed().as_secs() as usize + 1;
    assert!((1..=limit).contains(&count), "{count} in {:?}", began_at.elapsed());
}

#[test]
fn server_text_changes_neither_nick_nor_room() {
    let server = HostileServer::new();
    let client = server.client(&["--room", "den", "--reconnect", "always"]);
    let mut stream = server.accept();
    assert_eq!(handshake(&stream), ["/nick ada", "/join den"]);
    let forged = "* you are ada in den, with 2 others; /help lists the commands\n\
         [15-04: you are now] * you are now eve\n\
         [15-04 15-04] * you were kicked; good bye\n\
         [15:04: x] * you are eve in attic, with 1 other; /help lists the commands\n\
         ** bob * you are now eve\n\
         bob: * you were kicked; good bye\n\
         * bob tells you: you are now eve\n\
         * bob set the topic: x; good bye\n\
         * you are now e\u{1b}]0;v\u{7}e\n\
         * you are now bob\u{202e}eve\n\
         * you are two words in a room, with 1 other; /help lists the commands\n\
         * you are a/quit in b\u{7f}, with 1 other; /help lists the commands\n";
    stream.write_all(forged.as_bytes()).unwrap();
    client.wait_for_line(|line| line.contains("two words in a room"));
    drop(stream);
    let stream = server.accept();
    assert_eq!(handshake(&stream), ["/nick ada", "/join den"]);
    let shown = client.stdout();
    let is_control = |byte: &u8| *byte < b' ' && *byte != b'\n';
    assert!(!shown.iter().any(is_control), "{}", String::from_utf8_lossy(&shown));
}

#[test]
fn endless_line_is_cut_and_reported() {
    let server = HostileServer::new();
    let client = server.client(&[]);
    let mut stream = server.accept();
    handshake(&stream);
    stream.write_all(WELCOME.as_bytes()).unwrap();
    client.wait_for_line(|line| line.starts_with("* you are ada in lobby"));
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..32 {
        stream.write_all(&piece).unwrap();
    }
    // The end of the line is still to come.
    client.wait_for_line(|line| line == "* a line of more than 32768 bytes is not shown");
    let memory = private_memory_kib(&client);
    assert!(memory < 16 << 10, "{memory} KiB");
    stream.write_all(b"\nbob: hello\n").unwrap();
    client.wait_for_line(|line| line == "bob: hello");
    let shown = String::from_utf8(client.stdout()).unwrap();
    assert_eq!(shown.matches("is not shown").count(), 1, "{shown}");
}

#[test]
fn flood_of_notices_takes_little_memory() {
    let server = HostileServer::new();
    let client = server.client(&["--quiet"]);
    let mut stream = server.accept();
    handshake(&stream);
    // The server never reads, and names a new member in each line.
    for k in 0..50 {
        let lines: String =
            (0..1000).map(|n| format!("{WELCOME}* n{k}-{n} joined\nn{k}-{n}: hello\n")).collect();
        stream.write_all(lines.as_bytes()).unwrap();
    }
    stream.write_all(b"bob: the end\n").unwrap();
    client.wait_for_line(|line| line == "bob: the end");
    let memory = private_memory_kib(&client);
    assert!(memory < 16 << 10, "{memory} KiB");
}

#[test]
fn backoff_grows_when_server_welcomes_and_closes() {
    const ATTACK: Duration = Duration::from_secs(2);
    let _serial = serial::lock();
    let server = HostileServer::new();
    let _client = server.client(&["--reconnect", "always"]);
    let began_at = Instant::now();
    let mut connections = 0;
    while began_at.elapsed() < ATTACK {
        let mut stream = server.accept();
        handshake(&stream);
        stream.write_all(WELCOME.as_bytes()).unwrap();
        connections += 1;
    }
    // Waits of 0.05, 0.1, 0.2, 0.4, 0.8 seconds and more. They were 0.1 seconds each.
    assert!(connections <= 8, "{connections} connections in {ATTACK:?}");
}

#[test]
fn client_ends_while_server_floods() {
    let server = HostileServer::new();
    let mut client = server.client(&["--timeout", "1s"]);
    let mut stream = server.accept();
    handshake(&stream);
    let flood =
        thread::spawn(move || while stream.write_all(WELCOME.repeat(100).as_bytes()).is_ok() {});
    client.write("hello\n");
    client.close_stdin();
    client.wait().with_code(0);
    flood.join().unwrap();
}

#[test]
fn client_claims_its_nick_twenty_times_at_most() {
    let server = HostileServer::new();
    let _client = server.client(&["--reconnect", "always"]);
    let mut stream = server.accept();
    handshake(&stream);
    stream.write_all(WELCOME.as_bytes()).unwrap();
    drop(stream);
    let mut stream = server.accept();
    handshake(&stream);
    let welcome = WELCOME.replace("ada", "guest1");
    let lines = format!("{welcome}* ada left\n* ada, bob left\n");
    stream.write_all(lines.repeat(5000).as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let count = lines.filter(|line| line == "/nick ada").count();
    assert!((1..=20).contains(&count), "{count} claims");
}
