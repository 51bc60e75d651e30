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
use crate::cli::args::argv::{EnvLookup, Invocation, RawArgs};
use crate::cli::args::choices::{
    DIALECT_CHOICES, ON_CONFLICT_CHOICES, RECONNECT_CHOICES, RESUME_CHOICES,
};
use crate::cli::args::flags::Flag;
use crate::cli::args::names::{ROLE_CHOICES, SCENARIO_CHOICES};
use crate::cli::args::values;
use crate::cli::args::{Args, PROGRAM};
use crate::cli::exit::ExitStatus;
use crate::cli::output::logger::Color;
use crate::scenario::{Role, Scenario, Settings};
use crate::wire::chat::{validate_nick, validate_room};

pub mod datagrams;
pub mod measuring;

/// The longest text that a datagram carries over IPv4.
const MAX_DATAGRAM_LEN: usize = 65_507;

/// The least that a history on the disk is given: several segments of several lines.
const MIN_HISTORY_SIZE: u64 = 1 << 20;

/// All that a command line and an environment say.
#[derive(Debug)]
pub struct ParsedArgs {
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
pub struct EarlyExit {
    /// What to print, with a line feed at its end: on stdout if `code` is 0, on stderr otherwise.
    pub text: String,
    /// The code to end with.
    pub code: u8,
}

impl EarlyExit {
    fn success(text: String) -> EarlyExit {
        EarlyExit { text, code: ExitStatus::Success as u8 }
    }

    /// Makes the end of a run whose command line was wrong, from a sentence about it.
    pub fn usage(error: impl std::fmt::Display) -> EarlyExit {
        EarlyExit {
            text: format!("{PROGRAM}: {error} (try --help)\n"),
            code: ExitStatus::Usage as u8,
        }
    }
}

impl From<String> for EarlyExit {
    fn from(error: String) -> EarlyExit {
        EarlyExit::usage(error)
    }
}

/// Reads a command line, without the program's own name, and the environment.
///
/// # Errors
///
/// Ends early with the help or the version, or with a sentence about the first thing that is wrong.
pub fn parse(line: Vec<OsString>, env: EnvLookup<'_>) -> Result<ParsedArgs, EarlyExit> {
    let mut words = match Invocation::parse(line)? {
        Invocation::Help => return Err(EarlyExit::success(args::help_text())),
        Invocation::Version => {
            let version = env!("CARGO_PKG_VERSION");
            return Err(EarlyExit::success(format!("{PROGRAM} {version}\n")));
        }
        Invocation::Run(words) => words,
    };
    let kind = resolve_scenario(&mut words, env)?;
    let role = resolve_role(&mut words, env)?;
    words.check(kind, role)?;
    words.read_environment(env, kind, role)?;
    let args = Args::parse(&words.to_argh())?;
    let mut settings = Settings::new(kind, role);
    fill_server(&mut settings, &args, &words)?;
    fill_client(&mut settings, &args, &words)?;
    datagrams::fill_datagrams(&mut settings, &args, &words)?;
    measuring::fill_measuring(&mut settings, &args, &words)?;
    Ok(ParsedArgs {
        settings,
        output: output_settings(&args, &words)?,
        drills: parse_drills(&args, &words)?,
    })
}

fn resolve_scenario(words: &mut RawArgs, env: EnvLookup<'_>) -> Result<Scenario, String> {
    words.read_env_var(env, Flag::expect("scenario"))?;
    match words.value("scenario") {
        Some(text) => values::one_of(&words.display_name("scenario"), text, &SCENARIO_CHOICES),
        None => Err("which scenario? Give --scenario tcp, udp, file or chat".to_owned()),
    }
}

fn resolve_role(words: &mut RawArgs, env: EnvLookup<'_>) -> Result<Role, String> {
    let connects = words.value("connect").is_some();
    if words.value("role").is_none() && connects {
        return Ok(Role::Client);
    }
    words.read_env_var(env, Flag::expect("role"))?;
    if let Some(text) = words.value("role") {
        return values::one_of(&words.display_name("role"), text, &ROLE_CHOICES);
    }
    let variable = env(&Flag::expect("connect").env_var());
    let connects = variable.is_some_and(|text| !text.is_empty());
    match connects && words.value("listen").is_none() {
        true => Ok(Role::Client),
        false => Ok(Role::Server),
    }
}

fn fill_server(to: &mut Settings, args: &Args, words: &RawArgs) -> Result<(), String> {
    let called = |name| words.display_name(name);
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
        let limit = values::integer(&called("max-per-ip"), text, 0..=u32::MAX as usize)?;
        to.max_per_ip = (limit > 0).then_some(limit);
    }
    if let Some(text) = &args.backlog {
        to.backlog = values::integer(&called("backlog"), text, 1..=65535)?;
    }
    if let Some(text) = &args.first_timeout {
        to.first_timeout = values::optional_duration(&called("first-timeout"), text)?;
    }
    if let Some(text) = &args.idle_timeout {
        to.idle_timeout = values::optional_duration(&called("idle-timeout"), text)?;
    }
    if let Some(text) = &args.drain_timeout {
        to.drain_timeout = values::duration(&called("drain-timeout"), text)?;
    }
    if let Some(text) = &args.out {
        to.out = check_directory(&called("out"), text)?.into();
    }
    if let Some(text) = &args.max_size {
        to.max_size = Some(values::size(&called("max-size"), text, 1..=u64::MAX)?);
    }
    if let Some(text) = &args.keep_free {
        to.keep_free = values::size(&called("keep-free"), text, 0..=u64::MAX)?;
    }
    if let Some(text) = &args.on_conflict {
        to.on_conflict = values::one_of(&called("on-conflict"), text, &ON_CONFLICT_CHOICES)?;
    }
    if let Some(text) = &args.part_ttl {
        to.part_ttl = values::optional_duration(&called("part-ttl"), text)?;
    }
    // The digest of a raw upload costs reading its bytes, and the narration does not show it.
    to.raw_digest = args.json;
    if let Some(text) = &args.room {
        to.room = Some(values::validated_name(&called("room"), text, validate_room)?);
    }
    if let Some(text) = &args.dialect {
        to.dialect = values::one_of(&called("dialect"), text, &DIALECT_CHOICES)?;
    }
    if let Some(text) = &args.operator_password_file {
        to.operator_password_file =
            Some(check_file(&called("operator-password-file"), text)?.into());
    }
    if let Some(text) = &args.history {
        to.history = values::integer(&called("history"), text, 0..=4096)?;
    }
    if let Some(text) = &args.history_dir {
        to.history_dir = Some(check_directory(&called("history-dir"), text)?.into());
    }
    if let Some(text) = &args.history_size {
        to.history_size = values::size(&called("history-size"), text, MIN_HISTORY_SIZE..=u64::MAX)?;
    }
    if let Some(text) = &args.threads {
        to.threads = values::integer(&called("threads"), text, 1..=64)?;
    }
    Ok(())
}

