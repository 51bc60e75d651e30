//! Arbitrary bytes as the server of a chat client.
//!
//! The client runs in a simulation, on connections in memory. The first byte of an input selects
//! the settings, and the second one is the seed. In the rest, bytes below 0xf8 are sent by the
//! server. The bytes from 0xf8 on, which no text contains, are actions:
//!
//! | byte | action |
//! |---|---|
//! | `f8` | waits longer than the detection of the dialect takes |
//! | `f9` | waits until nothing changes any more, which ends a chunk |
//! | `fa N` | reads 64 * N bytes |
//! | `fb N` | sends the last byte 64 * (N % 80) more times |
//! | `fc N` | the user types a line, a command if N is small |
//! | `fd` | waits longer than the client's timeout |
//! | `fe` | closes the connection, and accepts the next one |
//! | `ff B` | sends the byte B, whatever it is |
//!
//! For every input these must hold:
//!
//! - No actor crashes, and the client ends after its input and its connections have ended.
//! - The client sends only what the user typed and its own commands, with valid names.
//! - It sends `/who` at most once a second, and at most [`MAX_COMMANDS`] other commands of its own
//!   on each connection.
//! - A line that it reports has at most [`MAX_REPORTED_LEN`] bytes.

use std::collections::{BTreeSet, VecDeque};
use std::io::IoSlice;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::actors::{ChatClient, ChatInput, Dialect, Reconnect, Report, Reporter};
use sockactors::net::{Endpoint, Stream};
use sockactors::runtime::{
    Address, Child, Context, Exit, Lifecycle, Outcome, SendError, Strategy, Supervisor,
};
use sockactors::testing::Simulation;
use sockactors::wire::chat::{MAX_LINE_LEN, validate_nick, validate_room};

const INSTANT: Duration = Duration::from_nanos(1);
/// Longer than the detection of the dialect takes.
const DETECTION_WAIT: Duration = Duration::from_millis(400);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than any backoff and timeout of all connections together.
const LONG_TIME: Duration = Duration::from_secs(36_000);

/// The number of connections that the server accepts.
const CONNECTIONS: usize = 4;

/// The most commands that a client sends on a connection: its handshake, and the attempts to take
/// its nick back.
const MAX_COMMANDS: usize = 3 + 20;

/// The longest line that a client reports. An invalid byte becomes three of a replacement.
const MAX_REPORTED_LEN: usize = 3 * 8 * MAX_LINE_LEN;

/// The lines that the user types.
const TYPED: [&str; 6] = ["hello", "/who", "/nick eve", "/join den", "/leave", "/quit"];

