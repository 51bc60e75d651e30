//! Help, completion, and errors with the command that helps.

use std::process::Command;

use crate::support::peers::{Family, SocketKind, optional_tool};
use crate::support::{BINARY, Program, ProgramOutput, directory, sockactors};

/// Runs the program with these variables.
fn run_with_env(args: &[&str], variables: &[(&str, &str)]) -> ProgramOutput {
    Program::start(Command::new(BINARY).args(args).envs(variables.iter().copied())).wait()
}

/// Asserts that stderr contains all of `words`.
#[track_caller]
fn check_error(ended: &ProgramOutput, words: &[&str]) {
    for word in words {
        assert!(ended.err().contains(word), "stderr does not name {word:?}\n{ended:?}");
    }
}

#[test]
fn scenario_help_has_one_line_per_flag_of_scenario() {
    for args in [&["--scenario", "chat", "--help"][..], &["chat", "-h"], &["--help", "chat"]] {
        let help = sockactors(args, "").with_code(0).out();
        let groups = ["\nCommon flags:\n", "\nServer flags:\n", "\nClient flags:\n"];
        let positions = groups.map(|group| help.find(group).expect(group));
        assert!(positions.is_sorted(), "{help}");
        let (server, client) = help.split_at(positions[2]);
        assert!(server.contains("  --history N ") && client.contains("  --nick NAME "), "{help}");
        for other in ["--buffer-size", "--keep-free", "--raw", "--concurrency"] {
            assert!(!help.contains(other), "{other}\n{help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

#[test]
fn plain_help_lists_scenarios_and_common_flags() {
    let help = sockactors(&["--help"], "").with_code(0).out();
    for word in ["\n  tcp ", "\n  chat ", "--json", "sockactors chat --help", "Exit codes"] {
        assert!(help.contains(word), "{word}\n{help}");
    }
    assert!(!help.contains("--history") && help.lines().count() < 60, "{help}");
}

#[test]
fn call_without_arguments_prints_short_help_and_exits_with_2() {
    let ended = sockactors(&[], "").with_code(2);
    assert_eq!(ended.out(), "");
    check_error(&ended, &["Usage: sockactors", "--scenario", "sockactors chat --help", "udp"]);
    assert!(ended.err().lines().count() < 24, "{ended:?}");
    let ended = run_with_env(&[], &[("SOCKACTORS_SCENARIO", "smtp")]).with_code(2);
    check_error(&ended, &["SOCKACTORS_SCENARIO", "\"smtp\" is not one of"]);
}

#[test]
fn short_form_names_scenario_and_default_port() {
    let server = Program::server(&["tcp", "--listen", "127.0.0.1:0"]);
    let ended = sockactors(&["tcp", "--connect", server.endpoint()], "").with_code(0);
    assert_eq!(ended.lines(), ["Thank you for connecting"]);
    // No server listens on this address, so the error shows the port.
    let ended = sockactors(&["chat", "--connect", "127.0.0.77", "--nick", "ada"], "").with_code(3);
    check_error(&ended, &["127.0.0.77:12345", "sockactors chat --listen 127.0.0.77:12345"]);
    let ended = sockactors(&["file", "--connect", "127.0.0.77", BINARY], "").with_code(3);
    check_error(&ended, &["127.0.0.77:8080"]);
}

#[test]
fn usage_error_names_command_that_helps() {
    for (args, words) in [
        (&["caht"][..], &["\"caht\"", "(run: sockactors --help)"][..]),
        (&["--json"], &["run sockactors tcp, udp, file or chat"]),
        (&["chat", "--nikc", "ada"], &["did you mean --nick?"]),
        (&["chat", "--out", "."], &["--scenario file", "(run: sockactors chat --help)"]),
        (&["file", "a"], &["add --connect HOST:PORT", "(run: sockactors file --help)"]),
        (&["udp", "--completions", "csh"], &["bash, zsh, fish"]),
    ] {
        check_error(&sockactors(args, "").with_code(2), words);
    }
}

#[test]
fn bind_error_names_command_that_helps() {
    let server = Program::server(&["tcp"]);
    let ended = sockactors(&["tcp", "--listen", server.endpoint()], "").with_code(3);
    check_error(&ended, &[&format!("(run: ss -tlnp sport = :{})", server.port())]);
    let dir = directory();
    let path = format!("unix:{}/no such/socket", dir.path().display());
    let ended = sockactors(&["tcp", "--listen", &path], "").with_code(3);
    check_error(&ended, &[&format!("(run: mkdir -p '{}/no such')", dir.path().display())]);
    let out = format!("{}/missing", dir.path().display());
    let ended = sockactors(&["file", "--out", &out], "").with_code(1);
    check_error(&ended, &[&format!("(run: mkdir -p {out})")]);
}

#[test]
fn unknown_variable_is_reported_with_nearest() {
    let at = Family::V4.free_address(SocketKind::Stream, "/".as_ref()).unwrap().endpoint();
    let unknown = ("SOCKACTORS_CONECT", at.as_str());
    let expected = ["warning", "\"SOCKACTORS_CONECT\"", "did you mean SOCKACTORS_CONNECT?"];
    let ended = run_with_env(&["tcp", "--connect", &at], &[unknown]).with_code(3);
    check_error(&ended, &expected);
    // It may explain a usage error.
    let ended = run_with_env(&["tcp", "--nick", "ada"], &[unknown]).with_code(2);
    check_error(&ended, &expected);
    let hostile = ("SOCKACTORS_\u{1b}[2J\u{202e}", "1");
    let ended = run_with_env(&["tcp", "--connect", &at], &[hostile]).with_code(3);
    assert!(!ended.err().contains(['\u{1b}', '\u{202e}']), "{ended:?}");
    let known = ("SOCKACTORS_NICK", "ada");
    let ended = run_with_env(&["tcp", "--connect", &at], &[known]).with_code(3);
    assert!(!ended.err().contains("warning"), "{ended:?}");
}

#[test]
fn drill_of_unknown_actor_exits_with_2_and_lists_actors() {
    let drill = |scenario: &str, path: &str| {
        sockactors(&[scenario, "--listen", "127.0.0.1:0", "--drill", path], "").with_code(2)
    };
    let ended = drill("tcp", "lisener");
    check_error(&ended, &["there is no actor named \"lisener\"", "listener", "greeters/0"]);
    assert!(!ended.err().contains("listening on"), "{ended:?}");
    for path in ["tcp", "greeters", "greeters/x", "greeters/-1", "listener/0", "\u{1b}[2J"] {
        let ended = drill("tcp", path);
        assert!(!ended.err().contains('\u{1b}'), "{ended:?}");
    }
    check_error(&drill("udp", "responder/0=3"), &["the actors are", "responder"]);
    for path in ["chat/listener", "room=2", "sessions/3"] {
        let server = Program::server(&["chat", "--drill", path]);
        server.terminate();
        // The drill's panic is on stderr, which `with_code` would reject.
        assert_eq!(server.wait().code, 0, "{path}");
    }
}

#[test]
fn completions_offer_scenarios_flags_and_values() {
    let script = |shell| sockactors(&["--completions", shell], "").with_code(0).out();
    let bash = r#"
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sockactors; echo "${COMPREPLY[*]}"; }
        try sockactors ch
        try sockactors chat --ni
        try sockactors tcp --ni
        try sockactors chat --dialect l
        try sockactors file /proc/versio
        exit
    "#;
    let fish = r#"
        for line in "ch" "chat --ni" "tcp --ni" "chat --dialect l" "file /proc/versio"
            echo (complete -C "sockactors $line" | string replace -r "\t.*" "")
        end
    "#;
    let expected = ["chat", "--nick", "", "lecture line", "/proc/version"];
    for (shell, commands) in [("bash", bash), ("fish", fish)] {
        if optional_tool(shell) {
            let home = directory();
            let mut command = Command::new(shell);
            command.args(["-c", &(script(shell) + commands)]).env("HOME", home.path());
            let ended = Program::start(&mut command).wait().with_code(0);
            assert_eq!(ended.lines(), expected, "{shell}: {ended:?}");
        }
    }
    if optional_tool("zsh") {
        let check = ["-n", "-c", &script("zsh")];
        let ended = Program::start(Command::new("zsh").args(check)).wait().with_code(0);
        assert_eq!(ended.err(), "");
    }
}
