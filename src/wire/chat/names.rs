//! The rules for nicknames and room names.

use crate::wire::chat::limits::MAX_NICK_LEN;

/// The words with which a notice begins that is not about a member, and the names under which only
/// the server speaks. None of them is a nickname, in upper or lower case.
const RESERVED: [&str; 5] = ["in", "operator", "server", "the", "you"];

/// Checks a nickname: 1 to [`MAX_NICK_LEN`] ASCII letters, digits and `- _ [ ] \`, of which the
/// first is no `[`. Some words of the server's notices are reserved.
///
/// RFC 2812 section 2.3.1 also allows `` ` ^ { } | ``, but neither a digit nor a hyphen as the
/// first character. Nicknames are shown to others, so they cannot contain a space, a colon or a
/// control character. A line that begins with `[` has a time.
///
/// # Errors
///
/// Returns the violated rule, to follow the words `is not a valid name: `.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::validate_nick;
///
/// assert_eq!(validate_nick("ada_1815"), Ok(()));
/// assert!(validate_nick("two words").is_err());
/// assert!(validate_nick("[15-04").is_err());
/// assert!(validate_nick("Server").is_err());
/// ```
pub fn validate_nick(nick: &str) -> Result<(), &'static str> {
    validate_room(nick)?;
    if nick.starts_with('[') {
        return Err("no [ at the start");
    }
    if RESERVED.iter().any(|word| word.eq_ignore_ascii_case(nick)) {
        return Err("it is a word of the server's notices");
    }
    Ok(())
}

/// Checks a room name: 1 to [`MAX_NICK_LEN`] ASCII letters, digits and `- _ [ ] \`.
///
/// # Errors
///
/// Returns the violated rule, to follow the words `is not a valid room name: `.
pub fn validate_room(room: &str) -> Result<(), &'static str> {
    if room.is_empty() {
        return Err("at least one character");
    }
    if room.len() > MAX_NICK_LEN {
        return Err("at most 32 characters");
    }
    if room.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_[]\\".contains(&byte)) {
        return Ok(());
    }
    Err("letters, digits and -_[]\\ only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nickname_length_and_letters_are_checked() {
        for good in ["a", "7of9", "x-_[]\\9", &"n".repeat(MAX_NICK_LEN)] {
            assert_eq!(validate_nick(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a:b", "zoë", "a\u{1b}", &"n".repeat(MAX_NICK_LEN + 1)] {
            assert!(validate_nick(bad).is_err() && validate_room(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn forms_of_notices_are_reserved() {
        for nick in ["[15-04", "[", "you", "In", "SERVER"] {
            assert!(validate_nick(nick).is_err() && validate_room(nick).is_ok(), "{nick}");
        }
    }
}
