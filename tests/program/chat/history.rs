//! The chat history on disk survives any end of the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::support::chat_client::{LineClient, acknowledgement};
use crate::support::{DEADLINE, Program, directory};
use rustix::process::Signal;

fn server(directory: &Path) -> Program {
    Program::server(&["--scenario", "chat", "--history-dir", directory.to_str().unwrap()])
}

#[track_caller]
fn member(server: &Program, nick: &str) -> LineClient {
    let mut line = LineClient::connect(server.endpoint());
    line.send(format!("/nick {nick}"));
    line.wait_for(|line| line.starts_with(&format!("* you are {nick} in lobby, with ")));
    line
}

#[track_caller]
fn join(line: &mut LineClient, room: &str) {
    line.send(format!("/join {room}"));
    line.wait_for(|line| line.contains(&format!(" in {room}, with ")));
}

/// Sends a line, and waits for its acknowledgement.
#[track_caller]
fn say(line: &mut LineClient, text: &str) {
    line.send(text);
    line.wait_for_line(&acknowledgement(text));
}

/// Requests the history, and returns its messages without timestamps and notices.
#[track_caller]
fn history(line: &mut LineClient) -> Vec<String> {
    line.send("/history 100");
    let count = line.wait_for(|line| line.starts_with("* the last "));
    let count = count.split(' ').nth(3).and_then(|count| count.parse().ok()).expect("a number");
    let lines = (0..count).map(|_| {
        let line = line.next_line().unwrap().expect("a line");
        let (time, said) = line.split_once("] ").expect("a time");
        let digits = time.strip_prefix('[').and_then(|time| time.split_once(':'));
        let (hours, minutes) = digits.expect("hours and minutes");
        assert!(hours.len() == 2 && hours.parse::<u8>().is_ok_and(|hours| hours < 24), "{line}");
        assert!(minutes.len() == 2 && minutes.parse::<u8>().is_ok_and(|m| m < 60), "{line}");
        said.to_owned()
    });
    lines.collect()
}

#[track_caller]
fn stop(server: Program) {
    server.terminate();
    let ended = server.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// Returns the segments in a directory, the oldest first.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    found.sort_unstable();
    found
}

fn holds(directory: &Path, text: &str) -> bool {
    let bytes: Vec<u8> =
        segments(directory).iter().flat_map(|path| fs::read(path).unwrap_or_default()).collect();
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[track_caller]
fn wait_until_held(directory: &Path, text: &str) {
    let deadline = Instant::now() + DEADLINE;
    while !holds(directory, text) {
        assert!(Instant::now() < deadline, "{text:?} was not written");
        std::thread::yield_now();
    }
}

#[test]
fn history_survives_restart() {
    let directory = directory();
    let path = directory.path().join("new").join("history");
    let first = server(&path);
    let (mut ada, mut bob) = (member(&first, "ada"), member(&first, "bob"));
    say(&mut ada, "in the lobby");
    ada.send("/me waves \u{1b}[31m");
    ada.send("/topic tea");
    ada.send("/msg bob a secret");
    ada.wait_for_line("* you tell bob: a secret");
    join(&mut bob, "Den");
    say(&mut bob, "in the den");
    stop(first);
    assert!(!holds(&path, "a secret"), "a direct message is not recorded");

    let second = server(&path);
    let mut eve = member(&second, "eve");
    let lobby = ["ada: in the lobby", "** ada waves \\u{1b}[31m", "* ada set the topic: tea"];
    assert_eq!(history(&mut eve), lobby);
    eve.send("/rooms");
    eve.wait_for_line("* rooms: lobby (1)");
    join(&mut eve, "den");
    assert_eq!(history(&mut eve), ["bob: in the den"]);
    say(&mut eve, "there again");
    // The room closes, and its log is kept.
    join(&mut eve, "lobby");
    assert_eq!(history(&mut eve), lobby);
    join(&mut eve, "den");
    assert_eq!(history(&mut eve), ["bob: in the den", "eve: there again"]);
    stop(second);

    let third = server(&path);
    let mut ada = member(&third, "ada");
    join(&mut ada, "DEN");
    assert_eq!(history(&mut ada), ["bob: in the den", "eve: there again"]);
}

#[test]
fn history_survives_kill() {
    let directory = directory();
    let first = server(directory.path());
    let mut ada = member(&first, "ada");
    say(&mut ada, "one");
    say(&mut ada, "the last word");
    wait_until_held(directory.path(), "the last word");
    first.signal(Signal::KILL);
    assert_eq!(first.wait().code, 128 + 9);
    let second = server(directory.path());
    assert_eq!(history(&mut member(&second, "eve")), ["ada: one", "ada: the last word"]);
}

#[test]
fn torn_history_end_is_truncated_and_reported() {
    let directory = directory();
    let first = server(directory.path());
    let mut ada = member(&first, "ada");
    say(&mut ada, "one");
    say(&mut ada, "two");
    stop(first);
    let segment = segments(directory.path()).pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, &whole[..whole.len() - 3]).unwrap();

    let second = server(directory.path());
    second.wait_for_error_line(|line| line.contains("bytes were incomplete or corrupt"));
    let mut eve = member(&second, "eve");
    assert_eq!(history(&mut eve), ["ada: one"]);
    say(&mut eve, "three");
    stop(second);
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, [&whole[..], b"what is this?"].concat()).unwrap();

    let third = server(directory.path());
    third.wait_for_error_line(|line| line.contains("its last 13 bytes were "));
    assert_eq!(history(&mut member(&third, "bob")), ["ada: one", "eve: three"]);
    stop(third);
    let fourth = server(directory.path());
    assert_eq!(history(&mut member(&fourth, "bob")), ["ada: one", "eve: three"]);
    assert!(
        !String::from_utf8_lossy(&fourth.stderr()).contains("truncated"),
        "it is reported once"
    );
}

