//! The file sender: sends files over one connection, one behind the other, as the lecture's client does.
//!
//! The names are given at the start, or come one by one through the mailbox from whoever asks a person for
//! them. A name that cannot be read is told, and the others are sent all the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::file::send::walk::explain_io_error;
use crate::actors::support::write;
use crate::actors::{ClientError, Report, Reporter};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// The bytes that are read and written at a time.
const COPY_BUFFER_LEN: usize = 64 << 10;

/// The bytes that the kernel sends in one go at most, so that a file whose disk is slow holds up no others for long.
const MAX_SENDFILE: usize = 8 << 20;

/// How long the server may take to end its side once everything is sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a file sender is told.
#[derive(Debug)]
pub enum FileInput {
    /// Send this file.
    Path(PathBuf),
    /// There are no more names.
    End,
}

/// Sends files over one connection.
#[derive(Debug)]
pub struct RawSender {
    endpoint: Endpoint,
    /// Empty: the names come through the mailbox.
    files: Vec<PathBuf>,
    /// What is sent for `-`.
    stdin: Option<Arc<File>>,
    /// Whether a bad name is asked for again rather than a failure.
    tolerate_errors: bool,
    timeout: Duration,
    reporter: Reporter,
}

impl RawSender {
    /// Makes a sender of `files`; where there are none, the names come through the mailbox.
    ///
    /// The server may take `timeout` to accept the connection, and each time to take a chunk.
    pub fn new(
        endpoint: Endpoint,
        files: Vec<PathBuf>,
        timeout: Duration,
        reporter: Reporter,
    ) -> RawSender {
        RawSender { endpoint, files, stdin: None, tolerate_errors: false, timeout, reporter }
    }

    /// Sets whether a bad name is something that a person will correct: it is told, and does not fail the role.
    pub fn tolerate_errors(mut self, forgiving: bool) -> RawSender {
        self.tolerate_errors = forgiving;
        self
    }

    /// Sets what is sent for the file `-`.
    pub fn stdin(mut self, stdin: Option<Arc<File>>) -> RawSender {
        self.stdin = stdin;
        self
    }

    async fn connect(&self) -> Result<Arc<Stream>, ClientError> {
        Ok(Arc::new(Stream::connect(&self.endpoint, self.timeout).await?))
    }

    /// Sends the files that were given at the start. Without one that can be read there is no connection.
    async fn send_files(&self, clock: &Clock) -> Result<usize, ClientError> {
        let mut bad = 0;
        let mut stream = None;
        for path in &self.files {
            let Some(file) = self.open_or_report(path).await else {
                bad += 1;
                continue;
            };
            if stream.is_none() {
                stream = Some(self.connect().await?);
            }
            if let Some(stream) = &stream {
                bad += usize::from(!self.send_file(clock, stream, path, file).await?);
            }
        }
        if let Some(stream) = stream {
            self.close(clock, stream).await?;
        }
        Ok(bad)
    }

    /// Sends the files whose names come through the mailbox.
    async fn send_from_mailbox(&self, ctx: &mut Context<FileInput>) -> Result<usize, ClientError> {
        let clock = ctx.clock().clone();
        let Some(stream) = ctx.unless_stopped(self.connect()).await else { return Ok(0) };
        let stream = stream?;
        let mut bad = 0;
        loop {
            self.reporter.send(|| Report::Ready).await;
            let Event::Message(FileInput::Path(path)) = ctx.next(future::pending::<()>()).await
            else {
                break;
            };
            if path.as_os_str().is_empty() {
                continue;
            }
            let sent = async {
                match self.open_or_report(&path).await {
                    Some(file) => self.send_file(&clock, &stream, &path, file).await,
                    None => Ok(false),
                }
            };
            let Some(sent) = ctx.unless_stopped(sent).await else { break };
            bad += usize::from(!sent?);
        }
        self.close(&clock, stream).await?;
        Ok(if self.tolerate_errors { 0 } else { bad })
    }

    /// Opens a file, or tells why it cannot be read.
    async fn open_or_report(&self, path: &Path) -> Option<File> {
        let opened = path.to_path_buf();
        let stdin = self.stdin.clone().filter(|_| path.as_os_str() == "-");
        let result = smol::unblock(move || {
            if let Some(stdin) = stdin {
                return stdin.try_clone();
            }
            let file = File::open(opened)?;
            match file.metadata()?.is_dir() {
                true => Err(io::ErrorKind::IsADirectory.into()),
                false => Ok(file),
            }
        });
        match result.await {
            Ok(file) => Some(file),
            Err(error) => {
                self.report_unreadable(path, &error).await;
                None
            }
        }
    }

