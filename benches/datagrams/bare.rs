//! Bare loops of system calls that answer datagrams, in safe Rust.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The datagrams per call and the size of each buffer, as in the program.
const MAX_BATCH: usize = 64;
const BUFFER_SIZE: usize = 1024;

/// A loop that never returns, except with an error.
type Serve = fn(UdpSocket, &[u8]) -> io::Result<()>;

/// The loops and the flags that start them.
pub const LOOPS: [(&str, Serve); 3] =
    [("--naive", naive), ("--mmsg", waiting), ("--epoll", notified)];

/// Receives one datagram at a time and answers it.
fn naive(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let mut buffer = [0; BUFFER_SIZE];
    loop {
        let (_, peer) = socket.recv_from(&mut buffer)?;
        socket.send_to(answer, peer)?;
    }
}

/// Waits for a datagram, receives all that have arrived, and answers them with one call.
fn waiting(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let mut buffers = Buffers::new();
    loop {
        buffers.answer(&socket, answer, MsgFlags::MSG_WAITFORONE)?;
    }
}

/// Like [`waiting`], but waits in `epoll`.
fn notified(socket: UdpSocket, answer: &[u8]) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, socket.as_fd(), EventData::new_u64(0), EventFlags::IN)?;
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 1];
    let mut buffers = Buffers::new();
    loop {
        epoll::wait(&epoll, events.as_mut_slice(), None)?;
        while buffers.answer(&socket, answer, MsgFlags::MSG_DONTWAIT)? == MAX_BATCH {}
    }
}

/// The buffers of the calls.
struct Buffers {
    bytes: Vec<u8>,
    peers: Vec<Option<SockaddrIn>>,
    receive: MultiHeaders<SockaddrIn>,
    send: MultiHeaders<SockaddrIn>,
}

impl Buffers {
    fn new() -> Buffers {
        Buffers {
            bytes: vec![0; MAX_BATCH * BUFFER_SIZE],
            peers: Vec::with_capacity(MAX_BATCH),
            receive: MultiHeaders::preallocate(MAX_BATCH, None),
            send: MultiHeaders::preallocate(MAX_BATCH, None),
        }
    }

    /// Receives and answers a batch, and returns its size.
    fn answer(&mut self, socket: &UdpSocket, answer: &[u8], flags: MsgFlags) -> io::Result<usize> {
        let mut chunks = self.bytes.chunks_exact_mut(BUFFER_SIZE);
        let mut slices: [[IoSliceMut<'_>; 1]; MAX_BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(chunks.next().unwrap_or_default())]);
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

/// Sends many requests with one call, so that they arrive as a batch.
pub struct Burst {
    headers: MultiHeaders<SockaddrIn>,
    addresses: Vec<Option<SockaddrIn>>,
}

impl Burst {
    /// Allocates the headers of up to `count` requests.
    pub fn new(count: usize) -> Burst {
        Burst { headers: MultiHeaders::preallocate(count, None), addresses: vec![None; count] }
    }

    /// Sends `text` `count` times to the peer of the socket.
    pub fn send(&mut self, socket: &UdpSocket, text: &[u8], count: usize) -> io::Result<()> {
        let mut left = count;
        while left > 0 {
            let slices = [IoSlice::new(text)];
            let slices = std::iter::repeat_n(&slices, left);
            let targets = &self.addresses[..left];
            let flags = MsgFlags::empty();
            left -= sendmmsg(socket.as_raw_fd(), &mut self.headers, slices, targets, [], flags)?
                .count();
        }
        Ok(())
    }
}
