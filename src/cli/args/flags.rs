//! The table of flags: the scenarios and roles that use each flag.
//!
//! The names, short names and kinds come from the argh struct. The table below adds the scopes. A
//! flag outside its scope is an error that names the right scope. It is never ignored.

use std::sync::LazyLock;

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, Optionality};

use crate::cli::args::Args;
use crate::scenario::{Role, Scenario, Side};
use crate::wire::text::escape;

/// One side of a scenario that uses a flag.
pub type Scope = (Scenario, Side);

use Scenario::{Chat, File, Tcp, Udp};
use Side::{Client, Server};

const SERVERS: &[Scope] = &[(Tcp, Server), (Udp, Server), (File, Server), (Chat, Server)];
const CLIENTS: &[Scope] = &[(Tcp, Client), (Udp, Client), (File, Client), (Chat, Client)];
const STREAM_SERVERS: &[Scope] = &[(Tcp, Server), (File, Server), (Chat, Server)];
const SESSION_SERVERS: &[Scope] = &[(File, Server), (Chat, Server)];
const PROBE_CLIENTS: &[Scope] = &[(Tcp, Client), (Udp, Client)];
const MESSAGE_FLAGS: &[Scope] = &[(Tcp, Server), (Udp, Server), (Udp, Client), (Chat, Client)];
const RATE_FLAGS: &[Scope] = &[(Udp, Client), (Chat, Server)];
const TCP_CLIENT: &[Scope] = &[(Tcp, Client)];
const UDP_BOTH: &[Scope] = &[(Udp, Server), (Udp, Client)];
const UDP_SERVER: &[Scope] = &[(Udp, Server)];
const UDP_CLIENT: &[Scope] = &[(Udp, Client)];
const FILE_SERVER: &[Scope] = &[(File, Server)];
const FILE_CLIENT: &[Scope] = &[(File, Client)];
const CHAT_BOTH: &[Scope] = &[(Chat, Server), (Chat, Client)];
const CHAT_SERVER: &[Scope] = &[(Chat, Server)];
const CHAT_CLIENT: &[Scope] = &[(Chat, Client)];

/// The scopes of each flag. Every run uses the flags that are not in this table.
const SCOPES: &[(&str, &[Scope])] = &[
    ("listen", SERVERS),
    ("connect", CLIENTS),
    ("clients", SERVERS),
    ("max-conns", SERVERS),
    ("max-per-ip", STREAM_SERVERS),
    ("max-memory", STREAM_SERVERS),
    ("backlog", SERVERS),
    ("first-timeout", SESSION_SERVERS),
    ("idle-timeout", SESSION_SERVERS),
    ("drain-timeout", SERVERS),
    ("message", MESSAGE_FLAGS),
    ("count", PROBE_CLIENTS),
    ("interval", PROBE_CLIENTS),
    ("timeout", CLIENTS),
    ("size", UDP_CLIENT),
    ("concurrency", TCP_CLIENT),
    ("max-loss", PROBE_CLIENTS),
    ("buffer-size", UDP_BOTH),
    ("reply-rate", UDP_SERVER),
    ("allow-amplification", UDP_SERVER),
    ("join-group", UDP_SERVER),
    ("out", FILE_SERVER),
    ("on-conflict", FILE_SERVER),
    ("max-size", FILE_SERVER),
    ("max-files", FILE_SERVER),
    ("keep-free", FILE_SERVER),
    ("min-rate", FILE_SERVER),
    ("part-ttl", FILE_SERVER),
    ("raw", FILE_CLIENT),
    ("resume", FILE_CLIENT),
    ("nick", CHAT_CLIENT),
    ("room", CHAT_BOTH),
    ("dialect", CHAT_BOTH),
    ("reconnect", CHAT_CLIENT),
    ("operator-password-file", CHAT_SERVER),
    ("history", CHAT_SERVER),
    ("history-dir", CHAT_SERVER),
    ("history-size", CHAT_SERVER),
    ("rate", RATE_FLAGS),
];

/// The switches that may be repeated. argh's `FlagInfo` does not mark them.
const COUNTERS: &[&str] = &["verbose"];

