//! The table of flags: which there are, and where each belongs.
//!
//! A flag that the chosen scenario or role has no use for is an error that says where the flag belongs; it
//! is never ignored. That, the splitting of `--name=value` and the environment variables all need to know
//! the flags beside what argh knows, so they are listed once, in [`FLAGS`], and everything else asks the
//! table. A test holds the table and argh's own list together.

use crate::cli::args::names::{Side, kind_name, role_name};
use crate::scenario::{Kind, Role};

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One value, in the next word or after `=`.
    Value,
    /// Nothing: its presence is the message.
    Nothing,
}

/// A side of a scenario, as a place where a flag can belong.
pub type Place = (Kind, Side);

/// One flag of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Its long name, without dashes.
    pub name: &'static str,
    /// Its one-letter name.
    pub short: Option<char>,
    /// What follows it.
    pub takes: Takes,
    /// Whether it may be given more than once.
    pub repeats: bool,
    /// Where it belongs; `None` is everywhere.
    pub places: Option<&'static [Place]>,
}

use Kind::{Chat, File, Tcp, Udp};
use Side::{Client, Server};

const SERVERS: &[Place] = &[(Tcp, Server), (Udp, Server), (File, Server), (Chat, Server)];
const CLIENTS: &[Place] = &[(Tcp, Client), (Udp, Client), (File, Client), (Chat, Client)];
const REQUESTS: &[Place] = &[(Tcp, Client), (Udp, Client)];
const LISTENERS: &[Place] = &[(File, Server), (Chat, Server)];
const SPEAKERS: &[Place] = &[(Tcp, Server), (Udp, Server), (Udp, Client), (Chat, Client)];
const STREAMS: &[Place] = &[(Tcp, Server), (File, Server), (Chat, Server)];
const DATAGRAMS: &[Place] = &[(Udp, Server), (Udp, Client)];
const RESPONDERS: &[Place] = &[(Udp, Server)];
const ASKERS: &[Place] = &[(Udp, Client)];
const CALLERS: &[Place] = &[(Tcp, Client)];
const RATED: &[Place] = &[(Udp, Client), (Chat, Server)];
const STORES: &[Place] = &[(File, Server)];
const SENDERS: &[Place] = &[(File, Client)];
const MEMBERS: &[Place] = &[(Chat, Client)];
const HALLS: &[Place] = &[(Chat, Server)];
const ROOMS: &[Place] = &[(Chat, Server), (Chat, Client)];

/// Where FILE arguments belong, which are words without a flag.
pub const FILES: Flag = value("FILE", Some(SENDERS)).repeated();

/// Every flag of the program but `--help`, in the order in which `--help` lists them.
pub const FLAGS: &[Flag] = &[
    value("scenario", None),
    value("role", None),
    value("listen", Some(SERVERS)).repeated(),
    value("connect", Some(CLIENTS)),
    value("clients", Some(SERVERS)),
    value("max-conns", Some(SERVERS)),
    value("max-per-ip", Some(STREAMS)),
    value("backlog", Some(SERVERS)),
    value("first-timeout", Some(LISTENERS)),
    value("idle-timeout", Some(LISTENERS)),
    value("drain-timeout", Some(SERVERS)),
    value("threads", None),
    value("message", Some(SPEAKERS)),
    value("count", Some(REQUESTS)),
    value("interval", Some(REQUESTS)),
    value("timeout", Some(CLIENTS)),
    value("size", Some(ASKERS)),
    value("concurrency", Some(CALLERS)),
    value("max-loss", Some(REQUESTS)),
    value("buffer-size", Some(DATAGRAMS)),
    value("reply-rate", Some(RESPONDERS)),
    switch("allow-amplification", Some(RESPONDERS)),
    value("join-group", Some(RESPONDERS)).repeated(),
    value("out", Some(STORES)),
    value("on-conflict", Some(STORES)),
    value("max-size", Some(STORES)),
    value("keep-free", Some(STORES)),
    value("part-ttl", Some(STORES)),
    switch("raw", Some(SENDERS)),
    value("resume", Some(SENDERS)),
    value("nick", Some(MEMBERS)),
    value("room", Some(ROOMS)),
    value("dialect", Some(ROOMS)),
    value("reconnect", Some(MEMBERS)),
    value("operator-password-file", Some(HALLS)),
    value("history", Some(HALLS)),
    value("history-dir", Some(HALLS)),
    value("history-size", Some(HALLS)),
    value("rate", Some(RATED)),
    switch("json", None),
    switch("quiet", None).short('q'),
    switch("verbose", None).short('v').repeated(),
    value("color", None),
    switch("no-input", None),
    value("drill", None).repeated(),
    switch("version", None).short('V'),
];

