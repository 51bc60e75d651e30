//! Tests of whole command lines and environments.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::args::parse::*;

/// Parses a command line, split at spaces, in an environment.
fn parse_in_env(line: &str, variables: &[(&str, &str)]) -> Result<ParsedArgs, EarlyExit> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    let words = line.split_whitespace().map(OsString::from).collect();
    parse(words, &|name| variables.get(name).map(OsString::from))
}

fn parse_ok(line: &str) -> ParsedArgs {
    parse_in_env(line, &[]).unwrap_or_else(|early| panic!("{line}: {}", early.text))
}

fn settings_in(line: &str, variables: &[(&str, &str)]) -> Settings {
    parse_in_env(line, variables).unwrap_or_else(|early| panic!("{line}: {}", early.text)).settings
}

/// Returns the error of a wrong command line, without the common prefix and suffix.
fn usage_error_in(line: &str, variables: &[(&str, &str)]) -> String {
    let early = parse_in_env(line, variables).expect_err(line);
    assert_eq!(early.code, 2, "{line}");
    let text = early.text.strip_prefix("sockactors: ").expect("the name of the program");
    let (error, command) = text.rsplit_once(" (run: sockactors ").expect("a command");
    assert!(command.ends_with("--help)\n"), "{command}");
    error.to_owned()
}

fn usage_error(line: &str) -> String {
    usage_error_in(line, &[])
}

#[test]
fn scenario_alone_is_a_server_with_defaults() {
    let parsed = parse_ok("--scenario chat");
    assert_eq!((parsed.settings.scenario, parsed.settings.role), (Scenario::Chat, Role::Server));
    assert_eq!(parsed.settings.max_conns, None);
    assert_eq!(parsed.output, OutputSettings::default());
    assert!(parsed.drills.is_empty());
}

#[test]
fn every_kind_of_flag_sets_its_field() {
    let server = parse_ok(
        "--scenario=file --listen [::1]:0 --listen=unix:/tmp/s --clients 2 --out=/tmp -qvv",
    );
    assert_eq!(server.settings.listen.len(), 2);
    assert_eq!(server.settings.clients, Some(2));
    assert_eq!(server.settings.out, PathBuf::from("/tmp"));
    assert!(server.output.quiet && server.output.verbose == 2);
    let client = parse_ok(
        "--scenario udp --connect 127.0.0.1:9 --timeout 150ms --count=3 --message=a=b --json",
    );
    assert_eq!(client.settings.role, Role::Client);
    assert_eq!(client.settings.timeout, Duration::from_millis(150));
    assert_eq!(client.settings.message.as_deref(), Some("a=b"));
    assert!(client.output.json);
    let chat = parse_ok("--scenario chat --history-dir /tmp/said --history-size 2MiB").settings;
    assert_eq!((chat.history_dir, chat.history_size), (Some("/tmp/said".into()), 2 << 20));
    let drills = parse_ok("--scenario tcp --drill=listener=3 --drill root").drills;
    assert_eq!(drills, [("listener".to_owned(), 3), ("root".to_owned(), 1)]);
}

#[test]
fn limits_of_file_server_set_their_fields() {
    let defaults = parse_ok("--scenario file").settings;
    assert_eq!((defaults.max_files, defaults.min_rate), (None, 64));
    let set = parse_ok("--scenario file --max-files 7 --min-rate 2KiB/s").settings;
    assert_eq!((set.max_files, set.min_rate), (Some(7), 2048));
    assert_eq!(parse_ok("--scenario file --min-rate 0").settings.min_rate, 0);
    let error = usage_error("--scenario file --min-rate 64");
    assert!(error.contains("such as 64B/s"), "{error}");
    assert!(usage_error("--scenario file --max-files 0").contains("1 or more"));
}

#[test]
fn words_without_flag_or_after_dashes_are_files() {
    let client = parse_ok("--scenario file a.txt --connect h:1 --raw -- --json -x");
    assert_eq!(client.settings.files, ["a.txt", "--json", "-x"].map(PathBuf::from));
    assert!(!client.output.json);
}

#[test]
fn files_are_framed_and_resumed_by_default() {
    let client = parse_ok("--scenario file --connect h:1 a").settings;
    assert!(client.resume && !client.raw);
    assert!(!parse_ok("--scenario file --connect h:1 --resume=off a").settings.resume);
    assert!(parse_ok("--scenario file --connect h:1 --raw --resume off a").settings.raw);
    let error = usage_error("--scenario file --connect h:1 --raw --resume auto a");
    assert_eq!(error, "--resume auto cannot be used with --raw: a raw upload cannot be resumed");
    assert!(
        usage_error("--scenario file --resume maybe --connect h:1")
            .contains("not one of auto, off")
    );
}

#[test]
fn single_dash_is_stdin_and_allowed_once() {
    let client = parse_ok("--scenario file --connect h:1 a -");
    assert_eq!(client.settings.files, ["a", "-"].map(PathBuf::from));
    let error = usage_error("--scenario file --connect h:1 - a -");
    assert_eq!(error, "\"-\" (stdin) can be sent only once");
}

