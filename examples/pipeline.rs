//! This example shows a pipeline of your own: UDP datagrams, through a stage that you wrote, into a file.
//!
//! The source reads datagrams, the stage makes each a line with its length, and the sink appends the lines
//! to a file. Each is a small actor with a bounded mailbox, so a slow disk holds back the source. The
//! stage crashes at its first empty datagram, and is there for the next one.
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

/// Reads datagrams and passes them on.
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

/// The stage: any function of a message, with a mailbox before it and an address behind it.
async fn measure(mut ctx: Context<Vec<u8>>, next: Address<String>) -> Outcome {
    while let Some(bytes) = ctx.recv().await {
        assert!(!bytes.is_empty(), "nothing to measure");
        next.send(format!("{} {}\n", bytes.len(), String::from_utf8_lossy(&bytes))).await?;
    }
    Ok(())
}

/// Appends lines to a file; the tree ends with it after so many.
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
    let port = socket.endpoint().to_string();

    let mut tree = Supervisor::new("pipeline", Strategy::OneForOne);
    let stored = path.clone();
    let sink = Child::new("sink", move || Sink { path: stored.clone(), lines: 2 });
    let sink = tree.child(sink.transient().significant());
    let stage = tree.child(Child::new("stage", move || {
        let sink = sink.clone();
        move |ctx| measure(ctx, sink)
    }));
    tree.child(Child::new("source", move || Source {
        socket: socket.clone(),
        next: stage.clone(),
    }));

    let sender = UdpSocket::bind("127.0.0.1:0")?;
    for datagram in ["hello", "", "actor"] {
        sender.send_to(datagram.as_bytes(), &port)?;
    }
    System::new().run(tree)?;
    print!("{}", fs::read_to_string(&path)?);
    fs::remove_file(path)?;
    Ok(())
}
