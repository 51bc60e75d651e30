//! The floods. Each runs until it is dropped, whatever its target does.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use sockactors::wire::file::{Failed, Frame, FrameWriter, client_hello};

use super::crowd::{Crowd, partial_offer};
use super::operations::{STORED_NAME, STORED_SIZE, offer};

/// The threads of a flood. The machine has two cores.
const ATTACKERS: usize = 2;

/// The connections that an attacker keeps open without reading.
const MAX_HELD: usize = 200;

/// The bytes that an attacker sends at once, approximately.
const BATCH_SIZE: usize = 16 << 10;

/// How to attack a server.
#[derive(Clone, Copy)]
pub enum Flood {
    /// Slow connections that send these bytes first.
    Slow(fn() -> Vec<u8>),
    /// Threads that call a function again and again. An error ends one connection.
    Attack(fn(&str, &Progress) -> io::Result<()>),
}

/// The state that attackers share.
#[derive(Default)]
pub struct Progress {
    is_over: AtomicBool,
    count: AtomicU64,
}

impl Progress {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn add(&self, count: usize) {
        self.count.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// A running flood.
pub struct Running {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<()>>,
    crowd: Option<Crowd>,
}

impl Running {
    /// Starts a flood of a server. `slow` is the number of slow connections.
    pub fn start(flood: Flood, at: &str, slow: usize) -> io::Result<Running> {
        let progress = Arc::<Progress>::default();
        let (mut threads, mut crowd) = (Vec::new(), None);
        match flood {
            Flood::Slow(first) => {
                let slow_crowd = Crowd::connect(at, slow, &first())?;
                slow_crowd.set_sending(true);
                progress.add(slow);
                crowd = Some(slow_crowd);
            }
            Flood::Attack(attack) => {
                for _ in 0..ATTACKERS {
                    let (at, progress) = (at.to_owned(), progress.clone());
                    threads.push(thread::spawn(move || {
                        while !progress.is_over() {
                            // The server may close the connection.
                            let _ = attack(&at, &progress);
                        }
                    }));
                }
            }
        }
        Ok(Running { progress, threads, crowd })
    }

    /// Ends the flood, and returns the number of its connections or messages.
    pub fn stop(self) -> u64 {
        self.progress.is_over.store(true, Ordering::Relaxed);
        self.crowd.map(Crowd::stop);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.progress.count.load(Ordering::Relaxed)
    }
}

/// Connects and resets the connection.
pub fn resets(at: &str, progress: &Progress) -> io::Result<()> {
    let stream = TcpStream::connect(at)?;
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    progress.add(1);
    Ok(())
}

/// Sends datagrams, and reads no reply.
pub fn datagrams(at: &str, progress: &Progress) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(at)?;
    while !progress.is_over() {
        socket.send(b"Hello UDP Server")?;
        progress.add(1);
    }
    Ok(())
}

/// Sends chat lines in a room without honest members.
pub fn lines_elsewhere(at: &str, progress: &Progress) -> io::Result<()> {
    pump(at, b"/ack off\n/join flood\n", progress, |batch| batch.extend_from_slice(b"flood\n"))
}

/// Sends chat lines in the honest members' room.
pub fn lines_in_room(at: &str, progress: &Progress) -> io::Result<()> {
    pump(at, b"/ack off\n", progress, |batch| batch.extend_from_slice(b"flood\n"))
}

/// Asks for the list of rooms on many connections, and does not read the replies.
pub fn rooms(at: &str, progress: &Progress) -> io::Result<()> {
    let requests = "/rooms\n".repeat(BATCH_SIZE / "/rooms\n".len());
    hold(at, requests.as_bytes(), progress)
}

/// Offers a stored file again and again.
pub fn offers(at: &str, progress: &Progress) -> io::Result<()> {
    let mut frames = FrameWriter::default();
    let given_up = Frame::Failed(Failed { code: 10, reason: "" });
    pump(at, &client_hello(), progress, |batch| {
        frames.write(&Frame::Offer(offer(STORED_NAME, STORED_SIZE)), batch);
        frames.write(&given_up, batch);
    })
}

/// Sends frames without their last bytes on many connections.
pub fn unfinished_frames(at: &str, progress: &Progress) -> io::Result<()> {
    hold(at, &partial_offer(), progress)
}

/// Sends messages on one connection as fast as the server receives them, and reads the replies.
fn pump(
    at: &str,
    first: &[u8],
    progress: &Progress,
    mut write_message: impl FnMut(&mut Vec<u8>),
) -> io::Result<()> {
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(first)?;
    stream.set_nonblocking(true)?;
    let (mut batch, mut count, mut sent) = (Vec::new(), 0, 0);
    let mut received = vec![0; BATCH_SIZE];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    while !progress.is_over() {
        if sent == batch.len() {
            progress.add(count);
            batch.clear();
            (count, sent) = (0, 0);
            while batch.len() < BATCH_SIZE {
                write_message(&mut batch);
                count += 1;
            }
        }
        let flags = PollFlags::IN | PollFlags::OUT;
        poll(&mut [PollFd::new(&stream, flags)], Some(&timeout))?;
        sent += unless_blocked(stream.write(&batch[sent..]))?;
        unless_blocked(stream.read(&mut received))?;
    }
    Ok(())
}

/// Opens connections that send `bytes`. The oldest of them are closed.
fn hold(at: &str, bytes: &[u8], progress: &Progress) -> io::Result<()> {
    let mut held = VecDeque::new();
    while !progress.is_over() {
        let mut stream = TcpStream::connect(at)?;
        stream.set_nonblocking(true)?;
        unless_blocked(stream.write(bytes))?;
        held.push_back(stream);
        if held.len() > MAX_HELD {
            held.pop_front();
        }
        progress.add(1);
    }
    Ok(())
}

/// Returns 0 if a socket is not ready.
fn unless_blocked(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
