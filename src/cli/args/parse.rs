//! Conversion of a command line and an environment to the settings of a run, or to an early exit.
//!
//! The order decides which error a user sees first. Unknown words come first. Then the scenario
//! and the role are found, because all further checks need them. Flags out of their scope are
//! next, then values out of their range.
//!
//! The role is that of `--role`, or else the one that other flags imply: a client for `--connect`,
//! a server for `--listen`. The command line is read before the environment.

use std::ffi::OsString;
use std::time::Duration;

use crate::cli::args::argv::{EnvLookup, Invocation, RawArgs};
use crate::cli::args::completions::{SHELL_CHOICES, completions};
use crate::cli::args::flags::Flag;
use crate::cli::args::help::{help, scenario_help, short_help};
use crate::cli::args::values::{
    self, COLOR_CHOICES, DIALECT_CHOICES, ON_CONFLICT_CHOICES, RECONNECT_CHOICES, RESUME_CHOICES,
};
use crate::cli::args::{Args, PROGRAM};
use crate::cli::exit::ExitStatus;
use crate::cli::output::settings::OutputSettings;
use crate::scenario::{Role, Scenario, Settings};
use crate::wire::chat::{validate_nick, validate_room};

/// The largest payload of a datagram over IPv4, in bytes.
const MAX_DATAGRAM_LEN: usize = 65_507;

/// The minimum size of a history directory, in bytes. It holds several segments of several lines.
const MIN_HISTORY_SIZE: u64 = 1 << 20;

/// The result of a command line and an environment.
#[derive(Debug)]
pub struct ParsedArgs {
    /// The scenario to run.
    pub settings: Settings,
    /// The form of the output.
    pub output: OutputSettings,
    /// The paths of the actors to crash, each with a number of crashes.
    pub drills: Vec<(String, u32)>,
}

/// An exit before anything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyExit {
    /// The text to print, with a line feed: on stdout if `code` is 0, otherwise on stderr.
    pub text: String,
    /// The exit code.
    pub code: u8,
}

/// The result of a command line without errors.
enum Parsed {
    Run(Box<ParsedArgs>),
    /// Print this text and exit.
    Print(String),
}

/// Reads a command line, without the program's own name, and the environment.
///
/// # Errors
///
/// Returns an early exit with the help, the version, or a sentence about the first error and the
/// command that helps.
pub fn parse(words: Vec<OsString>, env: EnvLookup<'_>) -> Result<ParsedArgs, EarlyExit> {
    let has_scenario =
        env(&Flag::expect("scenario").env_var()).is_some_and(|name| !name.is_empty());
    if words.is_empty() && !has_scenario {
        return Err(EarlyExit { text: short_help(), code: ExitStatus::Usage as u8 });
    }
    let mut scenario = None;
    let (text, code) = match parse_in(words, env, &mut scenario) {
        Ok(Parsed::Run(parsed)) => return Ok(*parsed),
        Ok(Parsed::Print(text)) => (text, ExitStatus::Success),
        Err(error) => {
            let scenario = scenario.map_or(String::new(), |scenario| format!("{scenario} "));
            (format!("{PROGRAM}: {error} (run: {PROGRAM} {scenario}--help)\n"), ExitStatus::Usage)
        }
    };
    Err(EarlyExit { text, code: code as u8 })
}

/// Reads a command line and the environment. Sets `name` to the scenario's as soon as it is known.
fn parse_in(
    words: Vec<OsString>,
    env: EnvLookup<'_>,
    name: &mut Option<&'static str>,
) -> Result<Parsed, String> {
    let mut raw = match Invocation::parse(words)? {
        Invocation::Help(mut raw) => {
            let scenario = resolve_scenario(&mut raw, env).ok();
            return Ok(Parsed::Print(scenario.map_or_else(help, scenario_help)));
        }
        Invocation::Version => {
            let version = env!("CARGO_PKG_VERSION");
            return Ok(Parsed::Print(format!("{PROGRAM} {version}\n")));
        }
        Invocation::Run(raw) => raw,
    };
    if let Some(shell) = raw.value("completions") {
        let shell = values::one_of("--completions", shell, &SHELL_CHOICES)?;
        return Ok(Parsed::Print(completions(shell)));
    }
    let scenario = resolve_scenario(&mut raw, env)?;
    *name = Some(scenario.name());
    let role = resolve_role(&mut raw, env)?;
    raw.check(scenario, role)?;
    raw.read_environment(env, scenario, role)?;
    let args = Args::parse(&raw.to_argh())?;
    let mut settings = Settings::new(scenario, role);
    fill_server(&mut settings, &args, &raw)?;
    fill_client(&mut settings, &args, &raw)?;
    fill_datagrams(&mut settings, &args, &raw)?;
    fill_measuring(&mut settings, &args, &raw)?;
    let output = output_settings(&args, &raw)?;
    let drills = parse_drills(&args, &raw)?;
    Ok(Parsed::Run(Box::new(ParsedArgs { settings, output, drills })))
}