/// The bytes that the server received, and the client's exit.
#[derive(Debug, Default)]
struct Transcript {
    /// For each connection, the bytes that the client sent.
    sent: Vec<Vec<u8>>,
    /// The number of lines that the user typed, and of `/who` among them.
    typed: usize,
    typed_who: usize,
    /// The length of the longest reported line.
    longest_report: usize,
    /// The seconds in which the script ran.
    seconds: u64,
    exit: Option<String>,
    crashes: Vec<String>,
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&[settings, seed], script)) = input.split_first_chunk() else { return };
    let transcript = Arc::new(Mutex::new(Transcript::default()));
    let capacity = [16, 256, 4096, 65_536][usize::from(settings & 3)];
    let (ends, theirs): (Vec<_>, VecDeque<_>) =
        (0..CONNECTIONS).map(|_| Stream::duplex(capacity)).unzip();
    let mut tree = Supervisor::new("chat", Strategy::OneForOne).intensity(0, TIMEOUT);
    let reports = transcript.clone();
    let printer = move || {
        let reports = reports.clone();
        async move |mut ctx: Context<Report>| -> Outcome {
            while let Some(report) = ctx.recv().await {
                if let Report::ChatLine(text) | Report::Reply { text, .. } = report {
                    let longest = &mut reports.lock().unwrap().longest_report;
                    *longest = text.len().max(*longest);
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("printer", printer).mailbox(1)));
    let ends = Arc::new(Mutex::new(ends));
    let client = tree.child(
        Child::new("client", move || {
            let nick = (settings & 4 > 0).then(|| "ada".to_owned());
            let reconnect = match settings >> 4 & 3 {
                0 => Reconnect::Never,
                1 => Reconnect::AfterJoin,
                _ => Reconnect::Always,
            };
            let dialect = match settings >> 6 {
                0 => Some(Dialect::Line),
                1 => Some(Dialect::Lecture),
                _ => None,
            };
            ChatClient::new(Endpoint::Unix("server".into()), nick, TIMEOUT, reporter.clone())
                .who_on_join(settings & 8 > 0)
                .reconnect(reconnect)
                .dialect(dialect)
                .streams(mem::take(&mut *ends.lock().unwrap()))
        })
        .temporary(),
    );
    let (script, result) = (script.to_vec(), transcript.clone());
    let theirs = Arc::new(Mutex::new(theirs));
    let driver = move || {
        let (script, client, result) = (script.clone(), client.clone(), result.clone());
        let connections = mem::take(&mut *theirs.lock().unwrap());
        async move |ctx: Context<()>| -> Outcome {
            run_script(&ctx, &client, connections, &script, &result).await;
            Ok(())
        }
    };
    tree.child(Child::new("driver", driver).transient().significant());
    let observed = transcript.clone();
    let outcome = Simulation::new(u64::from(seed))
        .observe(move |event| {
            let (Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. }) = event else {
                return;
            };
            let mut observed = observed.lock().unwrap();
            if event.path().name() == "client" {
                observed.exit = Some(exit.to_string());
            }
            if !exit.is_normal() && !matches!(exit, Exit::Failed(_)) {
                observed.crashes.push(event.to_string());
            }
        })
        .run(tree);
    let transcript = mem::take(&mut *transcript.lock().unwrap());
    assert!(transcript.crashes.is_empty() && outcome.is_ok(), "{outcome:?}: {transcript:#?}");
    check_client(&transcript, settings & 8 > 0);
}

/// Runs the script of an input.
async fn run_script(
    ctx: &Context<()>,
    client: &Address<ChatInput>,
    mut connections: VecDeque<Stream>,
    script: &[u8],
    result: &Mutex<Transcript>,
) {
    let started_at = ctx.now();
    let mut run = ScriptRun {
        ctx,
        stream: connections.pop_front(),
        connections,
        sent: vec![Vec::new()],
        send_budget: 64 << 10,
    };
    let (mut chunk, mut typed, mut typed_who) = (Vec::new(), 0, 0);
    let mut bytes = script.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte < 0xf8 {
            chunk.push(byte);
            continue;
        }
        match byte {
            0xfb => {
                let last = chunk.last().copied().unwrap_or(b' ');
                let times = 64 * usize::from(bytes.next().unwrap_or_default() % 80);
                chunk.resize(chunk.len() + times, last);
                continue;
            }
            0xff => {
                chunk.extend(bytes.next());
                continue;
            }
            _ => run.send(&mem::take(&mut chunk)).await,
        }
        match byte {
            0xf8 => run.wait(DETECTION_WAIT).await,
            0xfa => run.read(64 * usize::from(bytes.next().unwrap_or_default())).await,
            0xfc => {
                let line = TYPED[usize::from(bytes.next().unwrap_or(u8::MAX)) % 64 % TYPED.len()];
                if client.try_send(ChatInput::Line(line.into())).is_ok() {
                    typed += 1;
                    typed_who += usize::from(line == "/who");
                }
                run.wait(INSTANT).await;
            }
            0xfd => run.wait(TIMEOUT + DETECTION_WAIT).await,
            0xfe => run.accept_next(),
            _ => run.wait(INSTANT).await,
        }
    }
    run.send(&chunk).await;
    let seconds = (ctx.now() - started_at).as_secs();
    // The end of the input must reach the client, even behind a full mailbox.
    while client.try_send(ChatInput::End).is_err_and(|error| matches!(error, SendError::Full(_))) {
        run.wait(TIMEOUT).await;
        run.read(usize::MAX).await;
    }
    while run.stream.is_some() {
        run.read(64 << 10).await;
        run.accept_next();
    }
    run.wait(LONG_TIME).await;
    let sent = mem::take(&mut run.sent);
    let mut result = result.lock().unwrap();
    (result.sent, result.seconds) = (sent, seconds);
    (result.typed, result.typed_who) = (typed, typed_who);
    assert!(result.exit.is_some(), "the client has ended: {result:#?}");
}

