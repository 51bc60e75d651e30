//! The program from its first word to its exit code: parse, compose, run.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::args::argv::EnvLookup;
use super::args::names::{Side, scenario_name};
use super::args::parse::{OutputSettings, ParsedArgs, parse};
use super::exit::ExitStatus;
use super::output::background_writer::BackgroundWriter;
use super::output::lifecycle::LifecycleLog;
use super::output::logger::{LogFormat, Logger};
use super::output::printer::{OnError, Printer, Sink, Style, stderr, stdout};
use super::output::progress::ProgressBars;
use super::terminal::stdin;
use super::terminal::{LineReader, Terminal};
use crate::actors::{ChatInput, ConsoleLine, FileInput, Reconnect, Report, Reporter};
use crate::net::{Endpoint, max_open_files, raise_open_file_limit};
use crate::runtime::{
    Child, Exit, Shutdown, Snapshot, StopReason, Strategy, Supervisor, System, record_backtraces,
};
use crate::scenario::{BuiltScenario, InputAddress, Reporters, Role, Scenario, Settings, build};
use crate::wire::text::decode_lossy;

/// How long what is still to be told may take at the end: nobody may be reading.
const OUTPUT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The prompt of an operator's console.
const CONSOLE_PROMPT: &str = "operator> ";

/// How long an actor may keep its thread before the log names it.
const STALL_LIMIT: Duration = Duration::from_secs(2);

/// Runs the program with the process's own arguments, environment and streams.
pub fn main() -> ExitCode {
    let line = env::args_os().skip(1).collect();
    let env = |name: &str| env::var_os(name);
    match parse(line, &env) {
        Ok(parsed) => {
            let (terminal, reader) = open_terminal(&parsed, &env).unzip();
            let bars = match parsed.settings.scenario == Scenario::File && !parsed.output.quiet {
                true => ProgressBars::for_stderr(&env),
                false => ProgressBars::default(),
            };
            let log = terminal.as_ref().map_or_else(stderr, Terminal::stderr);
            let log = bars.wrap_sink(log);
            let scribe = Logger::new(&parsed.output, &env, log).install();
            let code = run(parsed, scribe, bars, terminal.as_ref(), reader);
            log::logger().flush();
            if let Some(terminal) = terminal {
                terminal.close();
            }
            code.into()
        }
        Err(early) => {
            // There is nobody left to tell when the stream itself is closed.
            let _ = match early.code {
                0 => io::stdout().write_all(early.text.as_bytes()),
                _ => io::stderr().write_all(early.text.as_bytes()),
            };
            ExitCode::from(early.code)
        }
    }
}

/// Opens the terminal for a chat with a person at it.
fn open_terminal(parsed: &ParsedArgs, env: EnvLookup<'_>) -> Option<(Terminal, LineReader)> {
    let ParsedArgs { settings, output, .. } = parsed;
    let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
    if settings.scenario != Scenario::Chat
        || settings.message.is_some()
        || output.json
        || output.no_input
        || is_dumb
    {
        return None;
    }
    Terminal::open(LogFormat::is_stdout_colored(output.color, env))
}

