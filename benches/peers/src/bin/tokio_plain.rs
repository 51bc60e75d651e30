//! A greeter and an echo server on tokio, as in its documentation: an accept loop, and one task per
//! connection.
//!
//! There is one thread, since the measurement uses one CPU.
//!
//!     tokio_plain greet|echo PORT

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [what, port] = args.as_slice() else {
        return Err(io::Error::other("tokio_plain greet|echo PORT"));
    };
    let port = port.parse().map_err(io::Error::other)?;
    match what.as_str() {
        "greet" => accept(port, greet).await,
        _ => accept(port, echo).await,
    }
}

async fn accept<F>(port: u16, serve: fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // An error means that the client has disconnected.
            let _ = serve(stream).await;
        });
    }
}

async fn greet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"Thank you for connecting").await
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            length => stream.write_all(&buf[..length]).await?,
        }
    }
}
