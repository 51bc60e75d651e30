//! The least that it takes to greet, and the clients that are greeted. The benchmark beside tokio and Python includes this file.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags, accept_with, acceptfrom_with, send, shutdown};

pub const GREETING: &[u8] = b"Thank you for connecting";

/// How a bare loop accepts.
pub const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Goes on until there is nobody left.
pub fn until_blocked(mut accept: impl FnMut() -> Result<(), Errno>) -> io::Result<()> {
    loop {
        match accept() {
            Err(Errno::AGAIN) => return Ok(()),
            // A peer that is gone, or was gone before it was accepted.
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

/// The same with the peer's address, and so that no reset destroys the greeting on its way.
pub fn greet_politely(listener: &TcpListener) -> Result<(), Errno> {
    let (stream, _peer) = acceptfrom_with(listener, FLAGS)?;
    send(&stream, GREETING, SendFlags::NOSIGNAL)?;
    shutdown(&stream, Shutdown::Write)?;
    // The program would take in what is unread; these clients send nothing.
    rustix::io::ioctl_fionread(&stream).map(drop)
}

/// Connects `connections` times, `at_once` at a time, and reads each greeting to its end.
pub fn load(server: SocketAddr, connections: usize, at_once: usize) -> io::Result<()> {
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
