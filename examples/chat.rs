//! This example shows how to run a chat room with two members in one process: Ada asks, Bob answers.
//!
//! Run it with `cargo run --example chat`. It prints:
//!
//! ```text
//! bob hears: ada: are you there, bob?
//! ada hears: bob: always
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sockactors::actors::{
    ChatClient, ChatInput, ChatRegistry, ChatSession, Listener, Report, Reporter, RoomManager,
    SessionConfig, SessionLimits,
};
use sockactors::net::ListeningSocket;
use sockactors::runtime::{Address, Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// An actor that prints what its member hears from others, and says its part when it is time.
async fn member(
    name: &'static str,
    part: fn(&str) -> Option<&'static str>,
    says: Address<ChatInput>,
    mut ctx: Context<Report>,
) -> Outcome {
    while let Some(report) = ctx.recv().await {
        let Report::ChatLine(line) = report else { continue };
        if !line.starts_with('*') {
            println!("{name} hears: {line}");
        }
        if let Some(text) = part(&line) {
            says.send(ChatInput::Line(text.into())).await?;
        }
    }
    Ok(())
}

/// Ada speaks first, once Bob is there, and leaves when he has answered.
fn ada(line: &str) -> Option<&'static str> {
    match line {
        "* bob joined" | "* guest2 is now bob" => Some("are you there, bob?"),
        // He may be the quicker one.
        line if line.starts_with("* you are ada in lobby, with 1 other;") => {
            Some("are you there, bob?")
        }
        "bob: always" => Some("/quit"),
        _ => None,
    }
}

fn bob(line: &str) -> Option<&'static str> {
    (line == "ada: are you there, bob?").then_some("always")
}

fn main() -> Result<(), Box<dyn Error>> {
    let anywhere = "127.0.0.1:0".parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&anywhere, 128))?);
    let endpoint = socket.endpoint().clone();
    let hall = ChatRegistry::new("lobby");

    let mut tree = Supervisor::new("chat", Strategy::OneForOne);
    let room = tree.child(Child::new("room", move || RoomManager::new(hall.clone())));
    let sessions = tree.pool(Pool::new("sessions").limit(1024).mailbox(16));
    tree.child(Child::new("listener", move || {
        let (limits, reporter) = (SessionLimits::default(), Reporter::disabled());
        let with = Arc::new(SessionConfig { limits, manager: room.clone(), reporter });
        let serve = move |connection| ChatSession::new(connection, with.clone());
        Listener::new(socket.clone(), sessions.clone(), serve)
    }));

    // A circle: the client reports to its member, and the member speaks through the client.
    for (name, part) in [("ada", ada as fn(&str) -> Option<&'static str>), ("bob", bob)] {
        let says = Address::new(16);
        let to_client = says.clone();
        let member = Child::new(format!("{name}-member"), move || {
            let says = to_client.clone();
            move |ctx| member(name, part, says, ctx)
        });
        let reporter = Reporter::new(tree.child(member));
        let endpoint = endpoint.clone();
        let client = Child::new(name, move || {
            let (endpoint, nick) = (endpoint.clone(), Some(name.into()));
            ChatClient::new(endpoint, nick, Duration::from_secs(5), reporter.clone())
        });
        let client = client.address(&says).temporary();
        tree.child(if name == "ada" { client.significant() } else { client });
    }

    System::new().run(tree)?;
    Ok(())
}
