//! A line client of the chat, like netcat, which the test controls.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::DEADLINE;

/// Returns the acknowledgement of a message, which is the lecture's.
pub fn acknowledgement(text: &str) -> String {
    format!("Server received your message: {text}")
}

/// Connects to an endpoint: `HOST:PORT` or `unix:PATH`.
///
/// A Unix stream is returned as a `TcpStream`: reading, writing and half-closing are the same.
#[track_caller]
pub fn connect(endpoint: &str) -> TcpStream {
    let stream = match endpoint.strip_prefix("unix:") {
        Some(path) => TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap())),
        None => TcpStream::connect(endpoint).unwrap_or_else(|error| panic!("{endpoint}: {error}")),
    };
    // Do not wait for delayed TCP acknowledgements. Unix sockets have none.
    let _ = stream.set_nodelay(true);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// A line session.
pub struct LineClient {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// The received lines with their terminators.
    pub lines: Vec<Vec<u8>>,
}

impl LineClient {
    /// Connects without sending anything. A silent session is in no room.
    #[track_caller]
    pub fn connect(endpoint: &str) -> LineClient {
        let stream = connect(endpoint);
        let reader = BufReader::new(stream.try_clone().unwrap());
        LineClient { stream, reader, lines: Vec::new() }
    }

    /// Connects to a server that may have exited.
    pub fn try_connect(endpoint: &str) -> std::io::Result<LineClient> {
        let stream = super::uploads::try_connect(endpoint)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(LineClient { stream, reader, lines: Vec::new() })
    }

    /// Sends one line to a server that may have exited.
    pub fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{text}\n").as_bytes())
    }

    /// Connects and joins the room.
    #[track_caller]
    pub fn joined(endpoint: &str) -> LineClient {
        let mut line = LineClient::connect(endpoint);
        line.send("here I am");
        line.wait_for_line(&acknowledgement("here I am"));
        line
    }

    /// Sends one line.
    #[track_caller]
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(&[text.as_ref(), b"\n"].concat()).unwrap();
    }

    /// Reads the next line, or `None` at the end of the stream.
    pub fn next_line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        self.lines.push(line);
        Ok(Some(text))
    }

    /// Reads until a matching line, and returns it.
    #[track_caller]
    pub fn wait_for(&mut self, matches: impl Fn(&str) -> bool) -> String {
        loop {
            match self.next_line() {
                Ok(Some(line)) if matches(&line) => return line,
                Ok(Some(_)) => {}
                other => {
                    panic!("the line did not arrive ({other:?}); received\n{}", self.received())
                }
            }
        }
    }

    /// Reads until this line.
    #[track_caller]
    pub fn wait_for_line(&mut self, wanted: &str) {
        loop {
            match self.next_line() {
                Ok(Some(line)) if line == wanted => return,
                Ok(Some(_)) => {}
                other => {
                    panic!("{wanted:?} did not arrive ({other:?}); received\n{}", self.received())
                }
            }
        }
    }

    /// Reads until a member's message with this text, and returns the member's nick.
    #[track_caller]
    pub fn wait_for_message(&mut self, text: &str) -> String {
        let end = format!(": {text}");
        let line = self.wait_for(|line| line.ends_with(&end) && line != acknowledgement(text));
        line[..line.len() - end.len()].to_owned()
    }

    /// Reads to the end of the session.
    pub fn read_to_end(&mut self) {
        while let Ok(Some(_)) = self.next_line() {}
    }

    /// Returns everything received, as text.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&self.lines.concat()).into_owned()
    }

    /// Counts the received lines that end with this text.
    pub fn count(&self, end: &str) -> usize {
        self.received().lines().filter(|line| line.ends_with(end)).count()
    }
}
