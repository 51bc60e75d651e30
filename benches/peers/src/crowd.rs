//! The members of a room, in one thread around one `epoll`.
//!
//! A text is 63 bytes and a newline: a mark, a number and padding. Servers put a name before it. So
//! the last 63 bytes of a line are the text, if the mark is there. All other lines are the
//! server's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketType};

use crate::server::{Kind, Server};

/// The length of a text, without the newline.
pub const TEXT: usize = 63;

/// Digits of a text's number.
const DIGITS: usize = 12;

/// The timeout of each step.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A member.
#[derive(Debug)]
pub struct Member {
    pub stream: TcpStream,
    /// The beginning of an incomplete line.
    partial: Vec<u8>,
}

/// The members of one server.
pub struct Crowd {
    pub kind: Kind,
    address: SocketAddr,
    epoll: OwnedFd,
    pub members: Vec<Member>,
    events: Vec<Event>,
    buf: Vec<u8>,
}

impl Crowd {
    /// Creates an empty crowd for a server.
    ///
    /// # Errors
    ///
    /// Fails if the process has no free descriptor.
    pub fn new(server: &Server) -> io::Result<Crowd> {
        let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
        Ok(Crowd {
            kind: server.kind,
            address: server.address,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            members: Vec::new(),
            events: vec![none; 1024],
            buf: vec![0; 256 << 10],
        })
    }

    /// Adds a member, waits until the server has answered it, and returns its number.
    ///
    /// A small receive buffer, `receive_buffer` bytes, fills soon if the member does not read.
    ///
    /// # Errors
    ///
    /// Fails if the server refuses the member or does not answer in time.
    pub fn join(&mut self, receive_buffer: Option<usize>) -> io::Result<usize> {
        let member = self.members.len();
        let stream = self.connect(receive_buffer)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(member as u64), EventFlags::IN)?;
        self.members.push(Member { stream, partial: Vec::new() });
        for (text, answer) in self.kind.join_steps(&format!("m{member}")) {
            self.send(member, text.as_bytes())?;
            let until = Instant::now() + TIMEOUT;
            let mut is_answered = false;
            while !is_answered {
                self.poll(until, |to, line| {
                    is_answered |=
                        to == member && memchr::memmem::find(line, answer.as_bytes()).is_some();
                    Ok(())
                })?;
            }
        }
        Ok(member)
    }

    /// Connects, and retries while a new server does not listen yet.
    fn connect(&self, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
        let until = Instant::now() + TIMEOUT;
        loop {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            if let Some(bytes) = receive_buffer {
                sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
            }
            match rustix::net::connect(&socket, &self.address) {
                Ok(()) => return Ok(socket.into()),
                Err(rustix::io::Errno::CONNREFUSED) if Instant::now() < until => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sets the events of a member that are polled.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses.
    pub fn watch(&self, member: usize, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(member as u64);
        Ok(epoll::modify(&self.epoll, &self.members[member].stream, data, flags)?)
    }

    /// Sends short data completely.
    ///
    /// # Errors
    ///
    /// Fails if the send buffer is full, because the server does not read.
    pub fn send(&mut self, member: usize, bytes: &[u8]) -> io::Result<()> {
        self.members[member].stream.write_all(bytes)
    }

    /// Sends the text of a number.
    ///
    /// # Errors
    ///
    /// Fails like [`Crowd::send`].
    pub fn send_text(&mut self, member: usize, number: u64) -> io::Result<()> {
        let line = self.kind.message(&text(number));
        self.send(member, line.as_bytes())
    }

    /// Waits for data and passes each complete line to `receive`.
    ///
    /// # Errors
    ///
    /// Fails at the deadline, if the server has closed a connection, and if `receive` fails.
    pub fn poll(
        &mut self,
        until: Instant,
        mut receive: impl FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.poll_until(Some(until), &mut receive)? && Instant::now() >= until {
            return Err(io::Error::other("the server sends nothing"));
        }
        Ok(())
    }

    /// Waits for data or until a time, and reports whether there was any data.
    ///
    /// # Errors
    ///
    /// Fails like [`Crowd::poll`], except at the deadline.
    pub fn poll_until(
        &mut self,
        until: Option<Instant>,
        mut receive: impl FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let wait = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        let count = epoll::wait(&self.epoll, self.events.as_mut_slice(), wait.as_ref())?;
        for event in &self.events[..count] {
            let member = event.data.u64() as usize;
            let flags = event.flags;
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.members[member].read(&mut self.buf, |line| receive(member, line))?;
            }
        }
        Ok(count > 0)
    }
}

impl Member {
    /// Reads once, and passes each complete line without its end to `receive`.
    fn read(
        &mut self,
        buf: &mut [u8],
        mut receive: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let length = match self.stream.read(buf) {
            Ok(0) => return Err(io::Error::other("the server has closed a connection")),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buf[..length]) {
            let piece = &buf[start..end];
            start = end + 1;
            if self.partial.is_empty() {
                receive(piece.strip_suffix(b"\r").unwrap_or(piece))?;
            } else {
                self.partial.extend_from_slice(piece);
                receive(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial))?;
                self.partial.clear();
            }
        }
        self.partial.extend_from_slice(&buf[start..length]);
        Ok(())
    }
}

/// Formats the text of a number.
pub fn text(number: u64) -> String {
    let mut text = format!("~{number:0DIGITS$}~");
    text.extend((text.len()..TEXT).map(|at| char::from(b'a' + (at % 26) as u8)));
    text
}

/// Parses the number of a text at the end of a line.
pub fn number(line: &[u8]) -> Option<u64> {
    let text = &line[line.len().checked_sub(TEXT)?..];
    if text[0] != b'~' || text[DIGITS + 1] != b'~' {
        return None;
    }
    text[1..=DIGITS].iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}