fn resolve_scenario(raw: &mut RawArgs, env: EnvLookup<'_>) -> Result<Scenario, String> {
    raw.read_env_var(env, Flag::expect("scenario"))?;
    if let Some(text) = raw.value("scenario") {
        return values::scenario(&raw.display_name("scenario"), text);
    }
    match raw.first_file() {
        Some(word) => values::scenario("the scenario", word),
        None => Err(format!("the scenario is missing: run {PROGRAM} tcp, udp, file or chat")),
    }
}

fn resolve_role(raw: &mut RawArgs, env: EnvLookup<'_>) -> Result<Role, String> {
    if raw.value("role").is_none() && raw.value("connect").is_some() {
        return Ok(Role::Client);
    }
    raw.read_env_var(env, Flag::expect("role"))?;
    if let Some(text) = raw.value("role") {
        return values::role(&raw.display_name("role"), text);
    }
    let connect = env(&Flag::expect("connect").env_var());
    let has_connect = connect.is_some_and(|text| !text.is_empty());
    match has_connect && raw.value("listen").is_none() {
        true => Ok(Role::Client),
        false => Ok(Role::Server),
    }
}

/// The smallest value of `--max-memory`, in bytes.
const MIN_MEMORY: u64 = 1 << 20;

/// Sets the fields of `settings` from the server flags and the flags of both sides.
fn fill_server(settings: &mut Settings, args: &Args, raw: &RawArgs) -> Result<(), String> {
    let name = |flag| raw.display_name(flag);
    let port = settings.scenario.default_port();
    for text in &args.listen {
        settings.listen.push(values::listen_address(&name("listen"), text, port)?);
    }
    if let Some(text) = &args.clients {
        settings.clients = Some(values::positive(&name("clients"), text)?);
    }
    if let Some(text) = &args.max_conns {
        settings.max_conns = Some(values::positive(&name("max-conns"), text)?);
    }
    if let Some(text) = &args.max_per_ip {
        let limit = values::integer(&name("max-per-ip"), text, 0..=u32::MAX as usize)?;
        settings.max_per_ip = Some((limit > 0).then_some(limit));
    }
    if let Some(text) = &args.max_memory {
        settings.max_memory = Some(values::size(&name("max-memory"), text, MIN_MEMORY..=u64::MAX)?);
    }
    if let Some(text) = &args.backlog {
        settings.backlog = values::integer(&name("backlog"), text, 1..=65535)?;
    }
    if let Some(text) = &args.first_timeout {
        settings.first_timeout = values::optional_duration(&name("first-timeout"), text)?;
    }
    if let Some(text) = &args.idle_timeout {
        settings.idle_timeout = values::optional_duration(&name("idle-timeout"), text)?;
    }
    if let Some(text) = &args.drain_timeout {
        settings.drain_timeout = values::duration(&name("drain-timeout"), text)?;
    }
    if let Some(text) = &args.out {
        settings.out = values::directory(&name("out"), text)?.into();
    }
    if let Some(text) = &args.max_size {
        settings.max_size = Some(values::size(&name("max-size"), text, 1..=u64::MAX)?);
    }
    if let Some(text) = &args.max_files {
        settings.max_files = Some(values::positive(&name("max-files"), text)?);
    }
    if let Some(text) = &args.min_rate {
        settings.min_rate = values::byte_rate(&name("min-rate"), text)?;
    }
    if let Some(text) = &args.keep_free {
        settings.keep_free = values::size(&name("keep-free"), text, 0..=u64::MAX)?;
    }
    if let Some(text) = &args.on_conflict {
        settings.on_conflict = values::one_of(&name("on-conflict"), text, &ON_CONFLICT_CHOICES)?;
    }
    if let Some(text) = &args.part_ttl {
        settings.part_ttl = values::optional_duration(&name("part-ttl"), text)?;
    }
    // Only the JSON output shows the digest of a raw upload. Hashing requires reading its bytes.
    settings.raw_digest = args.json;
    if let Some(text) = &args.room {
        settings.room = Some(values::validated_name(&name("room"), text, validate_room)?);
    }
    if let Some(text) = &args.dialect {
        settings.dialect = values::one_of(&name("dialect"), text, &DIALECT_CHOICES)?;
    }
    if let Some(text) = &args.operator_password_file {
        settings.operator_password_file =
            Some(values::file(&name("operator-password-file"), text)?.into());
    }
    if let Some(text) = &args.history {
        settings.history = values::integer(&name("history"), text, 0..=4096)?;
    }
    if let Some(text) = &args.history_dir {
        settings.history_dir = Some(values::directory(&name("history-dir"), text)?.into());
    }
    if let Some(text) = &args.history_size {
        settings.history_size =
            values::size(&name("history-size"), text, MIN_HISTORY_SIZE..=u64::MAX)?;
    }
    if let Some(text) = &args.threads {
        settings.threads = values::integer(&name("threads"), text, 1..=64)?;
    }
    Ok(())
}

