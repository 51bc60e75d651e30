//! The program from its command line to its exit code: parse, build the tree, run.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::actors::{ChatInput, ConsoleLine, FileInput, Reconnect, Report, Reporter};
use crate::cli::args::PROGRAM;
use crate::cli::args::argv::EnvLookup;
use crate::cli::args::parse::{ParsedArgs, parse};
use crate::cli::args::variables::unknown_variables;
use crate::cli::exit::ExitStatus;
use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::lifecycle::LifecycleLog;
use crate::cli::output::logger::{LogFormat, Logger};
use crate::cli::output::printer::{OnError, Printer, Style};
use crate::cli::output::progress::ProgressBars;
use crate::cli::output::settings::OutputSettings;
use crate::cli::output::sink::{Sink, stderr, stdout};
use crate::cli::remedy::{quote_path, with_remedy};
use crate::cli::terminal::stdin;
use crate::cli::terminal::{LineReader, Terminal};
use crate::net::{Endpoint, max_open_files, raise_open_file_limit};
use crate::runtime::{
    Child, Exit, NodeKind, Shutdown, Snapshot, StopReason, Strategy, Supervisor, System,
    record_backtraces,
};
use crate::scenario::{
    BuiltScenario, InputAddress, OperatorPasswordFile, Reporters, Role, Scenario, Settings, Side,
    build,
};
use crate::wire::text::decode_lossy;

/// The maximum time to flush remaining output at exit, because stdout may be blocked.
const OUTPUT_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The prompt of the operator console.
const CONSOLE_PROMPT: &str = "operator> ";

/// The time that an actor may block its thread before a warning names it.
const STALL_LIMIT: Duration = Duration::from_secs(2);

/// The restart intensity of the root supervisor: restarts per window.
const MAX_RESTARTS: u32 = 5;
const RESTART_WINDOW: Duration = Duration::from_secs(10);

/// The range of the pauses before a restart.
const MIN_RESTART_DELAY: Duration = Duration::from_millis(10);
const MAX_RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs the program with the process's own arguments, environment and streams.
pub fn main() -> ExitCode {
    let words = env::args_os().skip(1).collect();
    let warnings = unknown_variables(env::vars_os().map(|(name, _)| name));
    let env = |name: &str| env::var_os(name);
    match parse(words, &env) {
        Ok(parsed) => {
            let (terminal, reader) = open_terminal(&parsed, &env).unzip();
            let bars = match parsed.settings.scenario == Scenario::File && !parsed.output.quiet {
                true => ProgressBars::for_stderr(&env),
                false => ProgressBars::default(),
            };
            let log = terminal.as_ref().map_or_else(stderr, Terminal::stderr);
            let log = bars.wrap_sink(log);
            let log_writer = Logger::new(&parsed.output, &env, log).install();
            warnings.iter().for_each(|warning| log::warn!("{warning}"));
            let status = run(parsed, log_writer, bars, terminal.as_ref(), reader);
            log::logger().flush();
            if let Some(terminal) = terminal {
                terminal.close();
            }
            status.into()
        }
        Err(early) => {
            // A closed stream cannot be reported anywhere.
            let _ = match early.code {
                0 => io::stdout().write_all(early.text.as_bytes()),
                _ => {
                    // A misspelled variable may be the cause of the error.
                    let warnings =
                        warnings.iter().map(|text| format!("{PROGRAM}: warning: {text}\n"));
                    io::stderr().write_all((warnings.collect::<String>() + &early.text).as_bytes())
                }
            };
            ExitCode::from(early.code)
        }
    }
}

/// Opens the terminal for an interactive chat client or operator console.
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