/// Runs what was asked for, and returns the code to end with.
fn run(
    ParsedArgs { mut settings, output, drills }: ParsedArgs,
    stderr: Arc<BackgroundWriter>,
    bars: ProgressBars,
    terminal: Option<&Terminal>,
    reader: Option<LineReader>,
) -> ExitStatus {
    settings.interactive = terminal.is_some();
    let auto = if terminal.is_some() { Reconnect::AfterJoin } else { Reconnect::Never };
    settings.reconnect = output.reconnect.unwrap_or(auto);
    let interactive = stdin::is_interactive(output.no_input);
    if let Err(code) = check_environment(&mut settings, &output, interactive) {
        return code;
    }
    record_backtraces(output.verbose > 1);
    raise_open_file_limit();

    // The thread that heeds signals must not wait for a reader of stderr either.
    let show = move |tree: &Snapshot| stderr.write(tree.to_string());
    let system = System::new().threads(settings.threads).stall_limit(STALL_LIMIT).on_usr1(show);
    let handle = system.handle();
    let sink = match terminal {
        Some(terminal) => terminal.stdout(),
        None if io::stdout().is_terminal() => bars.wrap_sink(stdout()),
        None => stdout(),
    };
    let mut tree = Supervisor::new(scenario_name(settings.scenario), Strategy::OneForOne)
        .intensity(5, Duration::from_secs(10))
        .backoff(Duration::from_millis(10), Duration::from_secs(1));
    let unwritten = Arc::new(AtomicBool::new(false));
    let failed = unwritten.clone();
    let on_error: OnError = Arc::new(move |error| match error.kind() {
        // Nobody reads any more, as in `sockactors ... | head -1`: a quiet end.
        io::ErrorKind::BrokenPipe => handle.stop(),
        _ => failed.store(true, Ordering::Relaxed),
    });
    let reporters = add_printers(&mut tree, &settings, &output, (&sink, &bars), &on_error);

    let composed = match smol::block_on(build(&settings, &mut tree, &reporters)) {
        Ok(composed) => composed,
        Err(error) => {
            log::error!("{error}");
            return ExitStatus::from_error(&error);
        }
    };
    smol::block_on(report_endpoints(&composed.endpoints, &settings, &reporters.server));
    if let Err(error) = attach_stdin(composed, &settings, reader) {
        log::error!("stdin cannot be read: {error}");
        return ExitStatus::Failed;
    }
    let watch = LifecycleLog::new(drills, system.handle(), output.json.then(|| sink.clone()));
    let watching = watch.clone();
    let ended = system.observe(move |event| watching.on_event(event)).run(tree);
    watch.report_shutdown(settings.role, &ended);
    watch.flush(OUTPUT_FLUSH_TIMEOUT);
    let unwritten = unwritten.load(Ordering::Relaxed).then_some(ExitStatus::Failed);
    match exit_status(settings.role, ended) {
        ExitStatus::Success => unwritten.unwrap_or(watch.exit_status()),
        code => code,
    }
}

/// Checks what only the running process can tell.
fn check_environment(
    settings: &mut Settings,
    output: &OutputSettings,
    interactive: bool,
) -> Result<(), ExitStatus> {
    settings.continue_on_error = interactive;
    if let Some(path) = &settings.operator_password_file {
        let mode = std::fs::metadata(path).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            log::warn!("{} can be read by others; chmod 600 it", path.display());
        }
    }
    let is_file = settings.scenario == Scenario::File;
    if is_file && settings.role != Role::Client && !settings.out.is_dir() {
        let out = settings.out.display();
        log::error!("--out {out} is not a directory; create it first, or name another");
        return Err(ExitStatus::Failed);
    }
    if settings.files.iter().any(|file| file.as_os_str() == "-") {
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        settings.stdin = Some(Arc::new(stdin.map(File::from).map_err(|error| {
            log::error!("stdin cannot be read: {error}");
            ExitStatus::Failed
        })?));
    }
    let names_wanted = is_file && settings.role != Role::Server && settings.files.is_empty();
    if names_wanted && output.no_input && io::stdin().is_terminal() {
        log::error!("there is no FILE to send, and --no-input forbids to ask; name the files");
        return Err(ExitStatus::Usage);
    }
    Ok(())
}

