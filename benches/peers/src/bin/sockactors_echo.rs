//! An echo server on sockactors: a listener, a pool, and one actor per connection.
//!
//!     sockactors_echo PORT

use std::error::Error;
use std::sync::Arc;

use sockactors::actors::{Connection, Listener};
use sockactors::net::ListeningSocket;
use sockactors::runtime::{Actor, Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// The size of a read, as in the other echo servers.
const BUFFER_SIZE: usize = 1024;

/// Echoes the bytes of a connection.
struct Echo(Connection);

impl Actor for Echo {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let stream = self.0.stream;
        let mut buf = [0; BUFFER_SIZE];
        // The client sends nothing before it has read the echo, so wait before each read.
        while let Some(ready) = ctx.unless_stopped(stream.readable()).await {
            ready?;
            match stream.read(&mut buf).await? {
                0 => break,
                length => stream.write_all(&buf[..length]).await?,
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).unwrap_or_default();
    let endpoint = format!("127.0.0.1:{port}").parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&endpoint, 128))?);
    let mut tree = Supervisor::new("echo", Strategy::OneForOne);
    let echoes = tree.pool(Pool::new("echoes").limit(1000));
    tree.child(Child::new("listener", move || Listener::new(socket.clone(), echoes.clone(), Echo)));
    System::new().run(tree)?;
    Ok(())
}