    async fn report_unreadable(&self, path: &Path, error: &io::Error) {
        let why = format!("{}: {}", path.display(), explain_io_error(error));
        self.reporter.send(|| Report::Warning { reason: why }).await;
    }

    /// Sends one file; tells, and returns `false`, where it can be read no further.
    async fn send_file(
        &self,
        clock: &Clock,
        stream: &Arc<Stream>,
        path: &Path,
        file: File,
    ) -> Result<bool, ClientError> {
        let begun = clock.now();
        let file = Arc::new(file);
        let mut bytes = self.send_zero_copy(clock, stream, &file).await?;
        let mut chunk = vec![0; COPY_BUFFER_LEN];
        loop {
            let (read, from) = (std::mem::take(&mut chunk), file.clone());
            let read = smol::unblock(move || {
                let mut chunk = read;
                (&*from).read(&mut chunk).map(|length| (chunk, length))
            });
            let length;
            (chunk, length) = match read.await {
                Ok((_, 0)) => break,
                Ok(read) => read,
                Err(error) => {
                    self.report_unreadable(path, &error).await;
                    return Ok(false);
                }
            };
            self.write(clock, stream, &chunk[..length]).await?;
            bytes += length as u64;
        }
        let (name, took) = (path.display().to_string(), clock.now() - begun);
        let (blake3, stored) = (None, None);
        self.reporter
            .send(|| Report::FileSent { name, bytes, elapsed: took, blake3, stored_name: stored })
            .await;
        Ok(true)
    }

    /// Lets the kernel send a file as far as it will; what is left, and what fails, is for whoever reads and writes.
    async fn send_zero_copy(
        &self,
        clock: &Clock,
        stream: &Arc<Stream>,
        file: &Arc<File>,
    ) -> Result<u64, ClientError> {
        let mut bytes = 0;
        loop {
            let (to, from) = (stream.clone(), file.clone());
            let (sent, end) = smol::unblock(move || try_sendfile(&to, &from)).await;
            bytes += sent;
            match end {
                Ok(()) if sent == MAX_SENDFILE as u64 => {}
                Ok(()) => return Ok(bytes),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        let late = || Err(io::ErrorKind::TimedOut.into());
                        let ready = clock.timeout(self.timeout, stream.writable()).await;
                        ready.unwrap_or_else(late).map_err(|error| self.client_error(error))?;
                    }
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        return Err(self.client_error(error));
                    }
                    _ => return Ok(bytes),
                },
            }
        }
    }

    fn client_error(&self, error: io::Error) -> ClientError {
        ClientError::from_io(error, &self.endpoint, self.timeout)
    }

    async fn write(&self, clock: &Clock, stream: &Stream, chunk: &[u8]) -> Result<(), ClientError> {
        let written = write::write_all_with_timeout(clock, stream, self.timeout, chunk).await;
        written.map_err(|error| self.client_error(error))
    }

    /// Ends the stream and waits a moment for the server's end: a reset tells that it did not
    /// take everything. Silence tells nothing, since the lecture's server never speaks.
    async fn close(&self, clock: &Clock, stream: Arc<Stream>) -> Result<(), ClientError> {
        let broken = |error| self.client_error(error);
        stream.shutdown_write().map_err(broken)?;
        let mut buf = [0; 64];
        let end = async {
            loop {
                match stream.read(&mut buf).await {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => return Err(broken(error)),
                }
            }
        };
        clock.timeout(CLOSE_TIMEOUT, end).await.unwrap_or(Ok(()))
    }
}

/// Sends bytes of a file until there is no room, no more, or enough for once; tells how many, and what ended it.
fn try_sendfile(stream: &Stream, file: &File) -> (u64, io::Result<()>) {
    let mut sent = 0;
    while sent < MAX_SENDFILE {
        match stream.try_sendfile(file, MAX_SENDFILE - sent) {
            Ok(0) => break,
            Ok(more) => sent += more,
            Err(error) => return (sent as u64, Err(error)),
        }
    }
    (sent as u64, Ok(()))
}

impl Actor for RawSender {
    type Message = FileInput;

    async fn run(self, mut ctx: Context<FileInput>) -> Outcome {
        let bad = match self.files.is_empty() {
            true => Some(self.send_from_mailbox(&mut ctx).await?),
            false => {
                let clock = ctx.clock().clone();
                ctx.unless_stopped(self.send_files(&clock)).await.transpose()?
            }
        };
        match bad {
            Some(count @ 1..) => Err(ClientError::FilesFailed { count }.into()),
            _ => Ok(()),
        }
    }
}
