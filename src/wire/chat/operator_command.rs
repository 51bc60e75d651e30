//! What an operator of a chat may order.
//!
//! An order is a line of an operator's session, or of the server's own terminal. [`parse`] borrows from the line.

/// What `/help` answers besides, where there are operators: one line for each order, each ended by a newline.
pub const HELP: &str = "\
/members           lists everybody, with room and address
/kick NAME [WHY]   ends a member's session
/mute NAME         has nobody hear what a member says
/unmute NAME       has everybody hear it again
/ban NAME|ADDRESS  keeps an address away, and ends its sessions
/unban ADDRESS     lets it come again
/bans              lists the addresses that are kept away
/announce TEXT     tells something to everybody in every room
";

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorCommand<'a> {
    /// List everybody.
    Members,
    /// End a member's session, for a reason that may be empty.
    Kick(&'a str, &'a str),
    /// Have nobody hear a member.
    Mute(&'a str),
    /// Have everybody hear a member again.
    Unmute(&'a str),
    /// Keep the address away that this is, or that a member of this name has.
    Ban(&'a str),
    /// Let an address come again.
    Unban(&'a str),
    /// List the addresses that are kept away.
    Bans,
    /// Tell everybody something.
    Announce(&'a str),
}

/// Reads a line, given without its line end; nothing comes back where it is no order.
///
/// The name of an order is read in any case.
///
/// # Errors
///
/// Returns how the order is written, where it lacks what it needs.
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
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let (first, more) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let order = match word.to_ascii_lowercase().as_str() {
        "/members" => return Some(Ok(OperatorCommand::Members)),
        "/bans" => return Some(Ok(OperatorCommand::Bans)),
        "/kick" => {
            (OperatorCommand::Kick(first, more.trim()), "/kick needs a name: /kick NAME [WHY]")
        }
        "/mute" => (OperatorCommand::Mute(first), "/mute needs a name: /mute NAME"),
        "/unmute" => (OperatorCommand::Unmute(first), "/unmute needs a name: /unmute NAME"),
        "/ban" => (OperatorCommand::Ban(first), "/ban needs a name or an address: /ban NAME"),
        "/unban" => (OperatorCommand::Unban(first), "/unban needs an address: /unban 192.0.2.1"),
        "/announce" => (OperatorCommand::Announce(rest), "/announce needs a text: /announce TEXT"),
        _ => return None,
    };
    Some(if rest.is_empty() { Err(order.1) } else { Ok(order.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_in_any_case_and_with_any_space() {
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
    fn every_order_has_its_line_of_help_and_says_what_it_needs() {
        for line in HELP.lines() {
            let word = line.split(' ').next().unwrap();
            let alone = parse(word).unwrap_or_else(|| panic!("{word} is explained and not known"));
            assert!(alone.is_ok() || alone.is_err_and(|usage| usage.contains(word)), "{word}");
            assert!(parse(&format!("{word} x")).unwrap().is_ok(), "{word}");
        }
    }
}
