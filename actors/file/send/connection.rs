//! The client's side of a framed connection: it sends frames and receives replies.
//!
//! The time limit applies to each step: to connecting, to each write and to each reply. A server
//! that works longer on a file sends `wait` frames. Each of them restarts the limit, up to
//! [`MAX_REPLY_TIME`] in total, so a server cannot occupy a client for ever.

use std::time::{Duration, Instant};

use crate::actors::ClientError;
use crate::actors::support::write;
use crate::net::{Endpoint, Stream};
use crate::runtime::Clock;
use crate::time::deadline_after;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{
    DataFrames, Frame, FrameError, FrameReader, FrameWriter, client_hello, parse_server_hello,
};

/// The number of bytes read at a time. A server sends little.
const READ_SIZE: usize = 4 << 10;

/// The time limit of a reply that `wait` frames announce, unless that of a step is longer.
const MAX_REPLY_TIME: Duration = Duration::from_secs(15 * 60);

/// The maximum number of `wait` frames before a reply. A server sends one per second.
const MAX_WAIT_FRAMES: u32 = 10_000;

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

/// A frame of the server.
enum ServerFrame {
    Reply(ServerReply),
    /// The server still works on the file.
    Wait,
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
        FramedConnection::handshake(stream, clock, endpoint, timeout).await
    }

    /// Checks that the server at the other end of a stream speaks the protocol.
    pub(super) async fn handshake(
        stream: Stream,
        clock: &Clock,
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<FramedConnection, ClientError> {
        let mut connection = FramedConnection {
            stream,
            clock: clock.clone(),
            endpoint: endpoint.clone(),
            timeout,
            frame_reader: FrameReader::default(),
            frame_writer: FrameWriter::default(),
        };
        connection.write(&client_hello()).await?;
        let deadline = deadline_after(clock.now(), timeout);
        let mut received = Vec::new();
        loop {
            let hello = parse_server_hello(&received);
            match hello.map_err(|source| connection.handshake_error(source))? {
                Some((length, _)) => {
                    connection.frame_reader.push(&received[length..]);
                    return Ok(connection);
                }
                None => {
                    let is_silent = received.is_empty();
                    received.extend(connection.read_handshake(deadline, is_silent).await?);
                }
            }
        }
    }

    /// Reads a part of the server's hello. A server that closes or sends nothing does not speak the
    /// protocol.
    async fn read_handshake(
        &self,
        deadline: Instant,
        is_silent: bool,
    ) -> Result<Vec<u8>, ClientError> {
        let not_file_protocol =
            |timeout| ClientError::NotFileProtocol { server: self.endpoint.to_string(), timeout };
        match self.read(deadline).await {
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

    /// Sends an offer and waits for the reply.
    pub(super) async fn request(&mut self, offer: &Frame<'_>) -> Result<ServerReply, ClientError> {
        self.read_available();
        while let Some(frame) = self.decode_frame()? {
            // A `failed` frame belongs to the item before, which the server may reject at any time.
            match frame {
                ServerFrame::Wait | ServerFrame::Reply(ServerReply::Failed { .. }) => {}
                ServerFrame::Reply(_) => return Err(self.unexpected_reply()),
            }
        }
        self.send_frame(offer).await?;
        self.recv().await
    }

    /// Sends one frame.
    pub(super) async fn send_frame(&mut self, frame: &Frame<'_>) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        self.frame_writer.write(frame, &mut bytes);
        self.write(&bytes).await
    }

    /// Reads bytes until `deadline`.
    async fn read(&self, deadline: Instant) -> Result<Vec<u8>, ClientError> {
        let mut bytes = vec![0; READ_SIZE];
        let remaining = deadline.saturating_duration_since(self.clock.now());
        let read = self.clock.timeout(remaining, self.stream.read(&mut bytes)).await;
        let timed_out =
            || ClientError::TimedOut { server: self.endpoint.to_string(), limit: self.timeout };
        let length = read.ok_or_else(timed_out)?;
        bytes.truncate(length.map_err(|e| ClientError::from_io(e, &self.endpoint, self.timeout))?);
        Ok(bytes)
    }

    /// Reads the bytes that have arrived, up to the size of one buffer.
    fn read_available(&mut self) {
        let reader = &mut self.frame_reader;
        // An error or the end of the stream appears again at the next wait for a reply.
        let _ = self.stream.try_read_with(|bytes| reader.push(bytes));
    }

    /// Returns the server's reply if one has arrived.
    fn try_recv(&mut self) -> Result<Option<ServerReply>, ClientError> {
        self.read_available();
        loop {
            match self.decode_frame()? {
                Some(ServerFrame::Reply(reply)) => return Ok(Some(reply)),
                Some(ServerFrame::Wait) => {}
                None => return Ok(None),
            }
        }
    }

    /// Returns the error of a frame that is not expected.
    pub(super) fn unexpected_reply(&self) -> ClientError {
        ClientError::UnexpectedReply { server: self.endpoint.to_string() }
    }

    fn decode_frame(&mut self) -> Result<Option<ServerFrame>, ClientError> {
        let server = || self.endpoint.to_string();
        let frame = self.frame_reader.next_frame_with(DataFrames::Reject);
        let frame = frame.map_err(|source| ClientError::Protocol { server: server(), source })?;
        let Some(frame) = frame else { return Ok(None) };
        let reply = match frame {
            Frame::Wait => return Ok(Some(ServerFrame::Wait)),
            Frame::Answer { chunk_count, chunk_list_hash } => {
                ServerReply::ResumeAt { chunk_count, chunk_list_hash }
            }
            Frame::Stored(stored) => {
                ServerReply::Stored { hash: stored.digest, name: stored.name.into() }
            }
            Frame::Failed(failed) => {
                ServerReply::Failed { code: failed.code, reason: failed.reason.into() }
            }
            _ => return Err(ClientError::UnexpectedReply { server: server() }),
        };
        Ok(Some(ServerFrame::Reply(reply)))
    }

    /// Waits for the next reply. Each `wait` frame restarts the time limit, up to
    /// [`MAX_REPLY_TIME`] in total.
    pub(super) async fn recv(&mut self) -> Result<ServerReply, ClientError> {
        let started_at = self.clock.now();
        let max_time = self.timeout.max(MAX_REPLY_TIME);
        let last_deadline = deadline_after(started_at, max_time);
        let mut deadline = deadline_after(started_at, self.timeout);
        let mut wait_frames = 0;
        loop {
            while let Some(frame) = self.decode_frame()? {
                match frame {
                    ServerFrame::Reply(reply) => return Ok(reply),
                    ServerFrame::Wait if wait_frames == MAX_WAIT_FRAMES => {
                        return Err(self.unexpected_reply());
                    }
                    ServerFrame::Wait => wait_frames += 1,
                }
                deadline = deadline_after(self.clock.now(), self.timeout).min(last_deadline);
            }
            if self.clock.now() >= last_deadline {
                let server = self.endpoint.to_string();
                return Err(ClientError::NoResult { server, limit: max_time });
            }
            let bytes = match self.read(deadline).await {
                Err(ClientError::TimedOut { .. }) if deadline == last_deadline => continue,
                read => read?,
            };
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
