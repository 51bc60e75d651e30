//! From a command line and an environment to the settings of a run, or to an early end.
//!
//! The order matters for what a user is told first: words that make no sense; then which scenario and role
//! it is, since the rest is judged by them; then flags that belong elsewhere; then each value in its range.
//!
//! The role is the one of `--role`, or else what the other flags imply: `--connect` a client, `--listen` a
//! server. What stands on the line is asked before the environment.

use std::ffi::OsString;

use crate::actors::Reconnect;
use crate::cli::args;
use crate::cli::args::argv::{Env, Line, Words};
use crate::cli::args::choices::{CONFLICTS, DIALECTS, RECONNECTS, RESUMES};
use crate::cli::args::flags::Flag;
use crate::cli::args::names::{KINDS, ROLES};
use crate::cli::args::values;
use crate::cli::args::{Args, PROGRAM};
use crate::cli::exit::Code;
use crate::cli::output::logger::Color;
use crate::scenario::{Kind, Role, Settings};
use crate::wire::chat::{valid_nick, valid_room};

pub mod datagrams;
pub mod measuring;

/// The longest text that a datagram carries over IPv4.
const LONGEST_DATAGRAM: usize = 65_507;

/// The least that a history on the disk is given: several segments of several lines.
const HISTORY_LEAST: u64 = 1 << 20;

/// All that a command line and an environment say.
#[derive(Debug)]
pub struct Parsed {
    /// What to run.
    pub settings: Settings,
    /// How to show it.
    pub output: OutputSettings,
    /// Which actors to crash, by path, and how often.
    pub drills: Vec<(String, u32)>,
}

/// How a run is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputSettings {
    /// stdout is one JSON object a line.
    pub json: bool,
    /// Only results and errors are shown.
    pub quiet: bool,
    /// How much more than usual stderr tells.
    pub verbose: u8,
    /// Whether stderr is coloured.
    pub color: Color,
    /// Nobody is ever prompted.
    pub no_input: bool,
    /// Whether a chat client calls again; where nothing is said, that depends on the terminal.
    pub reconnect: Option<Reconnect>,
}

/// An end before anything ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Early {
    /// What to print, with a line feed at its end: on stdout if `code` is 0, on stderr otherwise.
    pub text: String,
    /// The code to end with.
    pub code: u8,
}

impl Early {
    fn well(text: String) -> Early {
        Early { text, code: Code::Well as u8 }
    }

    /// Makes the end of a run whose command line was wrong, from a sentence about it.
    pub fn usage(error: impl std::fmt::Display) -> Early {
        Early { text: format!("{PROGRAM}: {error} (try --help)\n"), code: Code::Usage as u8 }
    }
}

impl From<String> for Early {
    fn from(error: String) -> Early {
        Early::usage(error)
    }
}

/// Reads a command line, without the program's own name, and the environment.
///
/// # Errors
///
/// Ends early with the help or the version, or with a sentence about the first thing that is wrong.
pub fn parse(line: Vec<OsString>, env: Env<'_>) -> Result<Parsed, Early> {
    let mut words = match Line::split(line)? {
        Line::Help => return Err(Early::well(args::help())),
        Line::Version => {
            let version = env!("CARGO_PKG_VERSION");
            return Err(Early::well(format!("{PROGRAM} {version}\n")));
        }
        Line::Run(words) => words,
    };
    let kind = find_kind(&mut words, env)?;
    let role = find_role(&mut words, env)?;
    words.check(kind, role)?;
    words.take_environment(env, kind, role)?;
    let args = Args::of(&words.for_argh())?;
    let mut settings = Settings::new(kind, role);
    fill_server(&mut settings, &args, &words)?;
    fill_client(&mut settings, &args, &words)?;
    datagrams::fill(&mut settings, &args, &words)?;
    measuring::fill(&mut settings, &args, &words)?;
    Ok(Parsed { settings, output: output(&args, &words)?, drills: drills(&args, &words)? })
}

fn find_kind(words: &mut Words, env: Env<'_>) -> Result<Kind, String> {
    words.take_variable(env, Flag::expect("scenario"))?;
    match words.value("scenario") {
        Some(text) => values::one_of(&words.called("scenario"), text, &KINDS),
        None => Err("which scenario? Give --scenario tcp, udp, file or chat".to_owned()),
    }
}

fn find_role(words: &mut Words, env: Env<'_>) -> Result<Role, String> {
    let connects = words.value("connect").is_some();
    if words.value("role").is_none() && connects {
        return Ok(Role::Client);
    }
    words.take_variable(env, Flag::expect("role"))?;
    if let Some(text) = words.value("role") {
        return values::one_of(&words.called("role"), text, &ROLES);
    }
    let variable = env(&Flag::expect("connect").variable());
    let connects = variable.is_some_and(|text| !text.is_empty());
    match connects && words.value("listen").is_none() {
        true => Ok(Role::Client),
        false => Ok(Role::Server),
    }
}

