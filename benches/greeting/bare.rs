//! Bare functions that greet connections, and their client. `benches/peers` includes this file too.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags, accept_with, acceptfrom_with, send, shutdown};

pub const GREETING: &[u8] = b"Thank you for connecting";

/// The flags of each accepted socket.
pub const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Accepts until no connection is pending.
pub fn accept_until_blocked(mut accept: impl FnMut() -> Result<(), Errno>) -> io::Result<()> {
    loop {
        match accept() {
            Err(Errno::AGAIN) => return Ok(()),
            // The peer has closed or reset the connection.
            Ok(()) | Err(Errno::CONNABORTED | Errno::CONNRESET | Errno::PIPE | Errno::NOTCONN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Accepts one connection, greets it, and closes it.
pub fn greet(listener: &TcpListener) -> Result<(), Errno> {
    let stream = accept_with(listener, FLAGS)?;
    send(&stream, GREETING, SendFlags::NOSIGNAL).map(drop)
}

/// Greets like [`greet`], with the peer's address and without a reset that destroys the greeting.
pub fn greet_politely(listener: &TcpListener) -> Result<(), Errno> {
    let (stream, _peer) = acceptfrom_with(listener, FLAGS)?;
    send(&stream, GREETING, SendFlags::NOSIGNAL)?;
    shutdown(&stream, Shutdown::Write)?;
    // The program would read pending input. These clients send none.
    rustix::io::ioctl_fionread(&stream).map(drop)
}

/// Connects `connections` times, `at_once` at a time, and checks each greeting.
pub fn load(server: SocketAddr, connections: usize, at_once: usize) -> io::Result<()> {
    let mut left = connections;
    let mut streams = Vec::with_capacity(at_once);
    let mut received = Vec::new();
    while left > 0 {
        for _ in 0..at_once.min(left) {
            streams.push(TcpStream::connect(server)?);
            left -= 1;
        }
        for mut stream in streams.drain(..) {
            received.clear();
            stream.read_to_end(&mut received)?;
            if received != GREETING {
                let received = String::from_utf8_lossy(&received);
                return Err(io::Error::other(format!("unexpected greeting {received:?}")));
            }
        }
    }
    Ok(())
}