/// The server's ends of the connections, while a script runs.
struct ScriptRun<'a> {
    ctx: &'a Context<()>,
    stream: Option<Stream>,
    connections: VecDeque<Stream>,
    /// For each connection, the bytes that the client sent.
    sent: Vec<Vec<u8>>,
    /// The number of bytes that the server may still send. Megabytes find nothing more.
    send_budget: usize,
}

impl ScriptRun<'_> {
    /// Lets time pass. The clock advances only when no task can run, so afterwards nothing changes
    /// any more.
    async fn wait(&self, time: Duration) {
        self.ctx.sleep(time).await;
    }

    /// Sends bytes for as long as the client accepts them. The rest is dropped.
    async fn send(&mut self, mut bytes: &[u8]) {
        bytes = &bytes[..bytes.len().min(self.send_budget)];
        self.send_budget -= bytes.len();
        while let (false, Some(stream)) = (bytes.is_empty(), &self.stream) {
            let Ok(written) = stream.try_write_vectored(&[IoSlice::new(bytes)]) else { break };
            bytes = &bytes[written..];
            self.wait(INSTANT).await;
        }
    }

    async fn read(&mut self, max_len: usize) {
        let mut read = 0;
        while let (Some(stream), Some(sent)) = (&self.stream, self.sent.last_mut()) {
            let mut buf = [0; 1024];
            let limit = (max_len - read).min(buf.len());
            match stream.try_read(&mut buf[..limit]) {
                Ok(length @ 1..) => {
                    sent.extend_from_slice(&buf[..length]);
                    read += length;
                }
                _ => break,
            }
            self.ctx.sleep(INSTANT).await;
        }
        self.wait(INSTANT).await;
    }

    /// Closes the connection and accepts the next one.
    fn accept_next(&mut self) {
        self.stream = self.connections.pop_front();
        self.sent.push(Vec::new());
    }
}

/// Checks what the client has sent and reported.
fn check_client(transcript: &Transcript, who_on_join: bool) {
    assert!(transcript.longest_report <= MAX_REPORTED_LEN, "{}", transcript.longest_report);
    let (mut who, mut all) = (0, 0);
    for sent in &transcript.sent {
        let text = std::str::from_utf8(sent).unwrap();
        // The last line of a connection may be cut.
        let lines: Vec<_> = text.split('\n').collect();
        all += lines.len() - 1;
        for line in &lines[..lines.len() - 1] {
            who += usize::from(*line == "/who");
            assert!(is_expected(line), "{line:?} in {transcript:#?}");
        }
        let count = |command: &str| lines.iter().filter(|line| **line == command).count();
        assert!(count("/ack off") <= 1, "{transcript:#?}");
    }
    let limit = if who_on_join { transcript.seconds + 1 } else { 0 };
    assert!(who as u64 <= transcript.typed_who as u64 + limit, "{who}: {transcript:#?}");
    // A line that was cut by the end of a connection is sent again.
    let limit = transcript.typed + who + CONNECTIONS * (MAX_COMMANDS + 1);
    assert!(all <= limit, "{all} lines: {transcript:#?}");
}

/// Returns whether the user or the client may have sent a line. The chunks of the lecture dialect
/// have no line ends.
fn is_expected(line: &str) -> bool {
    let typed: BTreeSet<_> = TYPED.into_iter().chain(["/ack off", ""]).collect();
    if typed.contains(line) {
        return true;
    }
    if let Some(nick) = line.strip_prefix("/nick ") {
        return validate_nick(nick).is_ok();
    }
    if let Some(room) = line.strip_prefix("/join ") {
        return validate_room(room).is_ok();
    }
    let mut rest = line;
    while let Some(chunk) =
        typed.iter().rev().find(|text| !text.is_empty() && rest.starts_with(**text))
    {
        rest = &rest[chunk.len()..];
    }
    rest.is_empty()
}
