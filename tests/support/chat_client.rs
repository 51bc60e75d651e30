//! A chat member that speaks in lines, as netcat does, in the test's own hands.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::DEADLINE;

/// What the lecture's server answers to a message, and ours too.
pub fn acknowledgement(text: &str) -> String {
    format!("Server received your message: {text}")
}

/// Connects to an endpoint: `HOST:PORT` or `unix:PATH`.
///
/// Reading, writing and half-closing are the same for every family, so a unix stream goes by the other name.
#[track_caller]
pub fn connect(endpoint: &str) -> TcpStream {
    let stream = match endpoint.strip_prefix("unix:") {
        Some(path) => TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap())),
        None => TcpStream::connect(endpoint).unwrap_or_else(|error| panic!("{endpoint}: {error}")),
    };
    // A test that waits for each line must not wait for delayed acknowledgements too; unix sockets have none.
    let _ = stream.set_nodelay(true);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// One line session.
pub struct LineClient {
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// Every line so far, with its end, as it came.
    pub lines: Vec<Vec<u8>>,
}

impl LineClient {
    /// Connects, and says nothing yet: a silent session is in no room.
    #[track_caller]
    pub fn connect(endpoint: &str) -> LineClient {
        let stream = connect(endpoint);
        let reader = BufReader::new(stream.try_clone().unwrap());
        LineClient { stream, reader, lines: Vec::new() }
    }

    /// [`Line::connect`], to a server that may be gone or not like it.
    pub fn try_connect(endpoint: &str) -> std::io::Result<LineClient> {
        let stream = super::uploads::try_connect(endpoint)?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(LineClient { stream, reader, lines: Vec::new() })
    }

    /// [`Line::say`], to a server that may be gone.
    pub fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{text}\n").as_bytes())
    }

    /// Connects, and is a member of the room when this returns.
    #[track_caller]
    pub fn joined(endpoint: &str) -> LineClient {
        let mut line = LineClient::connect(endpoint);
        line.send("here I am");
        line.wait_for_line(&acknowledgement("here I am"));
        line
    }

    /// Says one line.
    #[track_caller]
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(&[text.as_ref(), b"\n"].concat()).unwrap();
    }

    /// Reads the next line; none at the end.
    pub fn next_line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        self.lines.push(line);
        Ok(Some(text))
    }

    /// Reads until a wanted line, and returns it.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.next_line() {
                Ok(Some(line)) if wanted(&line) => return line,
                Ok(Some(_)) => {}
                other => panic!("waited in vain ({other:?}); heard\n{}", self.received()),
            }
        }
    }

    /// Reads until exactly this line.
    #[track_caller]
    pub fn wait_for_line(&mut self, wanted: &str) {
        loop {
            match self.next_line() {
                Ok(Some(line)) if line == wanted => return,
                Ok(Some(_)) => {}
                other => {
                    panic!("waited in vain for {wanted:?} ({other:?}); heard\n{}", self.received())
                }
            }
        }
    }

    /// Reads until somebody says this text, and returns the name of who said it.
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

    /// All that was heard, as text.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&self.lines.concat()).into_owned()
    }

    /// How many of the lines so far end with this text.
    pub fn count(&self, end: &str) -> usize {
        self.received().lines().filter(|line| line.ends_with(end)).count()
    }
}
