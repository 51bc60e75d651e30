//! The line echo: a client sends a line of 64 bytes, waits for its echo, and sends the next one.
//!
//! The client says a line on each of its connections, then hears each of the echoes, so there is never more than one on its
//! way for a connection. The chat of sockactors is no echo, but comes near to one: in the lecture's dialect it
//! answers each chunk with a receipt and the chunk.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::contest::{Contest, Load, Peer};
use crate::server::Places;

/// The length of a line, with its newline.
const LINE: usize = 64;

/// How long an echo may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is compared, the bare loop first.
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
        stream.set_read_timeout(Some(PATIENCE))?;
        streams.push(stream);
    }
    let mut said = 0;
    Ok(Box::new(move |lines| {
        let until = said + lines;
        while said < until {
            for (stream, number) in streams.iter_mut().zip(said..until) {
                stream.write_all(&line(number))?;
            }
            for (stream, number) in streams.iter_mut().zip(said..until) {
                hear(stream, &line(number))?;
            }
            said = until.min(said + streams.len());
        }
        Ok(())
    }))
}

/// A line that no other one is like.
fn line(number: usize) -> [u8; LINE] {
    let mut line = [b'x'; LINE];
    let digits = number.to_string();
    line[..digits.len()].copy_from_slice(digits.as_bytes());
    line[digits.len()] = b' ';
    line[LINE - 1] = b'\n';
    line
}

/// Reads to the end of a line, which has to be this one, whatever is before it.
fn hear(stream: &mut TcpStream, line: &[u8]) -> io::Result<()> {
    let mut heard = [0; 4 * LINE];
    let mut length = 0;
    while !heard[..length].ends_with(b"\n") {
        match stream.read(&mut heard[length..])? {
            0 => return Err(io::Error::other("the server has closed a connection")),
            more => length += more,
        }
    }
    match heard[..length].ends_with(line) {
        true => Ok(()),
        false => {
            let heard = String::from_utf8_lossy(&heard[..length]);
            Err(io::Error::other(format!("heard {heard:?}")))
        }
    }
}