#[test]
fn value_may_look_like_a_flag() {
    let parsed = parse_ok("--scenario tcp --message --json=yes");
    assert_eq!(parsed.settings.message.as_deref(), Some("--json=yes"));
}

#[test]
fn help_and_version_win_over_later_words() {
    let help = parse_in_env("-v -h --clients none", &[]).expect_err("the help");
    assert_eq!(help.code, 0);
    assert_eq!(help.text, super::help());
    let version = parse_in_env("--scenario tcp -V", &[]).expect_err("the version");
    assert_eq!(version.text, concat!("sockactors ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(version.code, 0);
}

#[test]
fn first_argument_names_the_scenario() {
    for line in
        ["chat --nick ada --connect h", "--connect h chat --nick=ada", "-q chat --connect h"]
    {
        let settings = parse_ok(line).settings;
        assert_eq!((settings.scenario, settings.role), (Scenario::Chat, Role::Client), "{line}");
        assert_eq!(settings.connect, Some("h:12345".parse().unwrap()));
    }
    let files = parse_ok("file --connect h chat").settings.files;
    assert_eq!(files, [PathBuf::from("chat")]);
    let files = parse_ok("--scenario file --connect h chat").settings.files;
    assert_eq!(files, [PathBuf::from("chat")]);
    let env = [("SOCKACTORS_SCENARIO", "file"), ("SOCKACTORS_CONNECT", "h")];
    assert_eq!(settings_in("tcp", &env).scenario, Scenario::Tcp);
    assert_eq!(settings_in("a.txt", &env).files, [PathBuf::from("a.txt")]);
    assert_eq!(settings_in("-- tcp", &env).files, [PathBuf::from("tcp")]);
    assert_eq!(usage_error("chat --scenario tcp"), "--scenario is given twice");
    assert!(usage_error("Chat").contains("not one of tcp, udp, file, chat"));
}

#[test]
fn help_with_a_scenario_is_its_help() {
    let text = |line| parse_in_env(line, &[]).expect_err(line).text;
    for line in ["chat -h", "-h chat", "--help --bogus --scenario chat", "--scenario=chat -h -V"] {
        assert_eq!(text(line), scenario_help(Scenario::Chat), "{line}");
    }
    assert_eq!(text("--scenario ftp -h"), help());
    let env = [("SOCKACTORS_SCENARIO", "udp")];
    assert_eq!(parse_in_env("-h", &env).expect_err("help").text, scenario_help(Scenario::Udp));
}

#[test]
fn wrong_words_are_named_in_the_error() {
    assert_eq!(
        usage_error("--json"),
        "the scenario is missing: run sockactors tcp, udp, file or chat"
    );
    assert_eq!(
        usage_error("tpc --json"),
        "the scenario: \"tpc\" is not one of tcp, udp, file, chat"
    );
    assert_eq!(
        usage_error("--scenario ftp"),
        "--scenario: \"ftp\" is not one of tcp, udp, file, chat"
    );
    assert_eq!(usage_error("--scenario tcp --listen"), "--listen needs a value");
    assert_eq!(usage_error("--scenario tcp --json=yes"), "--json takes no value: remove =\"yes\"");
    assert_eq!(usage_error("--help=chat"), "--help takes no value: remove =\"chat\"");
    assert_eq!(usage_error("--hlep"), "unknown flag \"--hlep\": did you mean --help?");
    assert_eq!(usage_error("--scenario tcp --json --json"), "--json is given twice");
    assert_eq!(usage_error("--scenario tcp --scenario=udp"), "--scenario is given twice");
    assert!(usage_error("--scenario tcp --cleints=3").contains("did you mean --clients?"));
    assert!(usage_error("--scenario tcp -qx").contains("\"-qx\""));
    assert!(usage_error("--scenario tcp -").contains("\"-\""));
}

#[test]
fn flag_out_of_scope_names_its_scope() {
    assert_eq!(
        usage_error("--scenario tcp --buffer-size 9"),
        "--buffer-size belongs to --scenario udp, not tcp"
    );
    assert_eq!(
        usage_error("--scenario file --connect h:1 --out ."),
        "--out belongs to --role server, not client"
    );
    assert_eq!(
        usage_error("--scenario chat --role server --connect h:1"),
        "--connect belongs to --role client, not server"
    );
    assert!(usage_error("--scenario chat --role both --connect h:1").contains("not both"));
    assert_eq!(
        usage_error("--scenario tcp stray"),
        "unexpected argument \"stray\": FILE belongs to --scenario file, not tcp"
    );
    parse_ok("--scenario file --role both --out /tmp --raw a.txt");
}

#[test]
fn value_out_of_range_names_the_range() {
    for flag in ["--clients", "--max-conns"] {
        let error = usage_error(&format!("--scenario tcp {flag} 0"));
        assert_eq!(error, format!("{flag}: \"0\" is not a whole number of 1 or more"));
    }
    assert!(usage_error("--scenario tcp --backlog 65536").contains("from 1 to 65535"));
    assert!(usage_error("--scenario tcp --threads 65").contains("from 1 to 64"));
    assert!(usage_error("--scenario tcp --role client --count -1").contains("from 0 to"));
    assert!(usage_error("--scenario udp --buffer-size 0").contains("from 1 to 65535 bytes"));
    assert!(
        usage_error("--scenario chat --history-size 1000").contains("below the minimum of 1048576")
    );
    assert!(usage_error("--scenario chat --history-dir=").contains("the directory is empty"));
    assert!(usage_error("--scenario tcp --connect h:1 --timeout 0s").contains("above 0"));
    assert!(usage_error("--scenario tcp --listen now:here").contains("\"now:here\""));
    let long = "x".repeat(MAX_DATAGRAM_LEN + 1);
    assert!(usage_error(&format!("--scenario udp --message {long}")).contains("at most 65507"));
}

#[test]
fn invalid_utf8_is_shown_with_replacement_characters() {
    let words = vec!["--scenario".into(), OsString::from_vec(b"ch\xffat".to_vec())];
    let early = parse(words, &|_| None).expect_err("not UTF-8");
    assert!(
        early.text.contains("the argument \"ch\u{fffd}at\" is not valid UTF-8"),
        "{}",
        early.text
    );
}

#[test]
fn environment_sets_flags_and_command_line_wins() {
    let env = [
        ("SOCKACTORS_SCENARIO", "file"),
        ("SOCKACTORS_CLIENTS", "3"),
        ("SOCKACTORS_MAX_CONNS", "7"),
        ("SOCKACTORS_LISTEN", "127.0.0.1:1, 127.0.0.1:2"),
        ("SOCKACTORS_VERBOSE", "2"),
        ("SOCKACTORS_JSON", "Yes"),
        ("SOCKACTORS_OUT", ""),
    ];
    let parsed = parse_in_env("--max-conns 9", &env).expect("a run");
    assert_eq!(parsed.settings.clients, Some(3));
    assert_eq!(parsed.settings.max_conns, Some(9));
    assert_eq!(parsed.settings.listen.len(), 2);
    assert_eq!(parsed.settings.out, PathBuf::from("."));
    assert!(parsed.output.json && parsed.output.verbose == 2);
}

#[test]
fn variable_out_of_scope_is_ignored() {
    let env = [
        ("SOCKACTORS_BUFFER_SIZE", "nonsense"),
        ("SOCKACTORS_NICK", "ada"),
        ("SOCKACTORS_RAW", "0"),
    ];
    assert_eq!(settings_in("--scenario tcp", &env).buffer_size, 1024);
    let env = [("SOCKACTORS_CONNECT", "h:1")];
    assert_eq!(settings_in("--scenario tcp --role both", &env).connect, None);
}

#[test]
fn wrong_variable_is_named_in_the_error() {
    let error = usage_error_in("--scenario tcp", &[("SOCKACTORS_CLIENTS", "0")]);
    assert_eq!(error, "SOCKACTORS_CLIENTS: \"0\" is not a whole number of 1 or more");
    let error = usage_error_in("--scenario tcp", &[("SOCKACTORS_QUIET", "2")]);
    assert!(error.starts_with("SOCKACTORS_QUIET: \"2\" is not one of 1, true"), "{error}");
}

#[test]
fn command_line_implies_role_before_environment() {
    let connect = ("SOCKACTORS_CONNECT", "h:1");
    let role = |line, env: &[_]| settings_in(line, env).role;
    assert_eq!(role("--scenario tcp", &[connect]), Role::Client);
    assert_eq!(role("--scenario tcp --listen :0", &[connect]), Role::Server);
    assert_eq!(role("--scenario tcp", &[connect, ("SOCKACTORS_ROLE", "server")]), Role::Server);
    assert_eq!(role("--scenario tcp --connect h:2", &[("SOCKACTORS_ROLE", "both")]), Role::Client);
}

#[test]
fn measuring_flags_set_their_fields() {
    let second = Duration::from_secs(1);
    let probe = parse_ok("--scenario udp --connect h:1 --size 64 --max-loss 5%").settings;
    assert_eq!((probe.size, probe.max_loss, probe.count), (Some(64), Some(5.0), 1));
    let flood = parse_ok("--scenario udp --connect h:1 --rate 1000").settings;
    assert_eq!((flood.flood, flood.rate, flood.count), (Some((1000, second)), None, 0));
    let flood = parse_ok("--scenario udp --connect h:1 --rate 5/10s --count 7").settings;
    assert_eq!((flood.flood, flood.count), (Some((5, 10 * second)), 7));
    assert_eq!(parse_ok("--scenario chat --rate 5/10s").settings.flood, None);
    let probes = parse_ok("--scenario tcp --connect h:1 --concurrency 8").settings;
    assert_eq!((probes.concurrency, probes.interval), (Some(8), Duration::ZERO));
    let probes = parse_ok("--scenario tcp --connect h:1 --concurrency 8 --interval 1s").settings;
    assert_eq!(probes.interval, second);
    assert!(usage_error("--scenario udp --connect h:1 --size 65508").contains("65507"));
    assert!(
        usage_error("--scenario udp --connect h:1 --rate 5 --interval 1s").contains("one of them")
    );
}