/// Sets the fields of `settings` from the client flags.
fn fill_client(settings: &mut Settings, args: &Args, raw: &RawArgs) -> Result<(), String> {
    let name = |flag| raw.display_name(flag);
    if let Some(text) = &args.connect {
        settings.connect =
            Some(values::endpoint(&name("connect"), text, settings.scenario.default_port())?);
    }
    if let Some(text) = &args.message {
        settings.message = Some(check_message(&name("message"), text, settings.scenario)?);
    }
    if let Some(text) = &args.count {
        settings.count = values::integer(&name("count"), text, 0..=u64::MAX)?;
    }
    if let Some(text) = &args.interval {
        settings.interval = values::duration(&name("interval"), text)?;
    }
    if let Some(text) = &args.timeout {
        settings.timeout = values::nonzero_duration(&name("timeout"), text)?;
    }
    if let Some(text) = &args.nick {
        settings.nick = Some(values::validated_name(&name("nick"), text, validate_nick)?);
    }
    settings.raw = args.raw;
    if let Some(text) = &args.resume {
        settings.resume = values::one_of(&name("resume"), text, &RESUME_CHOICES)?;
        if settings.raw && settings.resume {
            let resume = name("resume");
            return Err(format!(
                "{resume} {text} cannot be used with --raw: a raw upload cannot be resumed"
            ));
        }
    }
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        return Err("\"-\" (stdin) can be sent only once".to_owned());
    }
    settings.files = args.files.iter().map(Into::into).collect();
    Ok(())
}

fn check_message(name: &str, text: &str, scenario: Scenario) -> Result<String, String> {
    let length = text.len();
    if scenario == Scenario::Udp && length > MAX_DATAGRAM_LEN {
        return Err(format!(
            "{name} has {length} bytes; a datagram carries at most {MAX_DATAGRAM_LEN}"
        ));
    }
    Ok(text.to_owned())
}

/// Sets the fields of `settings` from the flags of the udp scenario.
fn fill_datagrams(settings: &mut Settings, args: &Args, raw: &RawArgs) -> Result<(), String> {
    let name = |flag| raw.display_name(flag);
    if let Some(text) = &args.buffer_size {
        let size = values::size(&name("buffer-size"), text, 1..=65535)?;
        settings.buffer_size = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(text) = &args.reply_rate {
        settings.reply_rate = Some(match text.as_str() {
            "off" => None,
            text => Some(values::rate(&name("reply-rate"), text)?),
        });
    }
    settings.allow_amplification = args.allow_amplification;
    for text in &args.join_group {
        let group = text.parse().map_err(|error| format!("{}: {error}", name("join-group")))?;
        settings.groups.push(group);
    }
    Ok(())
}

/// Sets the fields for measuring clients, and `--rate`, which the chat server uses too.
fn fill_measuring(settings: &mut Settings, args: &Args, raw: &RawArgs) -> Result<(), String> {
    let name = |flag| raw.display_name(flag);
    if let Some(text) = &args.size {
        let size = values::size(&name("size"), text, 0..=MAX_DATAGRAM_LEN as u64)?;
        settings.size = Some(usize::try_from(size).unwrap_or(MAX_DATAGRAM_LEN));
    }
    if let Some(text) = &args.concurrency {
        settings.concurrency = Some(values::integer(&name("concurrency"), text, 1..=1024)?);
        if args.interval.is_none() {
            settings.interval = Duration::ZERO;
        }
    }
    if let Some(text) = &args.max_loss {
        settings.max_loss = Some(values::percent(&name("max-loss"), text)?);
    }
    if let Some(text) = &args.rate {
        match settings.scenario {
            Scenario::Udp => fill_flood(settings, args, raw, text)?,
            _ => settings.rate = Some(values::rate(&name("rate"), text)?),
        }
    }
    Ok(())
}

/// Sets the rate of requests: `N` per second, or `N/DUR`. Without `--count` it has no end.
fn fill_flood(
    settings: &mut Settings,
    args: &Args,
    raw: &RawArgs,
    text: &str,
) -> Result<(), String> {
    let (rate, interval) = (raw.display_name("rate"), raw.display_name("interval"));
    if args.interval.is_some() {
        return Err(format!("{rate} and {interval} both set the rate; give only one of them"));
    }
    settings.flood = Some(match text.contains('/') {
        true => values::rate(&rate, text)?,
        false => (values::positive(&rate, text)?, Duration::from_secs(1)),
    });
    if args.count.is_none() {
        settings.count = 0;
    }
    Ok(())
}

fn output_settings(args: &Args, raw: &RawArgs) -> Result<OutputSettings, String> {
    let name = |flag| raw.display_name(flag);
    Ok(OutputSettings {
        json: args.json,
        quiet: args.quiet,
        verbose: args.verbose,
        color: match &args.color {
            Some(text) => values::one_of(&name("color"), text, &COLOR_CHOICES)?,
            None => Default::default(),
        },
        no_input: args.no_input,
        reconnect: match &args.reconnect {
            Some(text) => values::one_of(&name("reconnect"), text, &RECONNECT_CHOICES)?,
            None => None,
        },
    })
}

fn parse_drills(args: &Args, raw: &RawArgs) -> Result<Vec<(String, u32)>, String> {
    let name = raw.display_name("drill");
    args.drill.iter().map(|text| values::drill(&name, text)).collect()
}

#[cfg(test)]
mod tests;