/// Runs the scenario, and returns the exit code.
fn run(
    ParsedArgs { mut settings, output, drills }: ParsedArgs,
    log_writer: Arc<BackgroundWriter>,
    bars: ProgressBars,
    terminal: Option<&Terminal>,
    reader: Option<LineReader>,
) -> ExitStatus {
    settings.interactive = terminal.is_some();
    let default = if terminal.is_some() { Reconnect::AfterJoin } else { Reconnect::Never };
    settings.reconnect = output.reconnect.unwrap_or(default);
    let is_interactive = stdin::is_interactive(output.no_input);
    if let Err(status) = check_environment(&mut settings, &output, is_interactive) {
        return status;
    }
    record_backtraces(output.verbose > 1);
    raise_open_file_limit();

    // The signal thread must not block on stderr.
    let print_tree = move |tree: &Snapshot| log_writer.write(tree.to_string());
    let system =
        System::new().threads(settings.threads).stall_limit(STALL_LIMIT).on_usr1(print_tree);
    let handle = system.handle();
    let sink = match terminal {
        Some(terminal) => terminal.stdout(),
        None if io::stdout().is_terminal() => bars.wrap_sink(stdout()),
        None => stdout(),
    };
    let mut tree = Supervisor::new(settings.scenario.name(), Strategy::OneForOne)
        .intensity(MAX_RESTARTS, RESTART_WINDOW)
        .backoff(MIN_RESTART_DELAY, MAX_RESTART_DELAY);
    let has_lost_output = Arc::new(AtomicBool::new(false));
    let lost_output = has_lost_output.clone();
    let on_error: OnError = Arc::new(move |error| match error.kind() {
        // The reader closed the pipe, as in `sockactors ... | head -1`. End without a message.
        io::ErrorKind::BrokenPipe => handle.stop(),
        _ => lost_output.store(true, Ordering::Relaxed),
    });
    let reporters = add_printers(&mut tree, &settings, &output, (&sink, &bars), &on_error);

    let built = match smol::block_on(build(&settings, &mut tree, &reporters)) {
        Ok(built) => built,
        Err(error) => {
            log::error!("{}", with_remedy(&error, settings.scenario));
            return ExitStatus::from_error(&error);
        }
    };
    if let Err(error) = check_drills(&drills, &tree) {
        log::error!("{error}");
        return ExitStatus::Usage;
    }
    let system = match settings.role != Role::Client && !has_controlling_terminal() {
        true => system.on_hangup(reload_on_hangup(built.operators.clone())),
        false => system,
    };
    smol::block_on(report_endpoints(&built.endpoints, &settings, &reporters.server));
    if let Err(error) = attach_stdin(built, &settings, reader) {
        log::error!("cannot read stdin: {error}");
        return ExitStatus::Failed;
    }
    let lifecycle = LifecycleLog::new(drills, system.handle(), output.json.then(|| sink.clone()));
    let observer = lifecycle.clone();
    let result = system.observe(move |event| observer.on_event(event)).run(tree);
    lifecycle.report_shutdown(settings.role, &result);
    lifecycle.flush(OUTPUT_FLUSH_TIMEOUT);
    // A terminal that hung up takes no more output.
    let is_hangup = matches!(result, Ok(StopReason::Signalled(n)) if n == Signal::HUP.as_raw());
    let has_lost_output = has_lost_output.load(Ordering::Relaxed) && !is_hangup;
    match exit_status(&settings, result) {
        ExitStatus::Success if has_lost_output => ExitStatus::Failed,
        status if settings.role == Role::Server => status.of_server(),
        status => status,
    }
}

/// Checks the files and streams of the process, and completes the settings.
fn check_environment(
    settings: &mut Settings,
    output: &OutputSettings,
    is_interactive: bool,
) -> Result<(), ExitStatus> {
    settings.continue_on_error = is_interactive;
    if let Some(path) = &settings.operator_password_file {
        let mode = fs::metadata(path).map(|file| file.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            let (shown, path) = (path.display(), quote_path(path));
            log::warn!("{shown} is readable by other users (run: chmod 600 {path})");
        }
    }
    let is_file = settings.scenario == Scenario::File;
    if is_file && settings.role != Role::Client && !settings.out.is_dir() {
        let out = settings.out.display();
        let command = quote_path(&settings.out);
        log::error!(
            "--out {out} is not a directory; choose another one, or create it \
             (run: mkdir -p {command})"
        );
        return Err(ExitStatus::Failed);
    }
    if settings.files.iter().any(|file| file.as_os_str() == "-") {
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        settings.stdin = Some(Arc::new(stdin.map(File::from).map_err(|error| {
            log::error!("cannot read stdin: {error}");
            ExitStatus::Failed
        })?));
    }
    let needs_names = is_file && settings.role != Role::Server && settings.files.is_empty();
    if needs_names && output.no_input && io::stdin().is_terminal() {
        log::error!(
            "there is no FILE to send, and --no-input forbids a prompt; \
             add the files to the command line"
        );
        return Err(ExitStatus::Usage);
    }
    Ok(())
}

/// Checks that the tree has each actor to crash. The number of a pool's child is not checked,
/// because its children start with their connections.
///
/// # Errors
///
/// Returns a sentence that lists the actors.
fn check_drills(drills: &[(String, u32)], tree: &Supervisor) -> Result<(), String> {
    let nodes = tree.descendants();
    let is_known = |wanted: &str| {
        let wanted = wanted.strip_prefix(&format!("{}/", tree.name())).unwrap_or(wanted);
        nodes.iter().any(|(path, kind)| match kind {
            NodeKind::Actor => path == wanted,
            NodeKind::Pool => wanted
                .rsplit_once('/')
                .is_some_and(|(pool, number)| pool == path && number.parse::<u32>().is_ok()),
            NodeKind::Supervisor => false,
        })
    };
    let Some((unknown, _)) = drills.iter().find(|(path, _)| !is_known(path)) else {
        return Ok(());
    };
    let known = nodes.iter().filter_map(|(path, kind)| match kind {
        NodeKind::Actor => Some(path.clone()),
        NodeKind::Pool => Some(format!("{path}/0")),
        NodeKind::Supervisor => None,
    });
    let known: Vec<String> = known.collect();
    let known = known.join(", ");
    Err(format!("--drill: there is no actor named {unknown:?}; the actors are {known}"))
}

