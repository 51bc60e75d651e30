//! The line echo: a client sends a line of 64 bytes, waits for its echo, and sends the next one.
//!
//! The client sends a line on each connection, then reads all echoes. So at most one line per
//! connection is in flight. The chat of sockactors is measured too: in the lecture dialect it
//! answers each line with an acknowledgement that ends with the line.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::contest::{Contest, Load, Peer};
use crate::server::Places;

/// The length of a line, with its newline.
const LINE: usize = 64;

/// The timeout of an echo.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the servers, the bare loop first.
pub fn contest(places: &Places) -> Contest {
    let chat = ["-q", "--scenario", "chat", "--dialect", "lecture", "--listen", "127.0.0.1:PORT"];
    Contest {
        what: "line",
        peers: vec![
            Peer::new("epoll loop", &places.driver, &["serve", "echo", "PORT"]),
            Peer::new("an echo on sockactors", &places.sockactors_echo, &["PORT"]),
            Peer::new("tokio", &places.tokio_plain, &["echo", "PORT"]),
            Peer::new("sockactors -q, chat", &places.sockactors, &chat),
        ],
        at_once: [1, 50],
        open,
    }
}

fn open(server: SocketAddr, at_once: usize) -> io::Result<Load> {
    let mut streams = Vec::with_capacity(at_once);
    for _ in 0..at_once {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        streams.push(stream);
    }
    let mut sent = 0;
    Ok(Box::new(move |lines| {
        let until = sent + lines;
        while sent < until {
            for (stream, number) in streams.iter_mut().zip(sent..until) {
                stream.write_all(&line(number))?;
            }
            for (stream, number) in streams.iter_mut().zip(sent..until) {
                read_line(stream, &line(number))?;
            }
            sent = until.min(sent + streams.len());
        }
        Ok(())
    }))
}

/// Formats a unique line.
fn line(number: usize) -> [u8; LINE] {
    let mut line = [b'x'; LINE];
    let digits = number.to_string();
    line[..digits.len()].copy_from_slice(digits.as_bytes());
    line[digits.len()] = b' ';
    line[LINE - 1] = b'\n';
    line
}

/// Reads a line and checks its end, which must be `line`.
fn read_line(stream: &mut TcpStream, line: &[u8]) -> io::Result<()> {
    let mut received = [0; 4 * LINE];
    let mut length = 0;
    while !received[..length].ends_with(b"\n") {
        match stream.read(&mut received[length..])? {
            0 => return Err(io::Error::other("the server has closed a connection")),
            more => length += more,
        }
    }
    match received[..length].ends_with(line) {
        true => Ok(()),
        false => {
            let received = String::from_utf8_lossy(&received[..length]);
            Err(io::Error::other(format!("unexpected line {received:?}")))
        }
    }
}
