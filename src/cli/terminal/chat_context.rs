//! The state of the chat at a terminal: the person's nickname and room, and the other members.
//!
//! It is read from the lines that are shown, so no extra requests are needed. It provides the
//! prompt, and the nicknames for completion with Tab.

use std::collections::BTreeMap;

use crate::wire::chat::command::HELP;
use crate::wire::chat::notice::{Notice, parse_notice};

/// The maximum number of members. Beyond it, the least recently seen one is forgotten.
const MAX_NAMES: usize = 512;

/// The state of the chat.
#[derive(Debug, Default)]
pub struct ChatContext {
    nick: Option<String>,
    room: Option<String>,
    /// The other members by lower-case nickname: when each was last seen, and the nickname.
    members: BTreeMap<String, (u64, String)>,
    /// The time of `members`: it advances by one for each nickname seen.
    sequence: u64,
}

impl ChatContext {
    /// Updates the state from a line that is shown.
    pub fn update(&mut self, line: &str) {
        match parse_notice(line) {
            Notice::Welcome { nick, room, .. } => {
                self.nick = Some(nick.into());
                self.room = Some(room.into());
                self.members.clear();
            }
            Notice::SelfRenamed(nick) => self.nick = Some(nick.into()),
            Notice::SelfLeft => {
                self.room = None;
                self.members.clear();
            }
            Notice::Message(nick) | Notice::DirectMessage(nick) => self.touch(nick),
            Notice::MembersLeft(nicks) => nicks.iter().for_each(|nick| {
                self.members.remove(&nick.to_ascii_lowercase());
            }),
            Notice::MemberRenamed { old, new } => {
                self.members.remove(&old.to_ascii_lowercase());
                self.touch(new);
            }
            Notice::MemberList(nicks) | Notice::MembersJoined(nicks) => {
                nicks.iter().for_each(|nick| self.touch(nick));
            }
            Notice::Info | Notice::Disconnected | Notice::Unrecognized => {}
        }
    }

    /// Marks a nickname as seen.
    fn touch(&mut self, nick: &str) {
        if self.nick.as_deref() == Some(nick) {
            return;
        }
        self.sequence += 1;
        self.members.insert(nick.to_ascii_lowercase(), (self.sequence, nick.into()));
        if self.members.len() > MAX_NAMES {
            let oldest = self.members.iter().min_by_key(|(_, (seen, _))| *seen);
            let oldest = oldest.map(|(key, _)| key.clone()).unwrap_or_default();
            self.members.remove(&oldest);
        }
    }

    /// Returns the prompt: `ada@lobby> `.
    pub fn prompt(&self) -> String {
        match (&self.nick, &self.room) {
            (Some(nick), Some(room)) => format!("{nick}@{room}> "),
            (Some(nick), None) => format!("{nick}> "),
            (None, _) => "> ".into(),
        }
    }

    /// Returns the completions of the word before the cursor: its start, and the candidates.
    pub fn complete(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let word = line[start..].to_ascii_lowercase();
        if start == 0 && word.starts_with('/') {
            let commands = HELP.lines().filter_map(|line| line.split(' ').next());
            let commands = commands.filter(|command| command.starts_with(&word));
            return (0, commands.map(|command| format!("{command} ")).collect());
        }
        let end = if start == 0 { ": " } else { " " };
        let mut nicks: Vec<_> = self
            .members
            .range(word.clone()..)
            .take_while(|(key, _)| key.starts_with(&word))
            .collect();
        // The member that was seen last comes first.
        nicks.sort_by_key(|(_, (seen, _))| std::cmp::Reverse(*seen));
        (start, nicks.into_iter().map(|(_, (_, nick))| format!("{nick}{end}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context_after(lines: &[&str]) -> ChatContext {
        let mut context = ChatContext::default();
        lines.iter().for_each(|line| context.update(line));
        context
    }

    const WELCOME: &str = "* you are ada in lobby, with 2 others; /help lists the commands";

    #[test]
    fn prompt_shows_nickname_and_room() {
        assert_eq!(context_after(&[]).prompt(), "> ");
        assert_eq!(context_after(&[WELCOME]).prompt(), "ada@lobby> ");
        assert_eq!(context_after(&[WELCOME, "* you are now eve"]).prompt(), "eve@lobby> ");
        let out = "* you left lobby; /join ROOM goes to another one";
        assert_eq!(context_after(&[WELCOME, out]).prompt(), "ada> ");
        assert_eq!(context_after(&[WELCOME, "eve: * you are now x"]).prompt(), "ada@lobby> ");
    }

    #[test]
    fn nicknames_of_members_are_completed() {
        let context =
            context_after(&[WELCOME, "* in lobby: ada, bob, bill and 3 others", "* Bo joined"]);
        assert_eq!(
            context.complete("b"),
            (0, vec!["Bo: ".into(), "bill: ".into(), "bob: ".into()])
        );
        assert_eq!(context.complete("hello bo"), (6, vec!["Bo ".into(), "bob ".into()]));
        assert_eq!(context.complete("a"), (0, vec![]));
        let context = context_after(&[
            WELCOME,
            "* in lobby: ada, bob",
            "* bob is now cy",
            "* eve, dan and 35 others joined",
            "* bo, eve, dan and 5 others left",
        ]);
        assert_eq!(context.complete("").1, ["cy: "]);
    }

    #[test]
    fn commands_are_completed_at_line_start() {
        assert_eq!(context_after(&[]).complete("/hi"), (0, vec!["/history ".into()]));
        assert_eq!(context_after(&[]).complete("/JO"), (0, vec!["/join ".into()]));
        assert_eq!(context_after(&[]).complete("say /jo"), (4, vec![]));
    }

    #[test]
    fn number_of_members_is_bounded() {
        let mut context = context_after(&[WELCOME]);
        (0..2 * MAX_NAMES).for_each(|k| context.update(&format!("* n{k} joined")));
        assert_eq!(context.members.len(), MAX_NAMES);
        assert_eq!(context.complete("n0").1, [""; 0]);
        assert_eq!(context.complete("n1023").1, ["n1023: "]);
    }
}
