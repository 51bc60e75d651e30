//! The texts of `--help`: one for the program, and one for each scenario.
//!
//! Both are rendered from argh's description of the flags and the table of scopes, with one line
//! per flag. Flags of other scenarios are left out, because they would be errors.

use std::fmt::Write;

use argh::ArgsInfo;

use crate::cli::args::flags::{Flag, Scope, flags};
use crate::cli::args::{Args, PROGRAM};
use crate::scenario::Scenario::{self, Chat, File, Tcp, Udp};
use crate::scenario::Side::{self, Client, Server};

/// The column where descriptions begin. A longer flag moves its own description.
const DESCRIPTION_COLUMN: usize = 36;

/// The descriptions of flags whose meaning depends on the scope.
const SCOPED_DESCRIPTIONS: &[(&str, Scope, &str)] = &[
    ("message", (Tcp, Server), "text of the greeting (Thank you for connecting)"),
    ("message", (Udp, Server), "text of the reply (Hello UDP Client)"),
    ("message", (Udp, Client), "text of the request (Hello UDP Server)"),
    ("message", (Chat, Client), "send this line, then leave (lines from stdin)"),
    ("room", (Chat, Server), "name of the default room (lobby)"),
    ("room", (Chat, Client), "room to join (the server's default room)"),
    ("rate", (Udp, Client), "requests per second, N or N/DUR; waits for no reply (off)"),
    ("rate", (Chat, Server), "lines per client; ten times as many per address (100/10s)"),
];

/// Returns the text of a wrong call without arguments: the scenarios, and how to learn more.
pub fn short_help() -> String {
    let mut text = format!(
        "Usage: {PROGRAM} SCENARIO [FLAGS] [FILE...]   (or --scenario SCENARIO)\n\n\
         Runs a server, or with --connect ENDPOINT a client, of one of four scenarios:\n\n"
    );
    for scenario in Scenario::ALL {
        let (name, endpoint) = (scenario.name(), scenario.default_endpoint());
        let _ = writeln!(text, "  {name:<6}{} (default {endpoint})", summary(scenario));
    }
    let _ = write!(
        text,
        "\nTry in two terminals:\n\n  \
           {PROGRAM} chat\n  \
           {PROGRAM} chat --connect 127.0.0.1 --nick ada\n\n\
         Learn more:\n\n  \
           {PROGRAM} --help        common flags, endpoints, units, environment, exit codes\n  \
           {PROGRAM} chat --help   every flag of a scenario\n"
    );
    text
}

/// Returns the text of `--help` without a scenario.
pub fn help() -> String {
    let mut text = short_help();
    write_flags(&mut text, "Common flags", None, |flag| flag.scopes.is_none());
    text.push('\n');
    let info = Args::get_args_info();
    for note in info.notes {
        let _ = writeln!(text, "{note}");
    }
    text.push_str("\nExit codes:\n  0    success\n");
    for exit in info.error_codes {
        let _ = writeln!(text, "  {:<5}{}", exit.code, exit.description);
    }
    text
}

/// Returns the text of `--help` with a scenario: its flags, grouped by role.
pub fn scenario_help(scenario: Scenario) -> String {
    let (name, endpoint) = (scenario.name(), scenario.default_endpoint());
    let files = if scenario == File { " [FILE...]" } else { "" };
    let mut text = format!(
        "{PROGRAM} {name}: {}\n\n\
         Usage: {PROGRAM} {name} [FLAGS]\n       \
                {PROGRAM} {name} --connect ENDPOINT [FLAGS]{files}\n       \
                {PROGRAM} {name} --role both [FLAGS]{files}\n\n\
         Without --connect and --role it is a server. The default address is {endpoint}.\n",
        summary(scenario)
    );
    let is_shared = |flag: &Flag| {
        flag.is_used_by(scenario, Server)
            && flag.is_used_by(scenario, Client)
            && scoped_description(flag, (scenario, Server)).is_none()
    };
    write_flags(&mut text, "Common flags", None, is_shared);
    for (side, title) in [(Server, "Server flags"), (Client, "Client flags")] {
        let is_listed = |flag: &Flag| flag.is_used_by(scenario, side) && !is_shared(flag);
        write_flags(&mut text, title, Some((scenario, side)), is_listed);
    }
    if scenario == File {
        let file = Args::get_args_info().positionals.first().map_or("", |file| file.description);
        let _ = writeln!(text, "{:<DESCRIPTION_COLUMN$}{file}", "      FILE...");
    }
    let _ =
        writeln!(text, "\n{PROGRAM} --help explains endpoints, units, environment, exit codes.");
    text
}

