//! This example shows how to build a pipeline: UDP datagrams pass a stage of your own into a file.
//!
//! The source reads datagrams, the stage formats each as a line with its length, and the sink
//! appends the lines to a file. Each is a small actor with a bounded mailbox, so a slow disk slows
//! the source. The stage crashes at the empty datagram. Its supervisor restarts it for the next
//! one.
//!
//! Run it with `cargo run --example pipeline`. It prints:
//!
//! ```text
//! 5 hello
//! 5 actor
//! ```

use std::error::Error;
use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs, process};

use sockactors::net::DatagramSocket;
use sockactors::runtime::{
    Actor, Address, Child, Context, Event, Outcome, Strategy, Supervisor, System,
};

/// An actor that reads datagrams and sends them to the next stage.
struct Source {
    socket: Arc<DatagramSocket>,
    next: Address<Vec<u8>>,
}

impl Actor for Source {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let mut buf = [0; 1024];
        loop {
            match ctx.next(self.socket.recv_from(&mut buf)).await {
                Event::Stop => return Ok(()),
                Event::Message(()) => {}
                Event::Io(datagram) => self.next.send(buf[..datagram?.0].to_vec()).await?,
            }
        }
    }
}

/// Runs the stage: formats each datagram from the mailbox and sends the line to `next`.
async fn measure(mut ctx: Context<Vec<u8>>, next: Address<String>) -> Outcome {
    while let Some(bytes) = ctx.recv().await {
        assert!(!bytes.is_empty(), "the datagram is empty");
        next.send(format!("{} {}\n", bytes.len(), String::from_utf8_lossy(&bytes))).await?;
    }
    Ok(())
}

/// An actor that appends lines to a file, and ends after a number of lines.
struct Sink {
    path: PathBuf,
    lines: usize,
}

impl Actor for Sink {
    type Message = String;

    async fn run(self, mut ctx: Context<String>) -> Outcome {
        let path = self.path.clone();
        let open = move || fs::OpenOptions::new().create(true).append(true).open(path);
        let mut file = smol::unblock(open).await?;
        for _ in 0..self.lines {
            let Some(line) = ctx.recv().await else { break };
            file = smol::unblock(move || file.write_all(line.as_bytes()).map(|()| file)).await?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::temp_dir().join(format!("sockactors-pipeline-{}", process::id()));
    let socket = Arc::new(smol::block_on(DatagramSocket::bind(&"127.0.0.1:0".parse()?))?);
    let server = socket.endpoint().to_string();

    let mut tree = Supervisor::new("pipeline", Strategy::OneForOne);
    let sink_path = path.clone();
    let sink = Child::new("sink", move || Sink { path: sink_path.clone(), lines: 2 });
    let sink = tree.child(sink.transient().significant());
    let stage = tree.child(Child::new("stage", move || {
        let sink = sink.clone();
        move |ctx| measure(ctx, sink)
    }));
    tree.child(Child::new("source", move || Source {
        socket: socket.clone(),
        next: stage.clone(),
    }));

    let client = UdpSocket::bind("127.0.0.1:0")?;
    for datagram in ["hello", "", "actor"] {
        client.send_to(datagram.as_bytes(), &server)?;
    }
    System::new().run(tree)?;
    print!("{}", fs::read_to_string(&path)?);
    fs::remove_file(path)?;
    Ok(())
}