fn fill_client(to: &mut Settings, args: &Args, words: &RawArgs) -> Result<(), String> {
    let called = |name| words.display_name(name);
    if let Some(text) = &args.connect {
        to.connect = Some(values::endpoint(&called("connect"), text)?);
    }
    if let Some(text) = &args.message {
        to.message = Some(check_message(&called("message"), text, to.scenario)?);
    }
    if let Some(text) = &args.count {
        to.count = values::positive(&called("count"), text)?;
    }
    if let Some(text) = &args.interval {
        to.interval = values::duration(&called("interval"), text)?;
    }
    if let Some(text) = &args.timeout {
        to.timeout = values::nonzero_duration(&called("timeout"), text)?;
    }
    if let Some(text) = &args.nick {
        to.nick = Some(values::validated_name(&called("nick"), text, validate_nick)?);
    }
    to.raw = args.raw;
    if let Some(text) = &args.resume {
        to.resume = values::one_of(&called("resume"), text, &RESUME_CHOICES)?;
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

fn check_directory<'a>(called: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{called}: an empty name is no directory; \".\" is this one")),
        text => Ok(text),
    }
}

fn check_file<'a>(called: &str, text: &'a str) -> Result<&'a str, String> {
    match text {
        "" => Err(format!("{called}: an empty name is no file")),
        text => Ok(text),
    }
}

fn check_message(called: &str, text: &str, kind: Scenario) -> Result<String, String> {
    let length = text.len();
    if kind == Scenario::Udp && length > MAX_DATAGRAM_LEN {
        return Err(format!(
            "{called} is {length} bytes long; a datagram carries at most {MAX_DATAGRAM_LEN}"
        ));
    }
    Ok(text.to_owned())
}

fn output_settings(args: &Args, words: &RawArgs) -> Result<OutputSettings, String> {
    let color = match &args.color {
        Some(text) => values::one_of(&words.display_name("color"), text, &Color::CHOICES)?,
        None => Color::default(),
    };
    Ok(OutputSettings {
        json: args.json,
        quiet: args.quiet,
        verbose: args.verbose,
        color,
        no_input: args.no_input,
        reconnect: match &args.reconnect {
            Some(text) => {
                values::one_of(&words.display_name("reconnect"), text, &RECONNECT_CHOICES)?
            }
            None => None,
        },
    })
}

fn parse_drills(args: &Args, words: &RawArgs) -> Result<Vec<(String, u32)>, String> {
    let called = words.display_name("drill");
    args.drill.iter().map(|text| values::drill(&called, text)).collect()
}

#[cfg(test)]
mod tests;