/// Adds a printer for each side that runs.
fn add_printers(
    tree: &mut Supervisor,
    settings: &Settings,
    output: &OutputSettings,
    (sink, bars): (&Sink, &ProgressBars),
    on_error: &OnError,
) -> Reporters {
    // The person at the terminal of a chat is one of its members, and sees each message already.
    let is_in_chat = settings.interactive && settings.role == Role::Both;
    let mut add_printer = |side: Side| {
        // A quiet server prints only stored files, and the replies to its operator.
        let has_results =
            side == Side::Client || settings.scenario == Scenario::File || settings.interactive;
        if !settings.role.runs(side) || (output.quiet && !output.json && !has_results) {
            return Reporter::disabled();
        }
        let style = Style {
            json: output.json,
            quiet: output.quiet || (side == Side::Server && is_in_chat),
            prompt: settings.continue_on_error,
        };
        let printer = Printer::new(settings.scenario, side, style, sink.clone(), on_error.clone())
            .progress_bars(bars.clone());
        let child = Child::new(format!("{}-printer", side.name()), move || printer.clone())
            // Before it runs, it has to hold a report for each address.
            .mailbox(64 + settings.listen.len() * Endpoint::MAX_ADDRESSES)
            .shutdown(match side {
                Side::Server => Shutdown::Timeout(OUTPUT_FLUSH_TIMEOUT),
                // The output is the purpose of a client. Ctrl-C ends the wait for its reader.
                Side::Client => Shutdown::Infinity,
            });
        Reporter::new(tree.child(child))
    };
    Reporters { server: add_printer(Side::Server), client: add_printer(Side::Client) }
}

/// Reports the endpoints of a server.
///
/// Warns if other machines can reach them, and if the file limit reduces `--max-conns`.
async fn report_endpoints(endpoints: &[Endpoint], settings: &Settings, reporter: &Reporter) {
    let limit = settings.connection_limit();
    let is_stream_server = !endpoints.is_empty() && settings.scenario != Scenario::Udp;
    match settings.max_conns {
        Some(wanted) if limit < wanted && is_stream_server => {
            let files = max_open_files();
            log::warn!(
                "--max-conns is reduced from {wanted} to {limit}: \
                 the limit of open files is {files} (ulimit -n)"
            );
        }
        _ => {}
    }
    for endpoint in endpoints {
        if endpoint.is_wider_than_loopback() {
            log::warn!("{endpoint} is reachable from other machines");
        }
        let endpoint = endpoint.clone();
        reporter.send(|| Report::Listening { endpoint }).await;
    }
}

/// Returns whether the process has a controlling terminal (tty(4)), whose end it learns by SIGHUP.
fn has_controlling_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Returns the function that reads the operators' password again, and logs the result.
fn reload_on_hangup(operators: Option<OperatorPasswordFile>) -> impl Fn() + Send + 'static {
    move || match &operators {
        None => log::info!("SIGHUP: there is nothing to reload"),
        Some(file) => match file.reload() {
            Ok(()) => {
                log::info!(
                    "SIGHUP: reloaded the operators' password from {}",
                    file.path().display()
                )
            }
            Err(error) => log::error!("SIGHUP: {error}; the old password stays in use"),
        },
    }
}

/// Passes stdin, or the text of `--message`, to the actor that receives the input.
fn attach_stdin(
    built: BuiltScenario,
    settings: &Settings,
    reader: Option<LineReader>,
) -> io::Result<()> {
    match (built.input, &settings.message) {
        (None, _) => Ok(()),
        (Some(InputAddress::Chat(client)), Some(message)) => {
            // The mailbox is empty, and has room for two messages.
            let _ = client.try_send(ChatInput::Line(message.clone()));
            let _ = client.try_send(ChatInput::End);
            Ok(())
        }
        (Some(InputAddress::Chat(client)), None) => {
            let send_line = move |line: Option<Vec<u8>>| {
                let line = line.map(|line| ChatInput::Line(decode_lossy(&line).into_owned()));
                client.send_blocking(line.unwrap_or(ChatInput::End)).is_ok()
            };
            match reader {
                Some(reader) => reader.spawn(None, send_line),
                None => stdin::spawn_line_reader(send_line),
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

/// Returns the exit code for the result of a run, and logs the reason of a failure.
fn exit_status(settings: &Settings, result: Result<StopReason, Exit>) -> ExitStatus {
    match result {
        Ok(StopReason::Signalled(_)) if settings.role == Role::Client => ExitStatus::Interrupted,
        Ok(StopReason::Killed(_)) => ExitStatus::Interrupted,
        Ok(_) => ExitStatus::Success,
        Err(Exit::Failed(error)) => {
            log::error!("{}", with_remedy(error.as_ref(), settings.scenario));
            ExitStatus::from_error(error.as_ref())
        }
        Err(exit) => {
            log::error!("{exit}");
            exit.error().map_or(ExitStatus::Failed, |error| ExitStatus::from_error(error))
        }
    }
}
