//! The operations of honest clients. Each checks the answer.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{
    CHUNK_SIZE, Frame, FrameReader, FrameWriter, Offer, client_hello, server_hello,
};

use super::bare::{GREETING, REPLY};
use super::server::Server;

/// The timeout of an operation.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// The file that is stored before a flood of offers.
pub const STORED_NAME: &str = "stored";

/// The size of that file.
pub const STORED_SIZE: u64 = 16 << 20;

/// The size of an uploaded file.
const UPLOAD_SIZE: usize = 1024;

/// The receipt of a line, without the line.
const RECEIPT: &str = "Server received your message: ";

/// The next number of a file.
static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

/// One client, which runs an operation at each call.
pub type Client = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Makes a client of the server at an address.
pub type Connect = fn(&str) -> io::Result<Client>;

/// Returns a client that connects and reads the greeting.
pub fn greeting(at: &str) -> io::Result<Client> {
    let at = at.to_owned();
    Ok(Box::new(move || {
        let mut received = Vec::new();
        connect(&at)?.read_to_end(&mut received)?;
        check(received == GREETING, "an unexpected greeting")
    }))
}

/// Returns a client that sends a datagram and waits for the reply.
pub fn datagram(at: &str) -> io::Result<Client> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(at)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(Box::new(move || {
        socket.send(b"Hello UDP Server")?;
        let mut received = [0; 64];
        let length = socket.recv(&mut received)?;
        check(&received[..length] == REPLY, "an unexpected reply")
    }))
}

/// Returns a member of the default room that sends a line and waits for its receipt.
pub fn line_in_lobby(at: &str) -> io::Result<Client> {
    line(at, "lobby")
}

/// Returns a member of another room that sends a line and waits for its receipt.
pub fn line_in_room(at: &str) -> io::Result<Client> {
    line(at, "honest")
}

fn line(at: &str, room: &str) -> io::Result<Client> {
    let mut stream = connect(at)?;
    writeln!(stream, "/join {room}")?;
    let receipts = read_receipts(stream.try_clone()?)?;
    let mut number = 0;
    let mut client = move || {
        number += 1;
        writeln!(stream, "{number}")?;
        // A receipt may be late.
        while receipts.recv_timeout(TIMEOUT).map_err(|_| ErrorKind::TimedOut)? < number {}
        Ok(())
    };
    // The server has read the command before the first line.
    client()?;
    Ok(Box::new(client))
}

/// Reads everything that a member receives in a thread, and returns the numbers in the receipts.
fn read_receipts(stream: TcpStream) -> io::Result<Receiver<u64>> {
    let (sender, receiver) = channel();
    // The end of the server ends the loop.
    stream.set_read_timeout(None)?;
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let number = line.strip_prefix(RECEIPT).and_then(|number| number.parse().ok());
            if number.is_some_and(|number| sender.send(number).is_err()) {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Returns a client that uploads files with the framed protocol over one connection.
pub fn framed(at: &str) -> io::Result<Client> {
    let mut uploader = Uploader::connect(at)?;
    Ok(Box::new(move || {
        let name = format!("file-{}", NEXT_FILE.fetch_add(1, Ordering::Relaxed));
        uploader.upload(&name, &[7; UPLOAD_SIZE])
    }))
}

/// Returns a client that connects and uploads a file raw. [`count_uploads`] checks the files.
pub fn raw(at: &str) -> io::Result<Client> {
    let at = at.to_owned();
    Ok(Box::new(move || {
        let mut stream = connect(&at)?;
        stream.write_all(&[7; UPLOAD_SIZE])?;
        stream.shutdown(Shutdown::Write)?;
        let received = stream.read(&mut [0])?;
        check(received == 0, "a reply to a raw upload")
    }))
}

/// Stores the file that floods offer.
pub fn store(server: &Server) -> io::Result<()> {
    Uploader::connect(&server.at)?.upload(STORED_NAME, &vec![7; STORED_SIZE as usize])
}

/// Returns the number of whole uploads in the directory of a server.
pub fn count_uploads(server: &Server) -> io::Result<usize> {
    let files = fs::read_dir(server.out.path())?.collect::<io::Result<Vec<_>>>()?;
    let sizes = files.iter().filter_map(|file| file.metadata().ok());
    Ok(sizes.filter(|file| file.is_file() && file.len() == UPLOAD_SIZE as u64).count())
}

/// Returns the offer of a file.
pub fn offer(name: &str, size: u64) -> Offer<'_> {
    let (modified, name) = ((1_000_000_000, 0), name.as_bytes());
    Offer { is_directory: false, size: Some(size), mode: 0o644, modified, name }
}

/// A connection with the framed protocol.
struct Uploader {
    stream: TcpStream,
    frames: FrameWriter,
    replies: FrameReader,
}

impl Uploader {
    fn connect(at: &str) -> io::Result<Uploader> {
        let mut stream = connect(at)?;
        stream.write_all(&client_hello())?;
        let mut hello = [0; 9];
        stream.read_exact(&mut hello)?;
        check(hello[..] == server_hello(1)[..], "an unexpected preamble")?;
        Ok(Uploader { stream, frames: FrameWriter::default(), replies: FrameReader::default() })
    }

    /// Uploads a file, and waits until it is stored.
    fn upload(&mut self, name: &str, file: &[u8]) -> io::Result<()> {
        let Uploader { stream, frames, replies } = self;
        let mut bytes = Vec::new();
        frames.write(&Frame::Offer(offer(name, file.len() as u64)), &mut bytes);
        frames.write(&Frame::Begin(0), &mut bytes);
        for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
            let hash = hash_chunk(number, chunk);
            frames.write(&Frame::Data { number, hash, bytes: chunk }, &mut bytes);
        }
        let digest = blake3::hash(file).into();
        frames.write(&Frame::End { size: file.len() as u64, digest }, &mut bytes);
        stream.write_all(&bytes)?;
        let mut received = [0; 4096];
        loop {
            match replies.next_frame().map_err(io::Error::other)? {
                Some(Frame::Stored(stored)) if stored.name == name => return Ok(()),
                // The reply to an earlier upload may be late.
                Some(Frame::Answer { .. } | Frame::Wait | Frame::Stored(_)) => {}
                Some(other) => return Err(io::Error::other(format!("received {other:?}"))),
                None => match stream.read(&mut received)? {
                    0 => return Err(ErrorKind::UnexpectedEof.into()),
                    length => replies.push(&received[..length]),
                },
            }
        }
    }
}

/// Connects to a server.
fn connect(at: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn check(holds: bool, otherwise: &'static str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(otherwise)) }
}
