//! A simple chat on tokio, as in a tutorial, written with care.
//!
//! There is one task per connection on one thread, and one broadcast channel for the room. A
//! member's first line is its name, which is answered. Every other line is sent to the others as
//! `NAME: TEXT`. All pending lines are written before a flush. A line is encoded once and shared.
//! `TCP_NODELAY` is set. A member that lags is notified.
//!
//!     tokio_chat PORT

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// The capacity of the channel, as of a room of sockactors.
const LINES: usize = 4096;

/// The id of the sender, and the line.
type Message = (u64, Arc<str>);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(12345);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let (room, _) = broadcast::channel(LINES);
    let ids = AtomicU64::new(0);
    loop {
        let (stream, _) = listener.accept().await?;
        let (id, room) = (ids.fetch_add(1, Ordering::Relaxed), room.clone());
        tokio::spawn(async move {
            // An error means that the member has disconnected.
            let _ = serve(stream, id, room).await;
        });
    }
}

async fn serve(stream: TcpStream, id: u64, room: Sender<Message>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut writer = BufWriter::new(writer);
    let Some(name) = lines.next_line().await? else { return Ok(()) };
    let mut receiver = room.subscribe();
    writer.write_all(format!("* welcome, {name}\n").as_bytes()).await?;
    writer.flush().await?;
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                // There is always a receiver: this member's own.
                let _ = room.send((id, format!("{name}: {line}\n").into()));
            }
            message = receiver.recv() => {
                match message {
                    Ok(message) => write(&mut writer, id, &message).await?,
                    Err(RecvError::Lagged(missed)) => write_lag(&mut writer, missed).await?,
                    Err(RecvError::Closed) => return Ok(()),
                }
                drain(&mut writer, id, &mut receiver).await?;
            }
        }
    }
}

/// Writes all pending messages, then flushes.
async fn drain(
    writer: &mut BufWriter<OwnedWriteHalf>,
    id: u64,
    receiver: &mut Receiver<Message>,
) -> io::Result<()> {
    loop {
        match receiver.try_recv() {
            Ok(message) => write(writer, id, &message).await?,
            Err(TryRecvError::Lagged(missed)) => write_lag(writer, missed).await?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return writer.flush().await,
        }
    }
}

async fn write(
    writer: &mut BufWriter<OwnedWriteHalf>,
    id: u64,
    message: &Message,
) -> io::Result<()> {
    if message.0 == id { Ok(()) } else { writer.write_all(message.1.as_bytes()).await }
}

async fn write_lag(writer: &mut BufWriter<OwnedWriteHalf>, missed: u64) -> io::Result<()> {
    writer.write_all(format!("* you missed {missed} messages\n").as_bytes()).await
}
