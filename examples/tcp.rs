//! This example shows how to greet each connection: a listener, a pool of greeters, and one client.
//!
//! Run it with `cargo run --example tcp`. It prints:
//!
//! ```text
//! client: Thank you for connecting
//! the tree ended: Finished
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sockactors::actors::{Greeter, Listener, Report, Reporter, Schedule, TcpClient};
use sockactors::net::ListeningSocket;
use sockactors::runtime::{Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// An actor that prints the greetings that the client receives.
async fn print(mut ctx: Context<Report>) -> Outcome {
    while let Some(report) = ctx.recv().await {
        if let Report::Reply { text, .. } = report {
            println!("client: {text}");
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The socket belongs to the tree. When the listener crashes, clients wait in the backlog.
    let any_port = "127.0.0.1:0".parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&any_port, 128))?);
    let endpoint = socket.endpoint().clone();

    let mut tree = Supervisor::new("tcp", Strategy::OneForOne);
    let reporter = Reporter::new(tree.child(Child::new("printer", || print)));
    let greeters = tree.pool(Pool::new("greeters").limit(100));
    tree.child(Child::new("listener", move || {
        let serve = |connection| {
            Greeter::new(connection, (*b"Thank you for connecting").into(), Reporter::disabled())
        };
        Listener::new(socket.clone(), greeters.clone(), serve)
    }));
    let schedule = Schedule { count: 1, interval: Duration::ZERO, timeout: Duration::from_secs(5) };
    let client = move || TcpClient::new(endpoint.clone(), schedule.clone(), reporter.clone());
    tree.child(Child::new("client", client).temporary().significant());

    let stop_reason = System::new().run(tree)?;
    println!("the tree ended: {stop_reason:?}");
    Ok(())
}
