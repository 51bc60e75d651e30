//! Who may give a chat's orders from a session: whoever knows the password.

use std::fmt;

/// Who may give orders, besides whoever is at the server's own terminal.
#[derive(Clone)]
pub struct Operators(blake3::Hash);

impl Operators {
    /// Makes operators of those who know a password.
    pub fn new(password: &str) -> Operators {
        Operators(blake3::hash(password.as_bytes()))
    }

    /// Tells whether this is the password, in a time that tells nothing about it.
    pub(crate) fn know(&self, password: &str) -> bool {
        self.0 == blake3::hash(password.as_bytes())
    }
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_known_and_not_shown() {
        let operators = Operators::new("open sesame");
        assert!(operators.know("open sesame"));
        assert!(!operators.know("open") && !operators.know("Open Sesame") && !operators.know(""));
        assert!(!format!("{operators:?}").contains("open"));
    }
}
