//! The clients of the network operations.
//!
//! A client runs in a child process of the server, so that valgrind counts the server only. It has
//! one request in flight. Before each request it waits until the server sleeps: a server under
//! valgrind is so slow that the next request would often arrive while it still works on the last
//! one, and both would be served in one turn. So each request takes the same path.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The members of the chat room that a line is delivered to.
pub const RECEIVERS: u64 = 49;

/// The timeout of each step.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The interval at which the state of the server is polled.
const POLL: Duration = Duration::from_micros(100);

/// The length of an echoed message and of a chat line.
const LENGTH: usize = 64;

/// Performs an operation `count` times.
pub fn run(operation: &str, server: SocketAddr, count: u64) -> io::Result<()> {
    match operation {
        "greeting" => greeting(server, count),
        "echo" => echo(server, count),
        "datagram" => datagram(server, count),
        "delivery" => delivery(server, count.div_ceil(RECEIVERS)),
        _ => Err(io::Error::other(format!("{operation} has no client"))),
    }
}

fn greeting(server: SocketAddr, count: u64) -> io::Result<()> {
    for _ in 0..count {
        let mut stream = connect(server)?;
        let mut greeting = Vec::new();
        stream.read_to_end(&mut greeting)?;
        expect(&greeting, b"Thank you for connecting")?;
        // The stream is closed after the server has closed its side.
        wait_until_idle()?;
    }
    Ok(())
}

fn echo(server: SocketAddr, count: u64) -> io::Result<()> {
    let mut stream = connect(server)?;
    let (request, mut reply) = ([b'x'; LENGTH], [0; LENGTH]);
    for _ in 0..count {
        wait_until_idle()?;
        stream.write_all(&request)?;
        stream.read_exact(&mut reply)?;
        expect(&reply, &request)?;
    }
    wait_until_idle()
}

fn datagram(server: SocketAddr, count: u64) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut reply = [0; LENGTH];
    for _ in 0..count {
        wait_until_idle()?;
        socket.send(b"Hello UDP Server")?;
        let length = socket.recv(&mut reply)?;
        expect(&reply[..length], b"Hello UDP Client")?;
    }
    wait_until_idle()
}

/// Publishes `lines` lines in a room. The members take turns.
fn delivery(server: SocketAddr, lines: u64) -> io::Result<()> {
    let mut members = Vec::new();
    for number in 0..=RECEIVERS {
        wait_until_idle()?;
        let mut member = BufReader::new(connect(server)?);
        let request = format!("/nick m{number:02}\n/ack off\n");
        member.get_mut().write_all(request.as_bytes())?;
        read_until(&mut member, "* receipts are off\n")?;
        members.push(member);
    }
    let text = "x".repeat(LENGTH - 1);
    let request = format!("{text}\n");
    for publisher in (0..members.len()).cycle().take(lines as usize) {
        wait_until_idle()?;
        members[publisher].get_mut().write_all(request.as_bytes())?;
        let line = format!("m{publisher:02}: {text}\n");
        for (number, member) in members.iter_mut().enumerate() {
            if number != publisher {
                read_until(member, &line)?;
            }
        }
    }
    // The members leave one by one, so that the shutdown costs the same in each run.
    for member in members {
        wait_until_idle()?;
        drop(member);
    }
    wait_until_idle()
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Reads lines up to and including `expected`.
fn read_until(stream: &mut impl BufRead, expected: &str) -> io::Result<()> {
    let mut line = String::new();
    while line != expected {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the server closed the connection"));
        }
    }
    Ok(())
}

fn expect(received: &[u8], expected: &[u8]) -> io::Result<()> {
    if received == expected {
        return Ok(());
    }
    let received = String::from_utf8_lossy(received);
    Err(io::Error::other(format!("received {received:?}")))
}

/// Waits until the main thread of the server, which is the parent process, sleeps.
fn wait_until_idle() -> io::Result<()> {
    let (path, start) = (format!("/proc/{}/stat", parent_id()), Instant::now());
    loop {
        // The state follows the command's name in parentheses, which may hold spaces.
        let stat = fs::read_to_string(&path)?;
        if stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" S ")) {
            return Ok(());
        }
        if start.elapsed() > TIMEOUT {
            return Err(io::Error::other(format!("the server did not become idle in {TIMEOUT:?}")));
        }
        thread::sleep(POLL);
    }
}