/// Adds a narrator for each side that runs.
fn add_printers(
    tree: &mut Supervisor,
    settings: &Settings,
    output: &OutputSettings,
    (sink, bars): (&Sink, &ProgressBars),
    on_error: &OnError,
) -> Reporters {
    let style =
        Style { json: output.json, quiet: output.quiet, prompt: settings.continue_on_error };
    let mut narrator = |side: Side| {
        // A quiet server has nothing to tell but the files that it stored, and what its operator asks for.
        let has_results =
            side == Side::Client || settings.scenario == Scenario::File || settings.interactive;
        if !side.is_run_by(settings.role) || (output.quiet && !output.json && !has_results) {
            return Reporter::disabled();
        }
        let narrator = Printer::new(settings.scenario, side, style, sink.clone(), on_error.clone())
            .progress_bars(bars.clone());
        let child = Child::new(format!("{}-narrator", side.name()), move || narrator.clone())
            .mailbox(64 + settings.listen.len())
            .shutdown(match side {
                Side::Server => Shutdown::Timeout(OUTPUT_FLUSH_TIMEOUT),
                // What came back is what the client was run for; Ctrl-C ends the wait for its reader.
                Side::Client => Shutdown::Infinity,
            });
        Reporter::new(tree.child(child))
    };
    Reporters { server: narrator(Side::Server), client: narrator(Side::Client) }
}

/// Tells where the server listens, and warns where strangers can reach it and where there may be fewer than asked for.
async fn report_endpoints(listening: &[Endpoint], settings: &Settings, reporter: &Reporter) {
    let (asked, most) = (settings.max_conns, settings.connection_limit());
    if most < asked && !listening.is_empty() && settings.scenario != Scenario::Udp {
        let files = max_open_files();
        log::warn!(
            "--max-conns is cut from {asked} to {most}: the file limit is {files} (ulimit -n)"
        );
    }
    for endpoint in listening {
        if endpoint.is_wider_than_loopback() {
            log::warn!("{endpoint} can be reached from other machines");
        }
        let endpoint = endpoint.clone();
        reporter.send(|| Report::Listening { endpoint }).await;
    }
}

/// Has stdin, or what a flag says instead, go to the actor that takes what a person types.
fn attach_stdin(
    composed: BuiltScenario,
    settings: &Settings,
    reader: Option<LineReader>,
) -> io::Result<()> {
    match (composed.input, &settings.message) {
        (None, _) => Ok(()),
        (Some(InputAddress::Chat(client)), Some(message)) => {
            // A mailbox that nobody has read from yet has room for two.
            let _ = client.try_send(ChatInput::Line(message.clone()));
            let _ = client.try_send(ChatInput::End);
            Ok(())
        }
        (Some(InputAddress::Chat(client)), None) => {
            let take = move |line: Option<Vec<u8>>| {
                let line = line.map(|line| ChatInput::Line(decode_lossy(&line).into_owned()));
                client.send_blocking(line.unwrap_or(ChatInput::End)).is_ok()
            };
            match reader {
                Some(reader) => reader.spawn(None, take),
                None => stdin::spawn_line_reader(take),
            }
        }
        (Some(InputAddress::Console(console)), _) => match reader {
            Some(reader) => reader.spawn(Some(CONSOLE_PROMPT), move |line| {
                line.is_some_and(|line| {
                    console.send_blocking(ConsoleLine(decode_lossy(&line).into_owned())).is_ok()
                })
            }),
            None => Ok(()),
        },
        (Some(InputAddress::File(sender)), _) => stdin::spawn_line_reader(move |line| match line {
            Some(name) => sender.send_blocking(FileInput::Path(path_from_bytes(name))).is_ok(),
            None => sender.send_blocking(FileInput::End).is_ok(),
        }),
    }
}

fn path_from_bytes(name: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(name).into()
}

/// Finds the code for an end, and tells the reason of a bad one.
fn exit_status(role: Role, ended: Result<StopReason, Exit>) -> ExitStatus {
    match ended {
        Ok(StopReason::Signalled(_)) if role == Role::Client => ExitStatus::Interrupted,
        Ok(StopReason::Killed(_)) => ExitStatus::Interrupted,
        Ok(_) => ExitStatus::Success,
        Err(Exit::Failed(error)) => {
            log::error!("{error}");
            ExitStatus::from_error(error.as_ref())
        }
        Err(exit) => {
            log::error!("{exit}");
            exit.error().map_or(ExitStatus::Failed, |error| ExitStatus::from_error(error))
        }
    }
}
