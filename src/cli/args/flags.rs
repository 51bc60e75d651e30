//! The table of flags: which there are, and where each belongs.
//!
//! A flag that the chosen scenario or role has no use for is an error that says where the flag belongs; it
//! is never ignored. That, the splitting of `--name=value` and the environment variables all need to know
//! the flags beside what argh knows, so they are listed once, in [`FLAGS`], and everything else asks the
//! table. A test holds the table and argh's own list together.

use crate::cli::args::names::{Side, role_name, scenario_name};
use crate::scenario::{Role, Scenario};

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// One value, in the next word or after `=`.
    Value,
    /// Nothing: its presence is the message.
    Switch,
}

/// A side of a scenario, as a place where a flag can belong.
pub type Scope = (Scenario, Side);

/// One flag of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// What follows it.
    pub arity: Arity,
    /// Whether it may be given more than once.
    pub is_repeatable: bool,
    /// Where it belongs; `None` is everywhere.
    pub scopes: Option<&'static [Scope]>,
}

use Scenario::{Chat, File, Tcp, Udp};
use Side::{Client, Server};

const SERVERS: &[Scope] = &[(Tcp, Server), (Udp, Server), (File, Server), (Chat, Server)];
const CLIENTS: &[Scope] = &[(Tcp, Client), (Udp, Client), (File, Client), (Chat, Client)];
const PROBE_CLIENTS: &[Scope] = &[(Tcp, Client), (Udp, Client)];
const SESSION_SERVERS: &[Scope] = &[(File, Server), (Chat, Server)];
const MESSAGE_FLAGS: &[Scope] = &[(Tcp, Server), (Udp, Server), (Udp, Client), (Chat, Client)];
const STREAM_SERVERS: &[Scope] = &[(Tcp, Server), (File, Server), (Chat, Server)];
const UDP_BOTH: &[Scope] = &[(Udp, Server), (Udp, Client)];
const UDP_SERVER: &[Scope] = &[(Udp, Server)];
const UDP_CLIENT: &[Scope] = &[(Udp, Client)];
const TCP_CLIENT: &[Scope] = &[(Tcp, Client)];
const RATE_FLAGS: &[Scope] = &[(Udp, Client), (Chat, Server)];
const FILE_SERVER: &[Scope] = &[(File, Server)];
const FILE_CLIENT: &[Scope] = &[(File, Client)];
const CHAT_CLIENT: &[Scope] = &[(Chat, Client)];
const CHAT_SERVER: &[Scope] = &[(Chat, Server)];
const CHAT_BOTH: &[Scope] = &[(Chat, Server), (Chat, Client)];

/// Where FILE arguments belong, which are words without a flag.
pub const FILE_ARGUMENT: Flag = value("FILE", Some(FILE_CLIENT)).repeatable();

/// Every flag of the program but `--help`, in the order in which `--help` lists them.
pub const FLAGS: &[Flag] = &[
    value("scenario", None),
    value("role", None),
    value("listen", Some(SERVERS)).repeatable(),
    value("connect", Some(CLIENTS)),
    value("clients", Some(SERVERS)),
    value("max-conns", Some(SERVERS)),
    value("max-per-ip", Some(STREAM_SERVERS)),
    value("backlog", Some(SERVERS)),
    value("first-timeout", Some(SESSION_SERVERS)),
    value("idle-timeout", Some(SESSION_SERVERS)),
    value("drain-timeout", Some(SERVERS)),
    value("threads", None),
    value("message", Some(MESSAGE_FLAGS)),
    value("count", Some(PROBE_CLIENTS)),
    value("interval", Some(PROBE_CLIENTS)),
    value("timeout", Some(CLIENTS)),
    value("size", Some(UDP_CLIENT)),
    value("concurrency", Some(TCP_CLIENT)),
    value("max-loss", Some(PROBE_CLIENTS)),
    value("buffer-size", Some(UDP_BOTH)),
    value("reply-rate", Some(UDP_SERVER)),
    switch("allow-amplification", Some(UDP_SERVER)),
    value("join-group", Some(UDP_SERVER)).repeatable(),
    value("out", Some(FILE_SERVER)),
    value("on-conflict", Some(FILE_SERVER)),
    value("max-size", Some(FILE_SERVER)),
    value("keep-free", Some(FILE_SERVER)),
    value("part-ttl", Some(FILE_SERVER)),
    switch("raw", Some(FILE_CLIENT)),
    value("resume", Some(FILE_CLIENT)),
    value("nick", Some(CHAT_CLIENT)),
    value("room", Some(CHAT_BOTH)),
    value("dialect", Some(CHAT_BOTH)),
    value("reconnect", Some(CHAT_CLIENT)),
    value("operator-password-file", Some(CHAT_SERVER)),
    value("history", Some(CHAT_SERVER)),
    value("history-dir", Some(CHAT_SERVER)),
    value("history-size", Some(CHAT_SERVER)),
    value("rate", Some(RATE_FLAGS)),
    switch("json", None),
    switch("quiet", None).short('q'),
    switch("verbose", None).short('v').repeatable(),
    value("color", None),
    switch("no-input", None),
    value("drill", None).repeatable(),
    switch("version", None).short('V'),
];

