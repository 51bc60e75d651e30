//! This example shows how to reply to datagrams, and how a supervisor restarts a responder that
//! crashes. The client sees a second reply and nothing of the crash.
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

/// An actor that prints each reply, and crashes the responder after the first one.
async fn drill(mut ctx: Context<Report>, handle: Handle) -> Outcome {
    let mut replies = 0;
    while let Some(report) = ctx.recv().await {
        if let Report::Reply { text, .. } = report {
            println!("client: {text}");
            replies += 1;
            if replies == 1 {
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
    let drill_address = tree.child(Child::new("drill", move || {
        let handle = handle.clone();
        move |ctx| drill(ctx, handle)
    }));
    let reporter = Reporter::new(drill_address);
    let quota = Arc::new(ClientQuota::new(None));
    tree.child(Child::new("responder", move || {
        let reply = (*b"Hello UDP Client").into();
        UdpResponder::new(socket.clone(), reply, 1024, quota.clone(), Reporter::disabled())
    }));
    let schedule =
        Schedule { count: 2, interval: Duration::from_millis(50), timeout: Duration::from_secs(5) };
    let client = move || {
        let message = b"Hello UDP Server".to_vec();
        UdpClient::new(endpoint.clone(), message, 1024, schedule.clone(), reporter.clone())
    };
    tree.child(Child::new("client", client).temporary().significant());

    let print_crash = |event: &Lifecycle| match event {
        Lifecycle::Exited { exit, .. } if !exit.is_normal() => println!("{event}"),
        _ => {}
    };
    system.observe(print_crash).run(tree)?;
    Ok(())
}
