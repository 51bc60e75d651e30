//! Bare loops that greet or echo, in safe Rust, in one thread around one `epoll`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, acceptfrom_with, recv, send};

use crate::greeter::{FLAGS, accept_until_blocked, greet, greet_politely};

/// The size of a read, as in the other echo servers.
const BUFFER_SIZE: usize = 1024;

/// The events per wait, as in async-io and tokio.
const MAX_EVENTS: usize = 1024;

/// The key of the listening socket. The key of a connection is its index.
const LISTENER: u64 = u64::MAX;

/// Serves `plain`, `polite` or `echo`, and returns only with an error.
///
/// # Errors
///
/// Fails if the port is in use, or if a system call fails for a reason that is not the peer's.
pub fn serve(what: &str, port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut events =
        [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; MAX_EVENTS];
    let mut streams = Vec::new();
    loop {
        let count = epoll::wait(&epoll, events.as_mut_slice(), None)?;
        for event in &events[..count] {
            let at = event.data.u64();
            if at != LISTENER {
                echo(&mut streams[at as usize])?;
                continue;
            }
            let accepted = accept_until_blocked(|| match what {
                "plain" => greet(&listener),
                "polite" => greet_politely(&listener),
                _ => accept(&listener, &epoll, &mut streams),
            });
            accepted?;
        }
    }
}

/// Accepts one connection and registers it.
fn accept(
    listener: &TcpListener,
    epoll: &OwnedFd,
    streams: &mut Vec<Option<OwnedFd>>,
) -> Result<(), Errno> {
    let (stream, _peer) = acceptfrom_with(listener, FLAGS)?;
    epoll::add(epoll, stream.as_fd(), EventData::new_u64(streams.len() as u64), EventFlags::IN)?;
    streams.push(Some(stream));
    Ok(())
}

/// Echoes one read, or closes a connection that has ended.
fn echo(slot: &mut Option<OwnedFd>) -> io::Result<()> {
    let Some(stream) = slot else { return Ok(()) };
    let mut buf = [0; BUFFER_SIZE];
    match recv(&*stream, &mut buf[..], RecvFlags::empty()) {
        Ok((length @ 1.., _)) => {
            // The client waits for each echo, so its buffer has space.
            send(&*stream, &buf[..length], SendFlags::NOSIGNAL)?;
        }
        Err(Errno::AGAIN) => {}
        Ok(_) | Err(Errno::CONNRESET) => *slot = None,
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
