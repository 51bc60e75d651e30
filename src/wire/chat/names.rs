//! The rules for nicknames and room names.

use crate::wire::chat::limits::MAX_NICK_LEN;

/// Checks a nickname: 1 to [`MAX_NICK_LEN`] ASCII letters, digits and `- _ [ ] \`.
///
/// RFC 2812 section 2.3.1 also allows `` ` ^ { } | ``, but neither a digit nor a hyphen as the
/// first character. Nicknames are shown to others, so they cannot contain a space, a colon or a
/// control character.
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
/// ```
pub fn validate_nick(nick: &str) -> Result<(), &'static str> {
    if nick.is_empty() {
        return Err("at least one character");
    }
    if nick.len() > MAX_NICK_LEN {
        return Err("at most 32 characters");
    }
    if nick.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_[]\\".contains(&byte)) {
        return Ok(());
    }
    Err("letters, digits and -_[]\\ only")
}

/// Checks a room name by the same rules as a nickname, because it is shown to others, too.
///
/// # Errors
///
/// Returns the violated rule, to follow the words `is not a valid name: `.
pub fn validate_room(room: &str) -> Result<(), &'static str> {
    validate_nick(room)
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
            assert!(validate_nick(bad).is_err(), "{bad:?}");
        }
    }
}