/// The values that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// No value; given at most once.
    Switch,
    /// No value; repeatable.
    Counter,
    /// One value, in the next word or after `=`; given at most once.
    Value,
    /// One value each time; repeatable.
    List,
}

/// One flag of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The short name.
    pub short: Option<char>,
    /// The values that it takes.
    pub arity: Arity,
    /// The name of the value in the help: one word, or the choices with `|` between them.
    pub value: Option<&'static str>,
    /// The text in the help.
    pub description: &'static str,
    /// The scopes that use it. `None` is every scope.
    pub scopes: Option<&'static [Scope]>,
}

static FLAGS: LazyLock<Vec<Flag>> = LazyLock::new(|| {
    let flags = Args::get_args_info().flags.iter().map(Flag::new);
    flags.filter(|flag| flag.name != "help").collect()
});

/// Returns every flag of the program except `--help`, in the order of the help text.
pub fn flags() -> &'static [Flag] {
    &FLAGS
}

impl Flag {
    /// Joins argh's description of a flag with the table of scopes.
    fn new(info: &FlagInfo<'static>) -> Flag {
        let name = info.long.trim_start_matches('-');
        let arity = match (&info.kind, &info.optionality) {
            (FlagInfoKind::Switch, _) if COUNTERS.contains(&name) => Arity::Counter,
            (FlagInfoKind::Switch, _) => Arity::Switch,
            (FlagInfoKind::Option { .. }, Optionality::Repeating) => Arity::List,
            (FlagInfoKind::Option { .. }, _) => Arity::Value,
        };
        let value = match info.kind {
            FlagInfoKind::Switch => None,
            FlagInfoKind::Option { arg_name } => Some(arg_name),
        };
        let scopes = SCOPES.iter().find(|row| row.0 == name).map(|row| row.1);
        Flag { name, short: info.short, arity, value, description: info.description, scopes }
    }