#[test]
fn history_respects_size_limit() {
    const SIZE: u64 = 1 << 20;
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    let small = ["--scenario", "chat", "--history-dir", path, "--history-size", "1MiB"];
    let first = Program::server(&small);
    let mut ada = member(&first, "ada");
    for k in 0..600 {
        say(&mut ada, &format!("{k} {}", "x".repeat(3500)));
    }
    stop(first);
    let found = segments(directory.path());
    let sizes = found.iter().map(|path| fs::metadata(path).unwrap().len());
    let (count, bytes) = (sizes.len(), sizes.sum::<u64>());
    assert!(count > 2 && bytes <= SIZE && bytes > SIZE / 2, "{bytes} bytes in {count} segments");
    let second = Program::server(&small);
    let output = history(&mut member(&second, "eve"));
    assert!(output.last().is_some_and(|line| line.starts_with("ada: 599 ")), "{output:?}");
}

#[test]
fn history_directory_is_locked() {
    let directory = directory();
    let first = server(directory.path());
    let path = directory.path().to_str().unwrap();
    let args = ["--scenario", "chat", "--listen", "127.0.0.1:0", "--history-dir", path];
    let second = Program::run(&args).wait();
    assert_eq!(second.code, 1, "{second:?}");
    let output = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(output.contains("is in use by another server") && output.contains(path), "{output}");
    stop(first);
    server(directory.path());
}

#[test]
fn unusable_history_directory_is_reported_with_remedy() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below"), "/proc/history".into()] {
        let path = path.to_str().unwrap();
        let args = ["--scenario", "chat", "--listen", "127.0.0.1:0", "--history-dir", path];
        let ended = Program::run(&args).wait();
        let output = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.code, 1, "{output}");
        let helps = "choose a directory that this user can write to";
        assert!(output.contains(path) && output.contains(helps), "{output}");
        assert!(!output.contains("listening"), "{output}");
    }
}

#[test]
fn history_disk_error_is_reported_once() {
    let directory = directory();
    let path = directory.path().join("history");
    let server = Program::server(&[
        "--scenario",
        "chat",
        "--history-dir",
        path.to_str().unwrap(),
        "--history-size",
        "1MiB",
    ]);
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    fs::remove_dir_all(&path).unwrap();
    let long = "x".repeat(4000);
    for k in 0..200 {
        say(&mut ada, &format!("{k}{long}"));
        bob.wait_for_message(&format!("{k}{long}"));
    }
    server.wait_for_error_line(|line| line.contains("/history: "));
    assert_eq!(history(&mut bob).len(), 8, "the number shown at once");
    server.terminate();
    let ended = server.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let output = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(output.matches("cannot write the chat history").count(), 1, "{output}");
}

#[test]
fn history_writer_crash_loses_no_line() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    let args = ["--scenario", "chat", "--history-dir", path, "--drill", "journal=3"];
    let first = Program::server(&args);
    let mut ada = member(&first, "ada");
    let lines: Vec<_> = (0..50).map(|k| k.to_string()).collect();
    lines.iter().for_each(|text| say(&mut ada, text));
    // The next incarnation writes what was queued at the crash.
    first.wait_for_error_line(|line| {
        line.contains("chat/journal: restarting") && line.contains("(restart 3)")
    });
    wait_until_held(directory.path(), "ada: 49\n");
    stop(first);
    let second = server(directory.path());
    let said: Vec<_> = lines.iter().map(|text| format!("ada: {text}")).collect();
    assert_eq!(history(&mut member(&second, "eve")), said);
}
