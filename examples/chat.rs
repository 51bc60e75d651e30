//! This example shows how to run a chat room with two members in one process: Ada asks, Bob
//! answers.
//!
//! Run it with `cargo run --example chat`. It prints:
//!
//! ```text
//! bob receives: ada: are you there, bob?
//! ada receives: bob: always
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

/// Returns a member's reply to a line from the server, if there is one.
type ReplyFn = fn(&str) -> Option<&'static str>;

/// An actor that prints the lines that its member receives, and sends the member's replies.
async fn member(
    name: &'static str,
    reply: ReplyFn,
    client: Address<ChatInput>,
    mut ctx: Context<Report>,
) -> Outcome {
    while let Some(report) = ctx.recv().await {
        let Report::ChatLine(line) = report else { continue };
        if !line.starts_with('*') {
            println!("{name} receives: {line}");
        }
        if let Some(text) = reply(&line) {
            client.send(ChatInput::Line(text.into())).await?;
        }
    }
    Ok(())
}

/// Returns Ada's reply: a question once Bob is in the room, and `/quit` after his answer.
fn ada(line: &str) -> Option<&'static str> {
    match line {
        "* bob joined" | "* guest2 is now bob" => Some("are you there, bob?"),
        // Bob joined before her.
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
    let any_port = "127.0.0.1:0".parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&any_port, 128))?);
    let endpoint = socket.endpoint().clone();
    let registry = ChatRegistry::new("lobby");

    let mut tree = Supervisor::new("chat", Strategy::OneForOne);
    let manager = tree.child(Child::new("manager", move || RoomManager::new(registry.clone())));
    let sessions = tree.pool(Pool::new("sessions").limit(1024).mailbox(16));
    tree.child(Child::new("listener", move || {
        let (limits, reporter) = (SessionLimits::default(), Reporter::disabled());
        let config = Arc::new(SessionConfig::new(limits, manager.clone(), reporter));
        let serve = move |connection| ChatSession::new(connection, config.clone());
        Listener::new(socket.clone(), sessions.clone(), serve)
    }));

    // Client and member send to each other, so the client's address is created before either.
    for (name, reply) in [("ada", ada as ReplyFn), ("bob", bob)] {
        let client_address = Address::new(16);
        let to_client = client_address.clone();
        let member = Child::new(format!("{name}-member"), move || {
            let to_client = to_client.clone();
            move |ctx| member(name, reply, to_client, ctx)
        });
        let reporter = Reporter::new(tree.child(member));
        let endpoint = endpoint.clone();
        let client = Child::new(name, move || {
            let (endpoint, nick) = (endpoint.clone(), Some(name.into()));
            ChatClient::new(endpoint, nick, Duration::from_secs(5), reporter.clone())
        });
        let client = client.address(&client_address).temporary();
        tree.child(if name == "ada" { client.significant() } else { client });
    }

    System::new().run(tree)?;
    Ok(())
}
