//! The least that it takes to greet and to echo: loops around system calls, in safe Rust, in one thread around one `epoll`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, acceptfrom_with, recv, send};

use crate::greeter::{FLAGS, greet, greet_politely, until_blocked};

/// As many bytes as the other echoes read at a time.
const MOST: usize = 1024;

/// As many events as async-io and tokio take at a time.
const EVENTS: usize = 1024;

/// The number of the listening socket; the connections' are their places.
const LISTENER: u64 = u64::MAX;

/// Serves for ever: `plain`, `polite` or `echo`.
///
/// # Errors
///
/// Fails when the port is taken, or a system call fails in a way that no peer causes.
pub fn serve(what: &str, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; EVENTS];
    let mut streams = Vec::new();
    loop {
        let count = epoll::wait(&epoll, events.as_mut_slice(), None)?;
        for event in &events[..count] {
            let at = event.data.u64();
            if at != LISTENER {
                echo(&mut streams[at as usize])?;
                continue;
            }
            let accepted = until_blocked(|| match what {
                "plain" => greet(&listener),
                "polite" => greet_politely(&listener),
                _ => take(&listener, &epoll, &mut streams),
            });
            accepted?;
        }
    }
}

/// Accepts one connection, to be served whenever it says something.
fn take(
    listener: &TcpListener,
    epoll: &OwnedFd,
    streams: &mut Vec<Option<OwnedFd>>,
) -> Result<(), Errno> {
    let (stream, _peer) = acceptfrom_with(listener, FLAGS)?;
    epoll::add(epoll, stream.as_fd(), EventData::new_u64(streams.len() as u64), EventFlags::IN)?;
    streams.push(Some(stream));
    Ok(())
}

/// Says what was heard; closes a connection that has ended.
fn echo(place: &mut Option<OwnedFd>) -> io::Result<()> {
    let Some(stream) = place else { return Ok(()) };
    let mut buf = [0; MOST];
    match recv(&*stream, &mut buf[..], RecvFlags::empty()) {
        Ok((length @ 1.., _)) => {
            // Whoever waits for each answer has room for it.
            send(&*stream, &buf[..length], SendFlags::NOSIGNAL)?;
        }
        Err(Errno::AGAIN) => {}
        Ok(_) | Err(Errno::CONNRESET) => *place = None,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
