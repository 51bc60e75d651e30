//! The operator's console: the server's own terminal, where orders need no password.

use std::time::Duration;

use crate::actors::{Report, Reporter, RoomRequest};
use crate::runtime::{Actor, Address, Context, Outcome};
use crate::wire::chat::command::{Command, parse};
use crate::wire::chat::operator_command;
use crate::wire::text::escape;

/// How long the keeper of the rooms may take to answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a console is told: a line that the operator typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleLine(pub String);

/// The actor that passes an operator's orders on and tells what became of them.
#[derive(Debug)]
pub struct ChatConsole {
    manager: Address<RoomRequest>,
    reporter: Reporter,
}

impl ChatConsole {
    /// Makes the console of the rooms that `manager` keeps.
    pub fn new(room: Address<RoomRequest>, reporter: Reporter) -> ChatConsole {
        ChatConsole { manager: room, reporter }
    }

    async fn run_command(&self, line: &str) -> String {
        let answer = match parse(line) {
            Command::OperatorLine(line) => {
                self.manager
                    .ask(REPLY_TIMEOUT, |reply| {
                        RoomRequest::OperatorCommand(None, line.into(), reply)
                    })
                    .await
            }
            Command::Rooms => self.manager.ask(REPLY_TIMEOUT, RoomRequest::Rooms).await,
            Command::Help => {
                let help =
                    operator_command::HELP.lines().chain(["/rooms             lists the rooms"]);
                return help.collect::<Vec<_>>().join("\n* ");
            }
            Command::Unknown(word) => {
                return format!("there is no {}; /help lists the orders", escape(word));
            }
            _ => return "this is the server; /help lists its orders, Ctrl-C stops it".into(),
        };
        match answer {
            Ok(Ok(words) | Err(words)) => words,
            Err(error) => format!("the room does not answer: {error}"),
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
