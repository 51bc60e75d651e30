//! The members of a room, all in this one thread around one `epoll`.
//!
//! A text is 63 bytes and a newline: a mark, a number, a filling. Servers put a name before it, so a member takes the last 63
//! bytes of a line for the text, if the mark is there; anything else is the server's own talk.

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

/// How long any one thing may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One member.
#[derive(Debug)]
pub struct Member {
    pub stream: TcpStream,
    /// What came of a line whose end did not come yet.
    partial: Vec<u8>,
}

/// All of them.
pub struct Crowd {
    pub kind: Kind,
    address: SocketAddr,
    epoll: OwnedFd,
    pub members: Vec<Member>,
    events: Vec<Event>,
    buf: Vec<u8>,
}

impl Crowd {
    /// Makes the crowd of a server, nobody in it yet.
    ///
    /// # Errors
    ///
    /// Fails when the process has no descriptors left.
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

    /// Has one more member come in, and waits until it is in; returns its number. One whose receive buffer is
    /// `narrow` makes the server feel it sooner when it does not read.
    ///
    /// # Errors
    ///
    /// Fails when the server refuses it or says nothing for too long.
    pub fn enter(&mut self, narrow: Option<usize>) -> io::Result<usize> {
        let who = self.members.len();
        let stream = self.connect(narrow)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, EventData::new_u64(who as u64), EventFlags::IN)?;
        self.members.push(Member { stream, partial: Vec::new() });
        for (text, answer) in self.kind.entry(&format!("m{who}")) {
            self.send(who, text.as_bytes())?;
            let until = Instant::now() + PATIENCE;
            let mut is_answered = false;
            while !is_answered {
                self.poll(until, |to, line| {
                    is_answered |=
                        to == who && memchr::memmem::find(line, answer.as_bytes()).is_some();
                    Ok(())
                })?;
            }
        }
        Ok(who)
    }

    /// Connects; a server that was just started may not listen yet.
    fn connect(&self, narrow: Option<usize>) -> io::Result<TcpStream> {
        let until = Instant::now() + PATIENCE;
        loop {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            if let Some(bytes) = narrow {
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

    /// Reads from this member no more, or again.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses.
    pub fn watch(&self, who: usize, flags: EventFlags) -> io::Result<()> {
        let data = EventData::new_u64(who as u64);
        Ok(epoll::modify(&self.epoll, &self.members[who].stream, data, flags)?)
    }

    /// Sends something short, all of it.
    ///
    /// # Errors
    ///
    /// Fails when there is no room for it: then the server does not read.
    pub fn send(&mut self, who: usize, bytes: &[u8]) -> io::Result<()> {
        self.members[who].stream.write_all(bytes)
    }

    /// Says a text.
    ///
    /// # Errors
    ///
    /// As [`Crowd::send`].
    pub fn say(&mut self, who: usize, number: u64) -> io::Result<()> {
        let line = self.kind.saying(&text(number));
        self.send(who, line.as_bytes())
    }

    /// Waits until somebody is sent something, and hands over every whole line of it.
    ///
    /// # Errors
    ///
    /// Fails at the deadline, when the server has closed a connection, and with what `heard` says.
    pub fn poll(
        &mut self,
        until: Instant,
        mut heard: impl FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.look(Some(until), &mut heard)? && Instant::now() >= until {
            return Err(io::Error::other("the server says nothing"));
        }
        Ok(())
    }

    /// Waits until there is something, or until a time; tells whether there was something.
    ///
    /// # Errors
    ///
    /// As [`Crowd::poll`], but for the deadline.
    pub fn look(
        &mut self,
        until: Option<Instant>,
        mut heard: impl FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        let wait = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        let count = epoll::wait(&self.epoll, self.events.as_mut_slice(), wait.as_ref())?;
        for event in &self.events[..count] {
            let who = event.data.u64() as usize;
            let flags = event.flags;
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.members[who].read(&mut self.buf, |line| heard(who, line))?;
            }
        }
        Ok(count > 0)
    }
}

impl Member {
    /// Reads once, and hands over whole lines without their ends.
    fn read(
        &mut self,
        buf: &mut [u8],
        mut heard: impl FnMut(&[u8]) -> io::Result<()>,
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
                heard(piece.strip_suffix(b"\r").unwrap_or(piece))?;
            } else {
                self.partial.extend_from_slice(piece);
                heard(self.partial.strip_suffix(b"\r").unwrap_or(&self.partial))?;
                self.partial.clear();
            }
        }
        self.partial.extend_from_slice(&buf[start..length]);
        Ok(())
    }
}

/// Makes the text of a number.
pub fn text(number: u64) -> String {
    let mut text = format!("~{number:0DIGITS$}~");
    text.extend((text.len()..TEXT).map(|at| char::from(b'a' + (at % 26) as u8)));
    text
}

/// Reads the number of a text off a line.
pub fn number(line: &[u8]) -> Option<u64> {
    let text = &line[line.len().checked_sub(TEXT)?..];
    if text[0] != b'~' || text[DIGITS + 1] != b'~' {
        return None;
    }
    text[1..=DIGITS].iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}
