//! The greeting: a client connects, reads `Thank you for connecting` to the end of the stream, and closes.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};

use crate::contest::{Contest, Load, Peer};
use crate::server::Places;

pub const GREETING: &[u8] = b"Thank you for connecting";

/// Who is compared, the plain loop first.
pub fn contest(places: &Places) -> Contest {
    let loops = |name, what| Peer::new(name, &places.driver, &["serve", what, "PORT"]);
    let program = ["-q", "--scenario", "tcp", "--listen", "127.0.0.1:PORT"];
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/greeter.py");
    Contest {
        what: "connection",
        peers: vec![
            loops("epoll loop, plain", "plain"),
            loops("epoll loop, polite close", "polite"),
            Peer::new("sockactors -q", &places.sockactors, &program),
            Peer::new("tokio", &places.tokio_plain, &["greet", "PORT"]),
            Peer::new("python", "python3".as_ref(), &[script, "PORT"]),
        ],
        at_once: [1, 16],
        open,
    }
}

fn open(server: SocketAddr, at_once: usize) -> io::Result<Load> {
    load(server, 1, 1)?;
    Ok(Box::new(move |connections| load(server, connections, at_once)))
}

/// Connects `connections` times, `at_once` at a time, and reads each greeting to its end.
fn load(server: SocketAddr, connections: usize, at_once: usize) -> io::Result<()> {
    let mut left = connections;
    let mut streams = Vec::with_capacity(at_once);
    let mut heard = Vec::new();
    while left > 0 {
        for _ in 0..at_once.min(left) {
            streams.push(TcpStream::connect(server)?);
            left -= 1;
        }
        for mut stream in streams.drain(..) {
            heard.clear();
            stream.read_to_end(&mut heard)?;
            if heard != GREETING {
                let heard = String::from_utf8_lossy(&heard);
                return Err(io::Error::other(format!("heard {heard:?}")));
            }
        }
    }
    Ok(())
}
