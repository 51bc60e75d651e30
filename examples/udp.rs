//! This example shows how to answer datagrams, and what happens when the responder crashes: its supervisor
//! restarts it, and the client only notices a second answer.
//!
//! Run it with `cargo run --example udp`. It prints:
//!
//! ```text
//! client: Hello UDP Client
//! udp/responder panicked at ...: crashed on request
//! client: Hello UDP Client
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sockactors::actors::{ClientQuota, Report, Reporter, Schedule, UdpClient, UdpResponder};
use sockactors::net::DatagramSocket;
use sockactors::runtime::{
    Child, Context, Handle, Lifecycle, Outcome, Strategy, Supervisor, System,
};

/// An actor that prints each answer, and crashes the responder after the first.
async fn drill(mut ctx: Context<Report>, handle: Handle) -> Outcome {
    let mut answers = 0;
    while let Some(report) = ctx.recv().await {
        if let Report::Reply { text, .. } = report {
            println!("client: {text}");
            answers += 1;
            if answers == 1 {
                handle.crash("responder");
            }
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let socket = Arc::new(smol::block_on(DatagramSocket::bind(&"127.0.0.1:0".parse()?))?);
    let endpoint = socket.endpoint().clone();
    let system = System::new();
    let handle = system.handle();

    let mut tree = Supervisor::new("udp", Strategy::OneForOne);
    let driller = tree.child(Child::new("driller", move || {
        let handle = handle.clone();
        move |ctx| drill(ctx, handle)
    }));
    let answers = Reporter::new(driller);
    let admissions = Arc::new(ClientQuota::new(None));
    tree.child(Child::new("responder", move || {
        let reply = (*b"Hello UDP Client").into();
        UdpResponder::new(socket.clone(), reply, 1024, admissions.clone(), Reporter::disabled())
    }));
    let pace =
        Schedule { count: 2, interval: Duration::from_millis(50), timeout: Duration::from_secs(5) };
    let client = move || {
        let message = b"Hello UDP Server".to_vec();
        UdpClient::new(endpoint.clone(), message, 1024, pace.clone(), answers.clone())
    };
    tree.child(Child::new("client", client).temporary().significant());

    let crashes = |event: &Lifecycle| match event {
        Lifecycle::Exited { exit, .. } if !exit.is_normal() => println!("{event}"),
        _ => {}
    };
    system.observe(crashes).run(tree)?;
    Ok(())
}
