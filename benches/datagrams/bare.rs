//! The least that it takes to answer datagrams: loops around system calls, in safe Rust.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The most datagrams of one call, and the size of the buffer of each: as in the program.
const MOST: usize = 64;
const SIZE: usize = 1024;

/// A loop that answers for ever.
type Serve = fn(UdpSocket, &[u8]) -> io::Result<()>;

/// The loops, by the flag that starts each.
pub const LOOPS: [(&str, Serve); 3] =
    [("--naive", naive), ("--mmsg", waiting), ("--epoll", notified)];

/// Waits for one datagram, and answers it.
fn naive(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let mut buffer = [0; SIZE];
    loop {
        let (_, peer) = socket.recv_from(&mut buffer)?;
        socket.send_to(answer, peer)?;
    }
}

/// Waits for one datagram, takes all that have come by then, and answers them at once.
fn waiting(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let mut room = Room::new();
    loop {
        room.answer(&socket, answer, MsgFlags::MSG_WAITFORONE)?;
    }
}

/// The same, where an `epoll` tells that there are datagrams.
fn notified(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, socket.as_fd(), EventData::new_u64(0), EventFlags::IN)?;
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 1];
    let mut room = Room::new();
    loop {
        epoll::wait(&epoll, events.as_mut_slice(), None)?;
        while room.answer(&socket, answer, MsgFlags::MSG_DONTWAIT)? == MOST {}
    }
}

/// What the calls need, made once.
struct Room {
    bytes: Vec<u8>,
    peers: Vec<Option<SockaddrIn>>,
    receive: MultiHeaders<SockaddrIn>,
    send: MultiHeaders<SockaddrIn>,
}

impl Room {
    fn new() -> Room {
        Room {
            bytes: vec![0; MOST * SIZE],
            peers: Vec::with_capacity(MOST),
            receive: MultiHeaders::preallocate(MOST, None),
            send: MultiHeaders::preallocate(MOST, None),
        }
    }

    /// Receives what there is, answers it, and says how many that were.
    fn answer(&mut self, socket: &UdpSocket, answer: &[u8], flags: MsgFlags) -> io::Result<usize> {
        let mut buffers = self.bytes.chunks_exact_mut(SIZE);
        let mut slices: [[IoSliceMut<'_>; 1]; MOST] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
        let fd = socket.as_raw_fd();
        self.peers.clear();
        match recvmmsg(fd, &mut self.receive, slices.iter_mut(), flags, None) {
            Ok(received) => self.peers.extend(received.map(|message| message.address)),
            Err(nix::errno::Errno::EAGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        let mut rest = &self.peers[..];
        while !rest.is_empty() {
            let slices = [IoSlice::new(answer)];
            let slices = std::iter::repeat_n(&slices, rest.len());
            let sent = sendmmsg(fd, &mut self.send, slices, rest, [], MsgFlags::empty())?;
            rest = &rest[sent.count()..];
        }
        Ok(self.peers.len())
    }
}

/// A client's side: many requests with one call, so that they are there together.
pub struct Burst {
    headers: MultiHeaders<SockaddrIn>,
    nowhere: Vec<Option<SockaddrIn>>,
}

impl Burst {
    /// Makes room for `count` requests at once.
    pub fn new(count: usize) -> Burst {
        Burst { headers: MultiHeaders::preallocate(count, None), nowhere: vec![None; count] }
    }

    /// Sends `text` so many times to where the socket is connected.
    pub fn send(&mut self, socket: &UdpSocket, text: &[u8], count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let slices = [IoSlice::new(text)];
            let slices = std::iter::repeat_n(&slices, left);
            let to = &self.nowhere[..left];
            let flags = MsgFlags::empty();
            left -= sendmmsg(socket.as_raw_fd(), &mut self.headers, slices, to, [], flags)?.count();
        }
        Ok(())
    }
}
