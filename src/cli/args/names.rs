//! The words for scenarios, roles and sides, as they are typed and shown.

use crate::scenario::{Role, Scenario};

/// One side of a scenario; [`Role::Both`] has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that binds and serves.
    Server,
    /// The side that connects.
    Client,
}

impl Side {
    /// Returns the word for this side, as `--role` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Client => "client",
        }
    }

    /// Whether `role` runs this side.
    pub fn is_run_by(self, role: Role) -> bool {
        match role {
            Role::Server => self == Side::Server,
            Role::Client => self == Side::Client,
            Role::Both => true,
        }
    }
}

/// Every scenario with its name, as `--scenario` takes it.
pub const SCENARIO_CHOICES: [(&str, Scenario); 4] = [
    ("tcp", Scenario::Tcp),
    ("udp", Scenario::Udp),
    ("file", Scenario::File),
    ("chat", Scenario::Chat),
];

/// Every role with its name, as `--role` takes it.
pub const ROLE_CHOICES: [(&str, Role); 3] =
    [("server", Role::Server), ("client", Role::Client), ("both", Role::Both)];

/// Returns the name of a scenario, as `--scenario` takes it.
pub fn scenario_name(kind: Scenario) -> &'static str {
    match kind {
        Scenario::Tcp => "tcp",
        Scenario::Udp => "udp",
        Scenario::File => "file",
        Scenario::Chat => "chat",
    }
}

/// Returns the name of a role, as `--role` takes it.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
        Role::Both => "both",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_and_role_is_shown_as_it_is_typed() {
        assert!(SCENARIO_CHOICES.iter().all(|(name, kind)| scenario_name(*kind) == *name));
        assert!(ROLE_CHOICES.iter().all(|(name, role)| role_name(*role) == *name));
    }
}
