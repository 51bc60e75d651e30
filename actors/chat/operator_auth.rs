//! Who may give a chat's orders from a session: whoever knows the password.

use std::fmt;

/// Who may give orders, besides whoever is at the server's own terminal.
#[derive(Clone)]
pub struct OperatorAuth(blake3::Hash);

impl OperatorAuth {
    /// Makes operators of those who know a password.
    pub fn new(password: &str) -> OperatorAuth {
        OperatorAuth(blake3::hash(password.as_bytes()))
    }

    /// Tells whether this is the password, in a time that tells nothing about it.
    pub(crate) fn verify(&self, password: &str) -> bool {
        self.0 == blake3::hash(password.as_bytes())
    }
}

impl fmt::Debug for OperatorAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operators")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_known_and_not_shown() {
        let operators = OperatorAuth::new("open sesame");
        assert!(operators.verify("open sesame"));
        assert!(
            !operators.verify("open") && !operators.verify("Open Sesame") && !operators.verify("")
        );
        assert!(!format!("{operators:?}").contains("open"));
    }
}