const fn value(name: &'static str, places: Option<&'static [Place]>) -> Flag {
    Flag { name, short: None, takes: Takes::Value, repeats: false, places }
}

const fn switch(name: &'static str, places: Option<&'static [Place]>) -> Flag {
    Flag { name, short: None, takes: Takes::Nothing, repeats: false, places }
}

impl Flag {
    const fn repeated(mut self) -> Flag {
        self.repeats = true;
        self
    }

    const fn short(mut self, letter: char) -> Flag {
        self.short = Some(letter);
        self
    }

    /// Finds a flag by its long name, without dashes.
    pub fn named(name: &str) -> Option<&'static Flag> {
        FLAGS.iter().find(|flag| flag.name == name)
    }

    /// Returns the flag of the table with this name, which the caller knows to be there.
    ///
    /// # Panics
    ///
    /// Panics if the table has no such flag: that is a slip in this program, not in its use.
    pub fn expect(name: &str) -> &'static Flag {
        match Flag::named(name) {
            Some(flag) => flag,
            None => panic!("the table of flags lacks {name}"),
        }
    }

    /// Finds a flag by its letter.
    pub fn lettered(letter: char) -> Option<&'static Flag> {
        FLAGS.iter().find(|flag| flag.short == Some(letter))
    }

    /// Returns the name of the environment variable that stands in for this flag.
    pub fn variable(&self) -> String {
        format!("SOCKACTORS_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// Returns the flag as it is typed.
    pub fn typed(&self) -> String {
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
    pub fn belongs(&self, kind: Kind, role: Role) -> Result<(), String> {
        let Some(places) = self.places else {
            return Ok(());
        };
        let typed = self.typed();
        if self.name == "connect" && role == Role::Both {
            return Err(format!(
                "{typed} belongs to --role client, not both: there the client connects to its own server"
            ));
        }
        let mut here = places.iter().filter(|place| place.0 == kind).map(|place| place.1);
        if here.clone().any(|side| side.is_of(role)) {
            return Ok(());
        }
        match here.next() {
            Some(side) => {
                let (side, role) = (side.name(), role_name(role));
                Err(format!("{typed} belongs to --role {side}, not {role}"))
            }
            None => Err(format!(
                "{typed} belongs to --scenario {}, not {}",
                scenarios(places),
                kind_name(kind)
            )),
        }
    }
}

/// Lists the scenarios of some places, each once: `udp`, `udp or tcp`, `tcp, udp or chat`.
fn scenarios(places: &[Place]) -> String {
    let mut kinds: Vec<&str> = places.iter().map(|place| kind_name(place.0)).collect();
    kinds.dedup();
    match kinds.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => kinds.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn belongs(name: &str, kind: Kind, role: Role) -> Result<(), String> {
        Flag::expect(name).belongs(kind, role)
    }

    #[test]
    fn a_flag_of_another_scenario_names_its_own() {
        let error = belongs("buffer-size", Tcp, Role::Server).unwrap_err();
        assert_eq!(error, "--buffer-size belongs to --scenario udp, not tcp");
        let error = belongs("message", File, Role::Server).unwrap_err();
        assert_eq!(error, "--message belongs to --scenario tcp, udp or chat, not file");
        let error = FILES.belongs(Udp, Role::Client).unwrap_err();
        assert_eq!(error, "FILE belongs to --scenario file, not udp");
    }

    #[test]
    fn a_flag_of_the_other_role_names_its_own() {
        let error = belongs("out", File, Role::Client).unwrap_err();
        assert_eq!(error, "--out belongs to --role server, not client");
        let error = FILES.belongs(File, Role::Server).unwrap_err();
        assert_eq!(error, "FILE belongs to --role client, not server");
    }

    #[test]
    fn both_sides_flags_belong_to_role_both_except_connect() {
        for flag in FLAGS.iter().filter(|flag| flag.name != "connect") {
            let kind = flag.places.map_or(Tcp, |places| places[0].0);
            assert_eq!(flag.belongs(kind, Role::Both), Ok(()), "{}", flag.name);
        }
        let error = belongs("connect", Chat, Role::Both).unwrap_err();
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
        assert_eq!(flag.variable(), "SOCKACTORS_MAX_CONNS");
    }
}
