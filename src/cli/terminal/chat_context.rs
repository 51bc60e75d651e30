//! What a terminal knows of the chat that it shows: who its person is, where, and who else is there.
//!
//! All of it is read from the lines that are shown, so nothing has to be asked for twice. It makes the prompt, and
//! the names that Tab completes.

use std::collections::BTreeMap;

use crate::wire::chat::command::HELP;
use crate::wire::chat::notice::{Notice, parse_notice};

/// How many names are kept at most; those that were not seen for the longest are forgotten.
const MAX_NAMES: usize = 512;

/// What is known.
#[derive(Debug, Default)]
pub struct ChatContext {
    nick: Option<String>,
    room: Option<String>,
    /// The others' names as they write them, with when each was last seen, by their names in lower case.
    members: BTreeMap<String, (u64, String)>,
    /// How many lines were read that may change the prompt.
    pub notices_seen: u64,
    sequence: u64,
}

impl ChatContext {
    /// Learns from a line that is shown.
    pub fn update(&mut self, line: &str) {
        let heard = parse_notice(line);
        match heard {
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
            Notice::Message(nick) | Notice::DirectMessage(nick) | Notice::MemberJoined(nick) => {
                self.touch(nick)
            }
            Notice::MemberLeft(nick) => drop(self.members.remove(&nick.to_ascii_lowercase())),
            Notice::MemberRenamed { old, new } => {
                self.members.remove(&old.to_ascii_lowercase());
                self.touch(new);
            }
            Notice::MemberList(nicks) => nicks.split(", ").for_each(|nick| self.touch(nick)),
            Notice::Info | Notice::Disconnected | Notice::Unrecognized => {}
        }
        self.notices_seen += u64::from(!matches!(heard, Notice::Message(_) | Notice::Unrecognized));
    }

    fn touch(&mut self, nick: &str) {
        // A list of many ends with how many there are besides.
        if nick.contains(' ') || self.nick.as_deref() == Some(nick) {
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

    /// Tells whether the person has a name here.
    pub fn has_joined(&self) -> bool {
        self.nick.is_some()
    }

    /// Returns the prompt: `ada@lobby> `.
    pub fn prompt(&self) -> String {
        match (&self.nick, &self.room) {
            (Some(nick), Some(room)) => format!("{nick}@{room}> "),
            (Some(nick), None) => format!("{nick}> "),
            (None, _) => "> ".into(),
        }
    }

    /// Finds what the word before the cursor may become: where it begins, and the words.
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
        // Whoever spoke last is meant most often.
        nicks.sort_by_key(|(_, (seen, _))| std::cmp::Reverse(*seen));
        (start, nicks.into_iter().map(|(_, (_, nick))| format!("{nick}{end}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context_after(lines: &[&str]) -> ChatContext {
        let mut known = ChatContext::default();
        lines.iter().for_each(|line| known.update(line));
        known
    }

    const WELCOME: &str = "* you are ada in lobby, with 2 others; /help lists the commands";

    #[test]
    fn the_prompt_says_who_and_where() {
        assert_eq!(context_after(&[]).prompt(), "> ");
        assert_eq!(context_after(&[WELCOME]).prompt(), "ada@lobby> ");
        assert_eq!(context_after(&[WELCOME, "* you are now eve"]).prompt(), "eve@lobby> ");
        let out = "* you left lobby; /join ROOM goes to another one";
        assert_eq!(context_after(&[WELCOME, out]).prompt(), "ada> ");
        assert_eq!(context_after(&[WELCOME, "eve: * you are now x"]).prompt(), "ada@lobby> ");
    }

    #[test]
    fn names_are_completed_for_those_who_are_there() {
        let known =
            context_after(&[WELCOME, "* in lobby: ada, bob, bill and 3 more", "* Bo joined"]);
        assert_eq!(known.complete("b"), (0, vec!["Bo: ".into(), "bob: ".into()]));
        assert_eq!(known.complete("hello bo"), (6, vec!["Bo ".into(), "bob ".into()]));
        assert_eq!(known.complete("a"), (0, vec![]));
        let known = context_after(&[
            WELCOME,
            "* in lobby: ada, bob",
            "* bob is now cy",
            "* eve joined",
            "* eve left",
        ]);
        assert_eq!(known.complete("").1, ["cy: "]);
    }

    #[test]
    fn commands_are_completed_at_the_beginning_of_a_line() {
        assert_eq!(context_after(&[]).complete("/hi"), (0, vec!["/history ".into()]));
        assert_eq!(context_after(&[]).complete("/JO"), (0, vec!["/join ".into()]));
        assert_eq!(context_after(&[]).complete("say /jo"), (4, vec![]));
    }

    #[test]
    fn a_flood_of_names_is_forgotten_again() {
        let mut known = context_after(&[WELCOME]);
        (0..2 * MAX_NAMES).for_each(|k| known.update(&format!("* n{k} joined")));
        assert_eq!(known.members.len(), MAX_NAMES);
        assert_eq!(known.complete("n0").1, [""; 0]);
        assert_eq!(known.complete("n1023").1, ["n1023: "]);
    }
}