fn fill_server(to: &mut Settings, args: &Args, words: &Words) -> Result<(), String> {
    let called = |name| words.called(name);
    for text in &args.listen {
        to.listen.push(values::endpoint(&called("listen"), text)?);
    }
    if let Some(text) = &args.clients {
        to.clients = Some(values::positive(&called("clients"), text)?);
    }
    if let Some(text) = &args.max_conns {
        to.max_conns = values::positive(&called("max-conns"), text)?;
    }
    if let Some(text) = &args.max_per_ip {
        let limit = values::whole(&called("max-per-ip"), text, 0..=u32::MAX as usize)?;
        to.max_per_ip = (limit > 0).then_some(limit);
    }
    if let Some(text) = &args.backlog {
        to.backlog = values::whole(&called("backlog"), text, 1..=65535)?;
    }
    if let Some(text) = &args.first_timeout {
        to.first_timeout = values::limit(&called("first-timeout"), text)?;
    }
    if let Some(text) = &args.idle_timeout {
        to.idle_timeout = values::limit(&called("idle-timeout"), text)?;
    }
    if let Some(text) = &args.drain_timeout {
        to.drain_timeout = values::duration(&called("drain-timeout"), text)?;
    }
    if let Some(text) = &args.out {
        to.out = directory(&called("out"), text)?.into();
    }
    if let Some(text) = &args.max_size {
        to.max_size = Some(values::size(&called("max-size"), text, 1..=u64::MAX)?);
    }
    if let Some(text) = &args.keep_free {
        to.keep_free = values::size(&called("keep-free"), text, 0..=u64::MAX)?;
    }
    if let Some(text) = &args.on_conflict {
        to.on_conflict = values::one_of(&called("on-conflict"), text, &CONFLICTS)?;
    }
    if let Some(text) = &args.part_ttl {
        to.part_ttl = values::limit(&called("part-ttl"), text)?;
    }
    // The digest of a raw upload costs reading its bytes, and the narration does not show it.
    to.raw_digest = args.json;
    if let Some(text) = &args.room {
        to.room = Some(values::named(&called("room"), text, valid_room)?);
    }
    if let Some(text) = &args.dialect {
        to.dialect = values::one_of(&called("dialect"), text, &DIALECTS)?;
    }
    if let Some(text) = &args.operator_password_file {
        to.operator_password_file = Some(file(&called("operator-password-file"), text)?.into());
    }
    if let Some(text) = &args.history {
        to.history = values::whole(&called("history"), text, 0..=4096)?;
    }
    if let Some(text) = &args.history_dir {
        to.history_dir = Some(directory(&called("history-dir"), text)?.into());
    }
    if let Some(text) = &args.history_size {
        to.history_size = values::size(&called("history-size"), text, HISTORY_LEAST..=u64::MAX)?;
    }
    if let Some(text) = &args.threads {
        to.threads = values::whole(&called("threads"), text, 1..=64)?;
    }
    Ok(())
}

fn fill_client(to: &mut Settings, args: &Args, words: &Words) -> Result<(), String> {
    let called = |name| words.called(name);
    if let Some(text) = &args.connect {
        to.connect = Some(values::endpoint(&called("connect"), text)?);
    }
    if let Some(text) = &args.message {
        to.message = Some(message(&called("message"), text, to.kind)?);
    }
    if let Some(text) = &args.count {
        to.count = values::positive(&called("count"), text)?;
    }
    if let Some(text) = &args.interval {
        to.interval = values::duration(&called("interval"), text)?;
    }
    if let Some(text) = &args.timeout {
        to.timeout = values::some_duration(&called("timeout"), text)?;
    }
    if let Some(text) = &args.nick {
        to.nick = Some(values::named(&called("nick"), text, valid_nick)?);
    }
    to.raw = args.raw;
    if let Some(text) = &args.resume {
        to.resume = values::one_of(&called("resume"), text, &RESUMES)?;
        if to.raw && to.resume {
            let resume = called("resume");
            return Err(format!(
                "{resume} {text} and --raw: a plain server holds nothing to resume"
            ));
        }
    }
    if args.files.iter().filter(|name| *name == "-").count() > 1 {
        return Err("\"-\" is stdin, which can be sent once".to_owned());
    }
    to.files = args.files.iter().map(Into::into).collect();
    Ok(())
}

fn directory<'a>(called: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{called}: an empty name is no directory; \".\" is this one")),
        text => Ok(text),
    }
}

fn file<'a>(called: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{called}: an empty name is no file")),
        text => Ok(text),
    }
}

fn message(called: &str, text: &str, kind: Kind) -> Result<String, String> {
    let length = text.len();
    if kind == Kind::Udp && length > LONGEST_DATAGRAM {
        return Err(format!(
            "{called} is {length} bytes long; a datagram carries at most {LONGEST_DATAGRAM}"
        ));
    }
    Ok(text.to_owned())
}

fn output(args: &Args, words: &Words) -> Result<OutputSettings, String> {
    let color = match &args.color {
        Some(text) => values::one_of(&words.called("color"), text, &Color::CHOICES)?,
        None => Color::default(),
    };
    Ok(OutputSettings {
        json: args.json,
        quiet: args.quiet,
        verbose: args.verbose,
        color,
        no_input: args.no_input,
        reconnect: match &args.reconnect {
            Some(text) => values::one_of(&words.called("reconnect"), text, &RECONNECTS)?,
            None => None,
        },
    })
}

fn drills(args: &Args, words: &Words) -> Result<Vec<(String, u32)>, String> {
    let called = words.called("drill");
    args.drill.iter().map(|text| values::drill(&called, text)).collect()
}

#[cfg(test)]
mod tests;
