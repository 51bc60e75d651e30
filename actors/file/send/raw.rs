//! The raw sender, which sends files over one connection as the lecture's client does.
//!
//! The files arrive joined, without names. Their paths are given at the start, or arrive through
//! the mailbox from an actor that asks a user for them. A file that cannot be read is reported, and
//! the others are sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::actors::file::send::read_error::explain_io_error;
use crate::actors::support::write;
use crate::actors::{ClientError, Report, Reporter};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// The number of bytes that are read and written at a time.
const COPY_BUFFER_LEN: usize = 64 << 10;

/// The largest number of bytes that the kernel sends in one job, so that a file on a slow disk does
/// not hold up the blocking pool for long.
const MAX_SENDFILE: usize = 8 << 20;

/// The longest wait for the server to close its side after everything was sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of bytes from the server after which its close is not waited for.
const MAX_REPLY_LEN: usize = 64 << 10;

/// A message to a sender without files of its own.
#[derive(Debug)]
pub enum FileInput {
    /// Send this file.
    Path(PathBuf),
    /// No more files follow.
    End,
}

/// An actor that sends files over one connection as they are.
#[derive(Debug)]
pub struct RawSender {
    endpoint: Endpoint,
    /// The files to send. If it is empty, the paths come through the mailbox.
    files: Vec<PathBuf>,
    /// The file that is sent for `-`.
    stdin: Option<Arc<File>>,
    /// Whether unreadable files from the mailbox are only reported, and not failures.
    tolerate_errors: bool,
    timeout: Duration,
    reporter: Reporter,
}

impl RawSender {
    /// Creates a sender of `files`. If there are none, the paths come through the mailbox.
    ///
    /// `timeout` is the time limit of connecting and of each write.
    pub fn new(
        endpoint: Endpoint,
        files: Vec<PathBuf>,
        timeout: Duration,
        reporter: Reporter,
    ) -> RawSender {
        RawSender { endpoint, files, stdin: None, tolerate_errors: false, timeout, reporter }
    }

    /// Sets whether a path from the mailbox that cannot be read is only reported, and does not fail
    /// the actor. Use it if a user can correct the path.
    pub fn tolerate_errors(mut self, tolerate_errors: bool) -> RawSender {
        self.tolerate_errors = tolerate_errors;
        self
    }

    /// Sets the file that is sent for the path `-`.
    pub fn stdin(mut self, stdin: Option<Arc<File>>) -> RawSender {
        self.stdin = stdin;
        self
    }

    async fn connect(&self) -> Result<Arc<Stream>, ClientError> {
        Ok(Arc::new(Stream::connect(&self.endpoint, self.timeout).await?))
    }

    /// Sends the files that were given at the start, and returns the number of failures. Connects
    /// only if a file can be read.
    async fn send_files(&self, clock: &Clock) -> Result<usize, ClientError> {
        let mut failed = 0;
        let mut stream = None;
        for path in &self.files {
            let Some(file) = self.open_or_report(path).await else {
                failed += 1;
                continue;
            };
            if stream.is_none() {
                stream = Some(self.connect().await?);
            }
            if let Some(stream) = &stream {
                failed += usize::from(!self.send_file(clock, stream, path, file).await?);
            }
        }
        if let Some(stream) = stream {
            self.close(clock, stream).await?;
        }
        Ok(failed)
    }

    /// Sends the files whose paths come through the mailbox, and returns the number of failures.
    async fn send_from_mailbox(&self, ctx: &mut Context<FileInput>) -> Result<usize, ClientError> {
        let clock = ctx.clock().clone();
        let Some(stream) = ctx.unless_stopped(self.connect()).await else { return Ok(0) };
        let stream = stream?;
        let mut failed = 0;
        loop {
            self.reporter.send(|| Report::Ready).await;
            let Event::Message(FileInput::Path(path)) = ctx.next(future::pending::<()>()).await
            else {
                break;
            };
            if path.as_os_str().is_empty() {
                continue;
            }
            let send = async {
                match self.open_or_report(&path).await {
                    Some(file) => self.send_file(&clock, &stream, &path, file).await,
                    None => Ok(false),
                }
            };
            let Some(sent) = ctx.unless_stopped(send).await else { break };
            failed += usize::from(!sent?);
        }
        self.close(&clock, stream).await?;
        Ok(if self.tolerate_errors { 0 } else { failed })
    }

    /// Opens a file, or reports why it cannot be read.
    async fn open_or_report(&self, path: &Path) -> Option<File> {
        let stdin = self.stdin.clone().filter(|_| path.as_os_str() == "-");
        let owned_path = path.to_path_buf();
        let opened = smol::unblock(move || {
            if let Some(stdin) = stdin {
                return stdin.try_clone();
            }
            let file = File::open(owned_path)?;
            match file.metadata()?.is_dir() {
                true => Err(io::ErrorKind::IsADirectory.into()),
                false => Ok(file),
            }
        });
        match opened.await {
            Ok(file) => Some(file),
            Err(error) => {
                self.report_unreadable(path, &error).await;
                None
            }
        }
    }