/// Returns the purpose of a scenario.
fn summary(scenario: Scenario) -> &'static str {
    match scenario {
        Tcp => "a greeting for each connection",
        Udp => "a reply to each datagram",
        File => "verified transfer of files and directories",
        Chat => "rooms for our client, netcat and the lecture's client",
    }
}

/// Returns the description of a flag that is only true in `scope`.
fn scoped_description(flag: &Flag, scope: Scope) -> Option<&'static str> {
    let row = SCOPED_DESCRIPTIONS.iter().find(|row| row.0 == flag.name && row.1 == scope);
    row.map(|row| row.2)
}

/// Writes a heading, and a line for each flag that `is_listed` accepts.
fn write_flags(
    text: &mut String,
    title: &str,
    scope: Option<(Scenario, Side)>,
    is_listed: impl Fn(&Flag) -> bool,
) {
    let _ = writeln!(text, "\n{title}:");
    for flag in flags().iter().filter(|flag| is_listed(flag)) {
        let description = scope.and_then(|scope| scoped_description(flag, scope));
        write_flag(text, &label(flag), description.unwrap_or(flag.description));
    }
    if scope.is_none() {
        write_flag(text, "  -h, --help", "print this help, or that of a scenario");
    }
}

fn write_flag(text: &mut String, label: &str, description: &str) {
    let _ = writeln!(text, "{label:<width$}  {description}", width = DESCRIPTION_COLUMN - 2);
}

/// Returns the flag and its value as they are typed, such as `  -q, --quiet`.
fn label(flag: &Flag) -> String {
    let short = flag.short.map_or("   ".to_owned(), |short| format!("-{short},"));
    let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
    format!("  {short} --{}{value}", flag.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_help_lists_its_flags_once_per_side_and_no_others() {
        for scenario in Scenario::ALL {
            let text = scenario_help(scenario);
            for flag in flags() {
                let is_used = [Server, Client].iter().any(|side| flag.is_used_by(scenario, *side));
                let word = format!(" --{} ", flag.name);
                let listed = text.lines().filter(|line| format!("{line} ").contains(&word));
                let is_entry = |line: &&str| line.trim_start().starts_with('-');
                let count = listed.filter(is_entry).count();
                let scoped = SCOPED_DESCRIPTIONS.iter();
                let texts = scoped.filter(|row| row.0 == flag.name && row.1.0 == scenario).count();
                let wanted = usize::from(is_used).max(texts);
                assert_eq!(count, wanted, "{scenario:?} --{}\n{text}", flag.name);
            }
        }
    }

    #[test]
    fn help_fits_a_terminal_of_100_columns() {
        let scenarios = Scenario::ALL.map(scenario_help);
        for text in [short_help(), help()].iter().chain(&scenarios) {
            assert!(text.ends_with('\n'));
            for line in text.lines() {
                assert!(line.chars().count() <= 100 && line.trim_end() == line, "{line:?}");
            }
        }
    }

    #[test]
    fn scoped_descriptions_belong_to_existing_scopes() {
        for (name, (scenario, side), _) in SCOPED_DESCRIPTIONS {
            let flag = Flag::expect(name);
            assert!(flag.scopes.is_some() && flag.is_used_by(*scenario, *side), "{name}");
        }
    }
}
