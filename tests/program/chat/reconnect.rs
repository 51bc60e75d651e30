//! A chat client with piped input whose server goes away.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::support::chat_client::LineClient;
use crate::support::{DEADLINE, Program, directory};
use rustix::process::Signal;

fn server(at: &str) -> Program {
    Program::server(&["--scenario", "chat", "--listen", at])
}

fn client(at: &str, more: &[&str]) -> Program {
    Program::run(&[&["--scenario", "chat", "--connect", at], more].concat())
}

fn kill(server: Program) {
    server.signal(Signal::KILL);
    server.wait_while_stdin_is_open(DEADLINE);
}

/// Waits until a member with this nick is in the room.
fn wait_for_member(line: &mut LineClient, nick: &str) {
    loop {
        line.send("/who");
        let who = line.wait_for(|line| line.starts_with("* in "));
        if who.split([' ', ',']).any(|word| word.trim() == nick) {
            return;
        }
    }
}

#[test]
fn reconnect_restores_nick_room_and_typed_lines() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let first = server(&at);
    let mut ada = client(&at, &["--nick", "ada", "--room", "den", "--reconnect", "always"]);
    ada.wait_for_line(|line| line.starts_with("* you are ada in den"));
    ada.write("/nick eve\n/join attic\n");
    ada.wait_for_line(|line| line.starts_with("* you are eve in attic"));
    kill(first);
    ada.wait_for_error_line(|line| line.contains("trying again"));
    ada.write("typed meanwhile\n");
    let second = server(&at);
    ada.wait_for_error_line(|line| line.contains("again") && line.contains("connected"));
    let mut line = LineClient::connect(second.endpoint());
    line.send("/join attic");
    wait_for_member(&mut line, "eve");
    ada.write("typed later\n");
    line.wait_for_line("eve: typed later");
    line.send("/history");
    line.wait_for(|line| line.ends_with("eve: typed meanwhile"));
    ada.write("/quit\n");
    ada.wait_while_stdin_is_open(DEADLINE).with_code(0);
}

#[test]
fn reconnect_always_waits_for_first_server() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let mut ada = client(&at, &["--reconnect", "always", "--timeout", "15s"]);
    ada.write("hello\n");
    ada.close_stdin();
    let server = server(&at);
    server.wait_for_line(|line| line == "Received message: hello");
    ada.wait().with_code(0);
}

#[test]
fn undelivered_lines_are_counted() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let mut ada = client(&at, &["--reconnect", "always", "--timeout", "100ms"]);
    ada.write("one\ntwo\n");
    let ended = ada.wait().with_code(1);
    assert!(ended.err().contains("lines not sent: 2"), "{ended:?}");
}

#[test]
fn kicked_client_does_not_reconnect() {
    let server = Program::server(&["--scenario", "chat", "--idle-timeout", "200ms"]);
    let ada = client(server.endpoint(), &["--nick", "ada", "--reconnect", "always"]);
    ada.wait_for_line(|line| line.contains("good bye"));
    ada.wait_while_stdin_is_open(DEADLINE).with_code(1);
}

/// A connection of a client through the test to the server.
struct Relay {
    client: TcpStream,
    server: TcpStream,
}

impl Relay {
    fn accept(listener: &TcpListener, server: &str) -> Relay {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            std::thread::spawn(move || copy(&mut from, &mut to));
        }
        Relay { client, server }
    }
}

#[test]
fn client_takes_its_nick_back_from_lost_connection() {
    let server = server("127.0.0.1:0");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relayed = listener.local_addr().unwrap().to_string();
    let mut ada = client(&relayed, &["--nick", "ada", "--reconnect", "always"]);
    let first = Relay::accept(&listener, server.endpoint());
    ada.wait_for_line(|line| line.starts_with("* you are ada in lobby"));
    // The server does not notice that the client has lost the connection.
    first.client.shutdown(Shutdown::Both).unwrap();
    let second = Relay::accept(&listener, server.endpoint());
    ada.wait_for_line(|line| line.starts_with("* you are guest"));
    first.server.shutdown(Shutdown::Both).unwrap();
    ada.wait_for_line(|line| line == "* you are now ada");
    ada.write("/quit\n");
    let output = ada.wait_while_stdin_is_open(DEADLINE).with_code(0);
    // Only the refusal of the reconnect itself is shown.
    assert_eq!(output.out().matches("is taken").count(), 1, "{output:?}");
    drop(second);
}
