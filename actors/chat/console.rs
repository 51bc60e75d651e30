//! The console of a chat server: operator commands typed at the server's own terminal.
//!
//! They need no password.

use std::time::Duration;

use crate::actors::chat::manager::request::RoomRequest;
use crate::actors::support::report::{Report, Reporter};
use crate::runtime::{Actor, Address, Context, Outcome};
use crate::wire::chat::command::{Command, parse};
use crate::wire::chat::operator_command;
use crate::wire::text::escape;

/// Timeout of a request to the room manager.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// A line that was typed at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine(pub String);

/// The actor that sends the console's commands to the room manager and reports the replies.
#[derive(Debug)]
pub struct ChatConsole {
    manager: Address<RoomRequest>,
    reporter: Reporter,
}

impl ChatConsole {
    /// Creates a console for a room manager.
    pub fn new(manager: Address<RoomRequest>, reporter: Reporter) -> ChatConsole {
        ChatConsole { manager, reporter }
    }

    /// Runs a command and returns the text to show.
    async fn run_command(&self, line: &str) -> String {
        let reply = match parse(line) {
            Command::OperatorLine(line) => {
                let request = |reply| RoomRequest::OperatorCommand(None, line.into(), reply);
                let reply = self.manager.ask(REPLY_TIMEOUT, request).await;
                let succeeded = matches!(reply, Ok(Ok(_)));
                let report = || Report::OperatorAction {
                    peer: None,
                    nick: None,
                    action: line.into(),
                    succeeded,
                };
                self.reporter.send(report).await;
                reply
            }
            Command::Rooms => self.manager.ask(REPLY_TIMEOUT, RoomRequest::Rooms).await,
            Command::Help => {
                let help =
                    operator_command::HELP.lines().chain(["/rooms             lists the rooms"]);
                return help.collect::<Vec<_>>().join("\n* ");
            }
            Command::Unknown(word) => {
                return format!("unknown command {}; /help lists the commands", escape(word));
            }
            _ => {
                return "this terminal takes operator commands only; /help lists them, Ctrl-C \
                        stops the server"
                    .into();
            }
        };
        match reply {
            Ok(Ok(text) | Err(text)) => text,
            Err(error) => format!("no reply from the room manager: {error}"),
        }
    }
}

impl Actor for ChatConsole {
    type Message = ConsoleLine;

    async fn run(self, mut ctx: Context<ConsoleLine>) -> Outcome {
        while let Some(ConsoleLine(line)) = ctx.recv().await {
            if line.trim().is_empty() {
                continue;
            }
            for line in format!("* {}", self.run_command(line.trim()).await).lines() {
                self.reporter.send(|| Report::ChatLine(line.into())).await;
            }
        }
        Ok(())
    }
}
