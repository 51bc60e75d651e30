//! The client's side of a framed connection: it sends frames and receives replies.
//!
//! The time limit applies to each step: to connecting, to each write and to each reply. A server
//! that works longer on a file sends `wait` frames, so the limit does not depend on the size of a
//! file.

use std::time::Duration;

use crate::actors::ClientError;
use crate::actors::support::write;
use crate::net::{Endpoint, Stream};
use crate::runtime::Clock;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{
    Frame, FrameError, FrameReader, FrameWriter, client_hello, parse_server_hello,
};

/// The number of bytes read at a time. A server sends little.
const READ_SIZE: usize = 4 << 10;

/// The time limit of closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// A connection to a server that speaks the framed protocol.
#[derive(Debug)]
pub(super) struct FramedConnection {
    stream: Stream,
    clock: Clock,
    endpoint: Endpoint,
    /// The time limit of each step.
    timeout: Duration,
    frame_reader: FrameReader,
    frame_writer: FrameWriter,
}

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServerReply {
    /// The server accepts the file after the chunks that it has already.
    ResumeAt {
        /// The number of chunks that the server has.
        chunk_count: u64,
        /// The hash of the list of their hashes.
        chunk_list_hash: ChunkHash,
    },
    /// The server has stored the file.
    Stored {
        /// The hash of the stored file.
        hash: ChunkHash,
        /// The name that the server gave it.
        name: String,
    },
    /// The server cannot store the file.
    Failed {
        /// The protocol's code.
        code: u16,
        /// The reason in words.
        reason: String,
    },
}

impl FramedConnection {
    /// Connects, and checks that the server speaks the protocol.
    pub(super) async fn connect(
        clock: &Clock,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<FramedConnection, ClientError> {
        let stream = Stream::connect(endpoint, timeout).await?;
        // A small file is a few frames. None of them must wait for the acknowledgement of the one
        // before.
        let _ = stream.set_nodelay(true);
        let mut connection = FramedConnection {
            stream,
            clock: clock.clone(),
            endpoint: endpoint.clone(),
            timeout,
            frame_reader: FrameReader::default(),
            frame_writer: FrameWriter::default(),
        };
        connection.write(&client_hello()).await?;
        let mut received = Vec::new();
        loop {
            let hello = parse_server_hello(&received);
            match hello.map_err(|source| connection.handshake_error(source))? {
                Some((length, _)) => {
                    connection.frame_reader.push(&received[length..]);
                    return Ok(connection);
                }
                None => received.extend(connection.read_handshake(received.is_empty()).await?),
            }
        }
    }

    /// Reads a part of the server's hello. A server that closes or sends nothing does not speak the
    /// protocol.
    async fn read_handshake(&self, is_silent: bool) -> Result<Vec<u8>, ClientError> {
        let not_file_protocol =
            |timeout| ClientError::NotFileProtocol { server: self.endpoint.to_string(), timeout };
        match self.read().await {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            Ok(_) => Err(not_file_protocol(None)),
            Err(ClientError::TimedOut { limit, .. }) if is_silent => {
                Err(not_file_protocol(Some(limit)))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Converts the error of a hello of another protocol or of an unknown version.
    fn handshake_error(&self, source: FrameError) -> ClientError {
        let server = self.endpoint.to_string();
        match source {
            FrameError::Signature => ClientError::NotFileProtocol { server, timeout: None },
            _ => ClientError::Protocol { server, source },
        }
    }

    /// Returns a writer that numbers the next frames.
    pub(super) fn frame_writer(&self) -> FrameWriter {
        self.frame_writer.clone()
    }

    /// Writes frames that were numbered by `frame_writer`. Returns the server's reply if one has
    /// arrived meanwhile.
    ///
    /// If the write fails, a reply that arrived before still counts: the server may have replied
    /// and closed the connection.
    pub(super) async fn send_batch(
        &mut self,
        bytes: &[u8],
        frame_writer: FrameWriter,
    ) -> Result<Option<ServerReply>, ClientError> {
        let written = self.write(bytes).await;
        self.frame_writer = frame_writer;
        let received = self.try_recv();
        match (received, written) {
            (Ok(None), Err(failure)) => Err(failure),
            (received, _) => received,
        }
    }

    /// Writes bytes. The time limit applies to each write that the kernel accepts.
    async fn write(&self, bytes: &[u8]) -> Result<(), ClientError> {
        let written =
            write::write_all_with_timeout(&self.clock, &self.stream, self.timeout, bytes).await;
        written.map_err(|error| ClientError::from_io(error, &self.endpoint, self.timeout))
    }

    /// Sends one frame and waits for the reply.
    pub(super) async fn request(&mut self, frame: &Frame<'_>) -> Result<ServerReply, ClientError> {
        self.send_frame(frame).await?;
        self.recv().await
    }

    /// Sends one frame.
    pub(super) async fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        self.frame_writer.write(frame, &mut bytes);
        self.write(&bytes).await
    }

    async fn read(&self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = vec![0; READ_SIZE];
        let read = self.clock.timeout(self.timeout, self.stream.read(&mut bytes)).await;
        let timed_out =
            || ClientError::TimedOut { server: self.endpoint.to_string(), limit: self.timeout };
        let length = read.ok_or_else(timed_out)?;
        bytes.truncate(length.map_err(|e| ClientError::from_io(e, &self.endpoint, self.timeout))?);
        Ok(bytes)
    }

    /// Returns the server's reply if one has arrived.
    fn try_recv(&mut self) -> Result<Option<ServerReply>, ClientError> {
        let reader = &mut self.frame_reader;
        // An error or the end of the stream appears again at the next wait for a reply.
        let _ = self.stream.try_read_with(|bytes| reader.push(bytes));
        self.decode_reply()
    }

    /// Returns the error of a reply that is not expected.
    pub(super) fn unexpected_reply(&self) -> ClientError {
        ClientError::UnexpectedReply { server: self.endpoint.to_string() }
    }

    fn decode_reply(&mut self) -> Result<Option<ServerReply>, ClientError> {
        loop {
            let frame = self.frame_reader.next_frame();
            let server = || self.endpoint.to_string();
            let frame =
                frame.map_err(|source| ClientError::Protocol { server: server(), source })?;
            return Ok(match frame {
                None => None,
                Some(Frame::Wait) => continue,
                Some(Frame::Answer { chunk_count, chunk_list_hash }) => {
                    Some(ServerReply::ResumeAt { chunk_count, chunk_list_hash })
                }
                Some(Frame::Stored(stored)) => {
                    Some(ServerReply::Stored { hash: stored.digest, name: stored.name.into() })
                }
                Some(Frame::Failed(failed)) => {
                    Some(ServerReply::Failed { code: failed.code, reason: failed.reason.into() })
                }
                Some(_) => return Err(ClientError::UnexpectedReply { server: server() }),
            });
        }
    }

    /// Waits for the next reply. Each `wait` frame restarts the time limit.
    pub(super) async fn recv(&mut self) -> Result<ServerReply, ClientError> {
        loop {
            if let Some(reply) = self.decode_reply()? {
                return Ok(reply);
            }
            let bytes = self.read().await?;
            if bytes.is_empty() {
                let server = self.endpoint.to_string();
                return Err(ClientError::Closed { server, phase: Some("before it replied") });
            }
            self.frame_reader.push(&bytes);
        }
    }

    /// Closes our side, and waits a moment for the server to close its side.
    pub(super) async fn close(self) {
        // All files were replied to, so an error here changes nothing.
        let _ = self.stream.close(CLOSE_TIMEOUT).await;
    }
}