    async fn report_unreadable(&self, path: &Path, error: &io::Error) {
        let reason = format!("{}: {}", path.display(), explain_io_error(error));
        self.reporter.send(|| Report::Warning { reason }).await;
    }

    /// Sends one file. If it cannot be read to its end, reports that and returns `false`.
    async fn send_file(
        &self,
        clock: &Clock,
        stream: &Arc<Stream>,
        path: &Path,
        file: File,
    ) -> Result<bool, ClientError> {
        let started_at = clock.now();
        let file = Arc::new(file);
        let mut bytes = self.send_zero_copy(clock, stream, &file).await?;
        let mut buffer = vec![0; COPY_BUFFER_LEN];
        loop {
            let (mut read_buffer, source) = (std::mem::take(&mut buffer), file.clone());
            let read = smol::unblock(move || {
                (&*source).read(&mut read_buffer).map(|length| (read_buffer, length))
            });
            let length;
            (buffer, length) = match read.await {
                Ok((_, 0)) => break,
                Ok(read) => read,
                Err(error) => {
                    self.report_unreadable(path, &error).await;
                    return Ok(false);
                }
            };
            self.write(clock, stream, &buffer[..length]).await?;
            bytes += length as u64;
        }
        let (name, elapsed) = (path.display().to_string(), clock.now() - started_at);
        let (blake3, stored_name) = (None, None);
        self.reporter
            .send(|| Report::FileSent {
                name,
                bytes,
                elapsed,
                blake3,
                stored_name,
                resumed_bytes: 0,
            })
            .await;
        Ok(true)
    }

    /// Lets the kernel send the file, and returns the number of bytes sent. The caller reads and
    /// writes the rest, and finds the error if there was one.
    async fn send_zero_copy(
        &self,
        clock: &Clock,
        stream: &Arc<Stream>,
        file: &Arc<File>,
    ) -> Result<u64, ClientError> {
        let mut bytes = 0;
        loop {
            let (job_stream, job_file) = (stream.clone(), file.clone());
            let (sent, end) = smol::unblock(move || try_sendfile(&job_stream, &job_file)).await;
            bytes += sent;
            match end {
                Ok(()) if sent == MAX_SENDFILE as u64 => {}
                Ok(()) => return Ok(bytes),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        let timed_out = || Err(io::ErrorKind::TimedOut.into());
                        let ready = clock.timeout(self.timeout, stream.writable()).await;
                        ready
                            .unwrap_or_else(timed_out)
                            .map_err(|error| self.client_error(error))?;
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

    async fn write(&self, clock: &Clock, stream: &Stream, bytes: &[u8]) -> Result<(), ClientError> {
        let written = write::write_all_with_timeout(clock, stream, self.timeout, bytes).await;
        written.map_err(|error| self.client_error(error))
    }

    /// Closes our side and waits up to a second for the server to close its side.
    ///
    /// A reset shows that the server did not read everything. A timeout shows nothing, because the
    /// lecture's server never replies.
    async fn close(&self, clock: &Clock, stream: Arc<Stream>) -> Result<(), ClientError> {
        let failed = |error| self.client_error(error);
        stream.shutdown_write().map_err(failed)?;
        let mut buffer = [0; 64];
        let closed = async {
            let mut received = 0;
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) => return Ok(()),
                    // The timeout is not seen while there is always something to read.
                    Ok(_) if received > MAX_REPLY_LEN => return Ok(()),
                    Ok(length) => received += length,
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        clock.timeout(CLOSE_TIMEOUT, closed).await.unwrap_or(Ok(()))
    }
}

/// Sends bytes of a file until the socket is full, the file ends or the limit of one job is
/// reached. Returns the number of bytes and the error that ended it.
fn try_sendfile(stream: &Stream, file: &File) -> (u64, io::Result<()>) {
    let mut sent = 0;
    while sent < MAX_SENDFILE {
        match stream.try_sendfile(file, MAX_SENDFILE - sent) {
            Ok(0) => break,
            Ok(count) => sent += count,
            Err(error) => return (sent as u64, Err(error)),
        }
    }
    (sent as u64, Ok(()))
}

impl Actor for RawSender {
    type Message = FileInput;

    async fn run(self, mut ctx: Context<FileInput>) -> Outcome {
        let failed = match self.files.is_empty() {
            true => Some(self.send_from_mailbox(&mut ctx).await?),
            false => {
                let clock = ctx.clock().clone();
                ctx.unless_stopped(self.send_files(&clock)).await.transpose()?
            }
        };
        match failed {
            Some(count @ 1..) => Err(ClientError::FilesFailed { count }.into()),
            _ => Ok(()),
        }
    }
}