    /// Returns the flag with this long name, without dashes.
    pub fn by_name(name: &str) -> Option<&'static Flag> {
        flags().iter().find(|flag| flag.name == name)
    }

    /// Returns the flag with this long name, which must exist.
    ///
    /// # Panics
    ///
    /// Panics if there is no such flag.
    pub fn expect(name: &str) -> &'static Flag {
        match Flag::by_name(name) {
            Some(flag) => flag,
            None => panic!("there is no flag --{name}"),
        }
    }

    /// Returns the flag with this short name.
    pub fn by_short(letter: char) -> Option<&'static Flag> {
        flags().iter().find(|flag| flag.short == Some(letter))
    }

    /// Returns whether `side` of `scenario` uses the flag.
    pub fn is_used_by(&self, scenario: Scenario, side: Side) -> bool {
        self.scopes.is_none_or(|scopes| scopes.contains(&(scenario, side)))
    }

    /// Returns the words that the flag accepts as a value, if the list is fixed.
    pub fn choices(&self) -> Vec<&'static str> {
        match self.value {
            Some(value) if value.contains('|') => value.split('|').collect(),
            _ => Vec::new(),
        }
    }

    /// Returns whether the flag prints a text, so that nothing runs.
    pub fn is_request(&self) -> bool {
        matches!(self.name, "version" | "completions")
    }

    /// Returns whether the flag may be given more than once.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.arity, Arity::Counter | Arity::List)
    }

    /// Returns the name of the flag's environment variable.
    pub fn env_var(&self) -> String {
        format!("SOCKACTORS_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Returns the flag as it is typed.
    pub fn as_typed(&self) -> String {
        format!("--{}", self.name)
    }

    /// Checks that a run of `scenario` as `role` uses this flag.
    ///
    /// # Errors
    ///
    /// Returns a sentence that names the scenarios or the role that do.
    pub fn check_scope(&self, scenario: Scenario, role: Role) -> Result<(), String> {
        let Some(scopes) = self.scopes else {
            return Ok(());
        };
        let typed = self.as_typed();
        if self.name == "connect" && role == Role::Both {
            return Err(format!(
                "{typed} belongs to --role client, not both: \
                 with --role both the client connects to its own server"
            ));
        }
        let mut sides = scopes.iter().filter(|scope| scope.0 == scenario).map(|scope| scope.1);
        if sides.clone().any(|side| role.runs(side)) {
            return Ok(());
        }
        match sides.next() {
            Some(side) => {
                let (side, role) = (side.name(), role.name());
                Err(format!("{typed} belongs to --role {side}, not {role}"))
            }
            None => {
                let (users, scenario) = (scenario_list(scopes), scenario.name());
                Err(format!("{typed} belongs to --scenario {users}, not {scenario}"))
            }
        }
    }
}

/// Checks that a run of `scenario` as `role` sends files, because `file` is given.
///
/// # Errors
///
/// Returns a sentence with the remedy.
pub fn check_file_argument(file: &str, scenario: Scenario, role: Role) -> Result<(), String> {
    if scenario != File {
        let scenario = scenario.name();
        return Err(format!(
            "unexpected argument {file:?}: FILE belongs to --scenario file, not {scenario}"
        ));
    }
    match role.runs(Client) {
        true => Ok(()),
        false => {
            let file = escape(file);
            Err(format!("FILE needs a client: add --connect HOST:PORT to send {file}"))
        }
    }
}

/// Lists the scenarios of `scopes`, each once: `udp`, `udp or tcp`, `tcp, udp or chat`.
fn scenario_list(scopes: &[Scope]) -> String {
    let mut names: Vec<&str> = scopes.iter().map(|scope| scope.0.name()).collect();
    names.dedup();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope_error(name: &str, scenario: Scenario, role: Role) -> String {
        Flag::expect(name).check_scope(scenario, role).unwrap_err()
    }

    #[test]
    fn flag_of_another_scenario_names_its_scenarios() {
        let error = scope_error("buffer-size", Tcp, Role::Server);
        assert_eq!(error, "--buffer-size belongs to --scenario udp, not tcp");
        let error = scope_error("message", File, Role::Server);
        assert_eq!(error, "--message belongs to --scenario tcp, udp or chat, not file");
        let error = check_file_argument("a", Udp, Role::Client).unwrap_err();
        assert_eq!(error, "unexpected argument \"a\": FILE belongs to --scenario file, not udp");
    }

    #[test]
    fn flag_of_another_role_names_its_role() {
        let error = scope_error("out", File, Role::Client);
        assert_eq!(error, "--out belongs to --role server, not client");
        let error = check_file_argument("README.md", File, Role::Server).unwrap_err();
        assert_eq!(error, "FILE needs a client: add --connect HOST:PORT to send README.md");
    }

    #[test]
    fn role_both_accepts_every_flag_except_connect() {
        for flag in flags().iter().filter(|flag| flag.name != "connect") {
            let scenario = flag.scopes.map_or(Tcp, |scopes| scopes[0].0);
            assert_eq!(flag.check_scope(scenario, Role::Both), Ok(()), "{}", flag.name);
        }
        let error = scope_error("connect", Chat, Role::Both);
        assert!(error.starts_with("--connect belongs to --role client, not both"), "{error}");
        assert_eq!(check_file_argument("a", File, Role::Both), Ok(()));
    }

    #[test]
    fn names_and_short_names_are_unique() {
        for (i, flag) in flags().iter().enumerate() {
            let rest = &flags()[i + 1..];
            assert!(rest.iter().all(|other| other.name != flag.name), "{}", flag.name);
            assert!(rest.iter().all(|o| o.short.is_none() || o.short != flag.short));
        }
    }

    #[test]
    fn scope_table_names_existing_flags_once() {
        for (i, (name, _)) in SCOPES.iter().enumerate() {
            assert!(Flag::by_name(name).is_some(), "{name}");
            assert!(SCOPES[i + 1..].iter().all(|row| row.0 != *name), "{name}");
        }
        assert!(COUNTERS.iter().all(|name| Flag::by_name(name).is_some()));
    }

    #[test]
    fn environment_variable_is_the_name_in_capitals() {
        assert_eq!(Flag::expect("max-conns").env_var(), "SOCKACTORS_MAX_CONNS");
    }
}
