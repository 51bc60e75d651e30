//! A plain chat on tokio: what a tutorial would show, written well.
//!
//! One task a connection on one thread, one broadcast channel for the room. A member's first line is its name,
//! which is answered; every other line is sent to the others as `NAME: TEXT`. Whatever is ready is written before the buffer is
//! flushed, a line is encoded once and shared, and small packets are not held back. A member that lags is told.
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

/// As many lines as a room of sockactors keeps.
const LINES: usize = 4096;

/// A line, and which member said it.
type Said = (u64, Arc<str>);

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
            // A member that is gone has nobody to tell.
            let _ = serve(stream, id, room).await;
        });
    }
}

async fn serve(stream: TcpStream, id: u64, room: Sender<Said>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut writer = BufWriter::new(writer);
    let Some(name) = lines.next_line().await? else { return Ok(()) };
    let mut ear = room.subscribe();
    writer.write_all(format!("* welcome, {name}\n").as_bytes()).await?;
    writer.flush().await?;
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                // There is always an ear: this member's own.
                let _ = room.send((id, format!("{name}: {line}\n").into()));
            }
            said = ear.recv() => {
                match said {
                    Ok(said) => write(&mut writer, id, &said).await?,
                    Err(RecvError::Lagged(missed)) => tell(&mut writer, missed).await?,
                    Err(RecvError::Closed) => return Ok(()),
                }
                drain(&mut writer, id, &mut ear).await?;
            }
        }
    }
}

/// Writes all that is there to hear, then flushes.
async fn drain(
    writer: &mut BufWriter<OwnedWriteHalf>,
    id: u64,
    ear: &mut Receiver<Said>,
) -> io::Result<()> {
    loop {
        match ear.try_recv() {
            Ok(said) => write(writer, id, &said).await?,
            Err(TryRecvError::Lagged(missed)) => tell(writer, missed).await?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return writer.flush().await,
        }
    }
}

async fn write(writer: &mut BufWriter<OwnedWriteHalf>, id: u64, said: &Said) -> io::Result<()> {
    if said.0 == id { Ok(()) } else { writer.write_all(said.1.as_bytes()).await }
}

async fn tell(writer: &mut BufWriter<OwnedWriteHalf>, missed: u64) -> io::Result<()> {
    writer.write_all(format!("* you missed {missed} messages\n").as_bytes()).await
}
