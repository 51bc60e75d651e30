//! The commands of a chat operator.
//!
//! An operator sends them in a session, or types them at the server's own terminal. The values of
//! [`parse`] borrow from the line.

use crate::wire::text::split_first_word;

/// The second part of the reply to `/help`, for operators: one line for each command, each with its
/// newline.
pub const HELP: &str = "\
/members           lists all members, with room and address
/kick NAME [WHY]   ends a member's session
/mute NAME         hides a member's messages from the others
/unmute NAME       shows them again
/ban NAME|ADDRESS  rejects an address, and ends its sessions
/unban ADDRESS     accepts it again
/bans              lists the banned addresses
/announce TEXT     sends a text to every member in every room
";

/// A command of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorCommand<'a> {
    /// List all members.
    Members,
    /// End a member's session: the nickname, and the reason, which may be empty.
    Kick(&'a str, &'a str),
    /// Stop publishing a member's messages.
    Mute(&'a str),
    /// Publish a member's messages again.
    Unmute(&'a str),
    /// Ban an address, given directly or by a member's nickname.
    Ban(&'a str),
    /// Lift the ban of an address.
    Unban(&'a str),
    /// List the banned addresses.
    Bans,
    /// Send a text to every member.
    Announce(&'a str),
}

/// Parses a line, given without its line ending. Returns `None` if it is not an operator's command.
///
/// Command names are case-insensitive.
///
/// # Errors
///
/// Returns the correct syntax if an argument is missing.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::operator_command::{OperatorCommand, parse};
///
/// assert_eq!(parse("/kick eve too loud"), Some(Ok(OperatorCommand::Kick("eve", "too loud"))));
/// assert_eq!(parse("/ban 192.0.2.1"), Some(Ok(OperatorCommand::Ban("192.0.2.1"))));
/// assert_eq!(parse("/kick"), Some(Err("/kick needs a name: /kick NAME [WHY]")));
/// assert_eq!(parse("/who"), None);
/// ```
pub fn parse(line: &str) -> Option<Result<OperatorCommand<'_>, &'static str>> {
    let (word, arguments) = split_first_word(line);
    let (first, rest) = split_first_word(arguments);
    let (command, syntax) = match word.to_ascii_lowercase().as_str() {
        "/members" => return Some(Ok(OperatorCommand::Members)),
        "/bans" => return Some(Ok(OperatorCommand::Bans)),
        "/kick" => (OperatorCommand::Kick(first, rest), "/kick needs a name: /kick NAME [WHY]"),
        "/mute" => (OperatorCommand::Mute(first), "/mute needs a name: /mute NAME"),
        "/unmute" => (OperatorCommand::Unmute(first), "/unmute needs a name: /unmute NAME"),
        "/ban" => (OperatorCommand::Ban(first), "/ban needs a name or an address: /ban NAME"),
        "/unban" => (OperatorCommand::Unban(first), "/unban needs an address: /unban 192.0.2.1"),
        "/announce" => {
            (OperatorCommand::Announce(arguments), "/announce needs a text: /announce TEXT")
        }
        _ => return None,
    };
    Some(if arguments.is_empty() { Err(syntax) } else { Ok(command) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_commands_ignore_case_and_extra_space() {
        assert_eq!(parse("/KICK  eve"), Some(Ok(OperatorCommand::Kick("eve", ""))));
        assert_eq!(
            parse("/Kick eve  so  it is "),
            Some(Ok(OperatorCommand::Kick("eve", "so  it is")))
        );
        assert_eq!(parse("/announce  tea  now "), Some(Ok(OperatorCommand::Announce("tea  now"))));
        assert_eq!(parse("/members please"), Some(Ok(OperatorCommand::Members)));
        assert_eq!(parse("say /kick eve"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn every_command_in_help_reports_its_syntax() {
        for line in HELP.lines() {
            let word = line.split(' ').next().unwrap();
            let alone = parse(word).unwrap_or_else(|| panic!("{word} is in the help, but unknown"));
            assert!(alone.is_ok() || alone.is_err_and(|usage| usage.contains(word)), "{word}");
            assert!(parse(&format!("{word} x")).unwrap().is_ok(), "{word}");
        }
    }
}
