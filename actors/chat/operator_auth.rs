//! The operator password of a chat server, and the limit of guesses.

use std::fmt;

/// Number of wrong passwords after which a session is closed.
pub(crate) const MAX_LOGIN_ATTEMPTS: u8 = 3;

/// The hashed password with which a member becomes an operator.
#[derive(Clone)]
pub struct OperatorAuth(blake3::Hash);

impl OperatorAuth {
    /// Accepts this password.
    pub fn new(password: &str) -> OperatorAuth {
        OperatorAuth(blake3::hash(password.as_bytes()))
    }

    /// Returns whether this is the password. The time taken does not depend on the password.
    pub(crate) fn verify(&self, password: &str) -> bool {
        self.0 == blake3::hash(password.as_bytes())
    }
}

/// Shows neither the password nor its hash.
impl fmt::Debug for OperatorAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorAuth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operator_auth_accepts_only_its_password() {
        let operators = OperatorAuth::new("open sesame");
        assert!(operators.verify("open sesame"));
        assert!(
            !operators.verify("open") && !operators.verify("Open Sesame") && !operators.verify("")
        );
        assert!(!format!("{operators:?}").contains("open"));
    }
}