const fn value(name: &'static str, places: Option<&'static [Scope]>) -> Flag {
    Flag { name, short: None, arity: Arity::Value, is_repeatable: false, scopes: places }
}

const fn switch(name: &'static str, places: Option<&'static [Scope]>) -> Flag {
    Flag { name, short: None, arity: Arity::Switch, is_repeatable: false, scopes: places }
}

impl Flag {
    const fn repeatable(mut self) -> Flag {
        self.is_repeatable = true;
        self
    }

    const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// Finds a flag by its long name, without dashes.
    pub fn by_name(name: &str) -> Option<&'static Flag> {
        FLAGS.iter().find(|flag| flag.name == name)
    }

    /// Returns the flag of the table with this name, which the caller knows to be there.
    ///
    /// # Panics
    ///
    /// Panics if the table has no such flag: that is a slip in this program, not in its use.
    pub fn expect(name: &str) -> &'static Flag {
        match Flag::by_name(name) {
            Some(flag) => flag,
            None => panic!("the table of flags lacks {name}"),
        }
    }

    /// Finds a flag by its letter.
    pub fn by_short(letter: char) -> Option<&'static Flag> {
        FLAGS.iter().find(|flag| flag.short == Some(letter))
    }

    /// Returns the name of the environment variable that stands in for this flag.
    pub fn env_var(&self) -> String {
        format!("SOCKACTORS_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Returns the flag as it is typed.
    pub fn as_typed(&self) -> String {
        match self.name {
            "FILE" => self.name.to_owned(),
            name => format!("--{name}"),
        }
    }

    /// Checks that a run of `kind` as `role` has a use for this flag.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says where the flag belongs instead.
    pub fn check_scope(&self, kind: Scenario, role: Role) -> Result<(), String> {
        let Some(places) = self.scopes else {
            return Ok(());
        };
        let typed = self.as_typed();
        if self.name == "connect" && role == Role::Both {
            return Err(format!(
                "{typed} belongs to --role client, not both: there the client connects to its own server"
            ));
        }
        let mut here = places.iter().filter(|place| place.0 == kind).map(|place| place.1);
        if here.clone().any(|side| side.is_run_by(role)) {
            return Ok(());
        }
        match here.next() {
            Some(side) => {
                let (side, role) = (side.name(), role_name(role));
                Err(format!("{typed} belongs to --role {side}, not {role}"))
            }
            None => Err(format!(
                "{typed} belongs to --scenario {}, not {}",
                scenario_names(places),
                scenario_name(kind)
            )),
        }
    }
}

/// Lists the scenarios of some places, each once: `udp`, `udp or tcp`, `tcp, udp or chat`.
fn scenario_names(places: &[Scope]) -> String {
    let mut kinds: Vec<&str> = places.iter().map(|place| scenario_name(place.0)).collect();
    kinds.dedup();
    match kinds.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => kinds.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_scope(name: &str, kind: Scenario, role: Role) -> Result<(), String> {
        Flag::expect(name).check_scope(kind, role)
    }

    #[test]
    fn a_flag_of_another_scenario_names_its_own() {
        let error = check_scope("buffer-size", Tcp, Role::Server).unwrap_err();
        assert_eq!(error, "--buffer-size belongs to --scenario udp, not tcp");
        let error = check_scope("message", File, Role::Server).unwrap_err();
        assert_eq!(error, "--message belongs to --scenario tcp, udp or chat, not file");
        let error = FILE_ARGUMENT.check_scope(Udp, Role::Client).unwrap_err();
        assert_eq!(error, "FILE belongs to --scenario file, not udp");
    }

    #[test]
    fn a_flag_of_the_other_role_names_its_own() {
        let error = check_scope("out", File, Role::Client).unwrap_err();
        assert_eq!(error, "--out belongs to --role server, not client");
        let error = FILE_ARGUMENT.check_scope(File, Role::Server).unwrap_err();
        assert_eq!(error, "FILE belongs to --role client, not server");
    }

    #[test]
    fn both_sides_flags_belong_to_role_both_except_connect() {
        for flag in FLAGS.iter().filter(|flag| flag.name != "connect") {
            let kind = flag.scopes.map_or(Tcp, |places| places[0].0);
            assert_eq!(flag.check_scope(kind, Role::Both), Ok(()), "{}", flag.name);
        }
        let error = check_scope("connect", Chat, Role::Both).unwrap_err();
        assert!(error.starts_with("--connect belongs to --role client, not both"), "{error}");
    }

    #[test]
    fn names_and_letters_are_unique() {
        for (i, flag) in FLAGS.iter().enumerate() {
            let rest = &FLAGS[i + 1..];
            assert!(rest.iter().all(|other| other.name != flag.name), "{}", flag.name);
            assert!(rest.iter().all(|o| o.short.is_none() || o.short != flag.short));
        }
    }

    #[test]
    fn a_variable_is_the_name_in_capitals() {
        let flag = Flag::expect("max-conns");
        assert_eq!(flag.env_var(), "SOCKACTORS_MAX_CONNS");
    }
}
