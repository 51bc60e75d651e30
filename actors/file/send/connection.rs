//! A framed connection from its client's side: what is said on it, and what the server answers.
//!
//! The server has a limit for each thing: to accept the connection, to take a piece, to say something. One that works
//! longer on a file says so meanwhile, so the limit says nothing about the size of a file.

use std::time::Duration;

use crate::actors::ClientError;
use crate::actors::support::write;
use crate::net::{Endpoint, Stream};
use crate::runtime::Clock;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{
    Frame, FrameError, FrameReader, FrameWriter, client_hello, parse_server_hello,
};

/// The bytes that are read at a time: a client is sent little.
const READ_SIZE: usize = 4 << 10;

/// A connection to a server that speaks the framed protocol.
#[derive(Debug)]
pub(crate) struct FramedConnection {
    stream: Stream,
    clock: Clock,
    endpoint: Endpoint,
    /// How long the server may take for each thing.
    timeout: Duration,
    frame_reader: FrameReader,
    frame_writer: FrameWriter,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerReply {
    /// It holds so many chunks, with this digest of their values.
    ResumeAt(u64, ChunkHash),
    /// It has stored the file, with this digest, under this name.
    Stored(ChunkHash, String),
    /// It has not: the code and a sentence.
    Failed(u16, String),
}

impl FramedConnection {
    /// Connects, and finds out that the server speaks the protocol.
    pub(crate) async fn connect(
        clock: &Clock,
        endpoint: &Endpoint,
        limit: Duration,
    ) -> Result<FramedConnection, ClientError> {
        let stream = Stream::connect(endpoint, limit).await?;
        // A small file is a few frames, none of which must wait until the last one has been acknowledged.
        let _ = stream.set_nodelay(true);
        let mut line = FramedConnection {
            stream,
            clock: clock.clone(),
            endpoint: endpoint.clone(),
            timeout: limit,
            frame_reader: FrameReader::default(),
            frame_writer: FrameWriter::default(),
        };
        line.write(&client_hello()).await?;
        let mut heard = Vec::new();
        loop {
            match parse_server_hello(&heard).map_err(|source| line.handshake_error(source))? {
                Some((length, _)) => {
                    line.frame_reader.push(&heard[length..]);
                    return Ok(line);
                }
                None => heard.extend(line.read_handshake(heard.is_empty()).await?),
            }
        }
    }

    /// Reads a piece of the server's first words; one that has none is no server of this protocol.
    async fn read_handshake(&self, is_silent: bool) -> Result<Vec<u8>, ClientError> {
        let plain = |silent| ClientError::NotFileProtocol {
            server: self.endpoint.to_string(),
            timeout: silent,
        };
        match self.read().await {
            Ok(piece) if !piece.is_empty() => Ok(piece),
            Ok(_) => Err(plain(None)),
            Err(ClientError::TimedOut { limit, .. }) if is_silent => Err(plain(Some(limit))),
            Err(failure) => Err(failure),
        }
    }

    /// Makes a failure of first words that are none of this protocol, or of another version.
    fn handshake_error(&self, source: FrameError) -> ClientError {
        let server = self.endpoint.to_string();
        match source {
            FrameError::Signature => ClientError::NotFileProtocol { server, timeout: None },
            _ => ClientError::Protocol { server, source },
        }
    }

    /// Returns what numbers the next frames.
    pub(crate) fn frame_writer(&self) -> FrameWriter {
        self.frame_writer.clone()
    }

    /// Writes frames that were numbered by `frame_writer`, and returns what the server said meanwhile, if it said anything.
    ///
    /// What it said before it closed the connection is heard, too.
    pub(crate) async fn send_batch(
        &mut self,
        bytes: &[u8],
        frames: FrameWriter,
    ) -> Result<Option<ServerReply>, ClientError> {
        let written = self.write(bytes).await;
        self.frame_writer = frames;
        let heard = self.try_recv();
        match (heard, written) {
            (Ok(None), Err(failure)) => Err(failure),
            (heard, _) => heard,
        }
    }

    /// Writes bytes, with a limit for each write that the kernel takes.
    async fn write(&self, bytes: &[u8]) -> Result<(), ClientError> {
        let written =
            write::write_all_with_timeout(&self.clock, &self.stream, self.timeout, bytes).await;
        written.map_err(|error| ClientError::from_io(error, &self.endpoint, self.timeout))
    }

    /// Says one thing, and waits for the answer.
    pub(crate) async fn request(&mut self, frame: &Frame<'_>) -> Result<ServerReply, ClientError> {
        self.send_frame(frame).await?;
        self.recv().await
    }

    /// Writes one frame.
    pub(crate) async fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        self.frame_writer.write(frame, &mut bytes);
        self.write(&bytes).await
    }

    async fn read(&self) -> Result<Vec<u8>, ClientError> {
        let mut piece = vec![0; READ_SIZE];
        let read = self.clock.timeout(self.timeout, self.stream.read(&mut piece)).await;
        let late =
            || ClientError::TimedOut { server: self.endpoint.to_string(), limit: self.timeout };
        let length = read.ok_or_else(late)?;
        piece.truncate(length.map_err(|e| ClientError::from_io(e, &self.endpoint, self.timeout))?);
        Ok(piece)
    }

    /// Returns what the server has said already, if it said anything.
    fn try_recv(&mut self) -> Result<Option<ServerReply>, ClientError> {
        let reader = &mut self.frame_reader;
        // An error or an end shows itself again where it is waited for.
        let _ = self.stream.try_read_with(|bytes| reader.push(bytes));
        self.decode_reply()
    }

    /// Makes a failure of an answer that has no place.
    pub(crate) fn unexpected_reply(&self) -> ClientError {
        ClientError::UnexpectedReply { server: self.endpoint.to_string() }
    }

    fn decode_reply(&mut self) -> Result<Option<ServerReply>, ClientError> {
        loop {
            let next = self.frame_reader.next_frame();
            let server = || self.endpoint.to_string();
            let frame =
                next.map_err(|source| ClientError::Protocol { server: server(), source })?;
            return Ok(match frame {
                None => None,
                Some(Frame::Wait) => continue,
                Some(Frame::Answer { chunk_count: held, chunk_list_hash: digest }) => {
                    Some(ServerReply::ResumeAt(held, digest))
                }
                Some(Frame::Stored(stored)) => {
                    Some(ServerReply::Stored(stored.digest, stored.name.into()))
                }
                Some(Frame::Failed(failed)) => {
                    Some(ServerReply::Failed(failed.code, failed.reason.into()))
                }
                Some(_) => return Err(ClientError::UnexpectedReply { server: server() }),
            });
        }
    }

    /// Waits for what the server says next; it may take the limit for each thing that it says.
    pub(crate) async fn recv(&mut self) -> Result<ServerReply, ClientError> {
        loop {
            if let Some(answer) = self.decode_reply()? {
                return Ok(answer);
            }
            let piece = self.read().await?;
            if piece.is_empty() {
                let server = self.endpoint.to_string();
                return Err(ClientError::Closed { server, phase: Some("before it replied") });
            }
            self.frame_reader.push(&piece);
        }
    }

    /// Ends our side, and waits for the server's end.
    pub(crate) async fn close(self) {
        // Everything was answered: how it ends makes no difference.
        let _ = self.stream.close(Duration::from_millis(100)).await;
    }
}
