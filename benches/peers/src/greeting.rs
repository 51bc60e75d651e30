//! The greeting: a client connects, reads `Thank you for connecting` to the end of the stream, and
//! closes.

use std::io;
use std::net::SocketAddr;

use crate::contest::{Contest, Load, Peer};
use crate::greeter::load;
use crate::server::Places;

/// Returns the servers, the plain loop first.
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
