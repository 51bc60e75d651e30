//! Bare servers, the targets of floods: two small loops for the two simple scenarios, and an echo.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::listen;

pub const GREETING: &[u8] = b"Thank you for connecting";
pub const REPLY: &[u8] = b"Hello UDP Client";

/// The number of the listener among the events. The connections count from 1.
const LISTENER: u64 = 0;

/// The size of each buffer.
const BUFFER_SIZE: usize = 16 << 10;

/// Starts an `epoll` loop that echoes streams in a thread, and returns its address.
pub fn start_echo() -> io::Result<String> {
    let listener = bind()?;
    listener.set_nonblocking(true)?;
    let at = listener.local_addr()?.to_string();
    thread::spawn(move || echo_streams(&listener).inspect_err(|error| eprintln!("{error}")));
    Ok(at)
}

/// Starts a loop that greets connections in a thread, and returns its address.
pub fn start_greetings() -> io::Result<String> {
    let listener = bind()?;
    let at = listener.local_addr()?.to_string();
    thread::spawn(move || {
        // A client may have reset the connection.
        listener.incoming().flatten().for_each(|mut stream| drop(stream.write(GREETING)));
    });
    Ok(at)
}

/// Starts a loop that answers datagrams in a thread, and returns its address.
pub fn start_datagrams() -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = socket.local_addr()?.to_string();
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        loop {
            // A client may have closed its socket.
            if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(REPLY, peer);
            }
        }
    });
    Ok(at)
}

/// Listens with the backlog of the program.
fn bind() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listen(&listener, 4096)?;
    Ok(listener)
}

/// Echoes each connection. One that does not read is not read either.
fn echo_streams(listener: &TcpListener) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = LISTENER;
    let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 64];
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let count = epoll::wait(&epoll, events.as_mut_slice(), None)?;
        for event in &events[..count] {
            let number = event.data.u64();
            if number == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    next += 1;
                    stream.set_nonblocking(true)?;
                    epoll::add(&epoll, &stream, EventData::new_u64(next), EventFlags::IN)?;
                    connections.insert(next, Connection { stream, unsent: Vec::new() });
                }
            } else if let Some(connection) = connections.get_mut(&number) {
                match connection.echo(&mut buffer) {
                    Ok(flags) => {
                        let data = EventData::new_u64(number);
                        epoll::modify(&epoll, &connection.stream, data, flags)?;
                    }
                    Err(_) => drop(connections.remove(&number)),
                }
            }
        }
    }
}

/// An accepted connection.
struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Connection {
    /// Reads once, or sends what is left, and returns what to wait for. The end is an error.
    fn echo(&mut self, buffer: &mut [u8]) -> io::Result<EventFlags> {
        if self.unsent.is_empty() {
            match self.stream.read(buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                length => self.unsent.extend_from_slice(&buffer[..length]),
            }
        }
        match self.stream.write(&self.unsent) {
            Ok(length) => drop(self.unsent.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(if self.unsent.is_empty() { EventFlags::IN } else { EventFlags::OUT })
    }
}
