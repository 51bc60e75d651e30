//! Arbitrary bytes as one side of a chat session, with a room and an honest member.
//!
//! A whole chat runs in a simulation: the room manager, a session for the input, and a session for
//! an honest member called `ada`. Both sessions use connections in memory. The first byte of an
//! input selects the settings, and the second one is the seed. In the rest, bytes below 0xf8 are
//! sent by the peer. The bytes from 0xf8 on, which no text contains, are actions:
//!
//! | byte | action |
//! |---|---|
//! | `f8` | waits longer than the detection of the dialect takes |
//! | `f9` | waits until nothing changes any more, which ends a chunk |
//! | `fa N` | reads 64 * N bytes |
//! | `fb N` | sends the last byte 64 * (N % 80) more times, or a space if it is a newline |
//! | `fc` | sends a message of the honest member |
//! | `fd` | waits longer than a peer may accept nothing |
//! | `fe` | shuts down the peer's write side |
//! | `ff B` | sends the byte B, whatever it is |
//!
//! For every input these must hold:
//!
//! - No actor crashes.
//! - The peer receives only text. If it is a line client, the lines have no control characters.
//! - The honest member receives whole lines of known forms. It sees every member leave that it saw
//!   join.
//! - No member is left in the registry at the end.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use sockactors::actors::{
    ChatRegistry, ChatSession, Connection, Reporter, RoomManager, SessionConfig, SessionLimits,
};
use sockactors::net::Stream;
use sockactors::runtime::{
    Child, Context, Lifecycle, Outcome, Pool, PoolAddress, Strategy, Supervisor,
};
use sockactors::testing::Simulation;
use sockactors::wire::chat::{ACK_PREFIX, validate_nick};
use sockactors::wire::text::{decode_lossy, is_safe_text};

const INSTANT: Duration = Duration::from_nanos(1);
/// Longer than the detection of the dialect takes.
const DETECTION_WAIT: Duration = Duration::from_millis(150);
/// Longer than a peer may accept nothing.
const STALL_WAIT: Duration = Duration::from_secs(31);
/// Longer than any limit: the rate limit delays the last line of a long input by half an hour.
const LONG_TIME: Duration = Duration::from_secs(36_000);

/// The bytes on both connections, and the final state.
#[derive(Debug, Default)]
struct Transcript {
    /// The bytes that the peer received.
    peer: Vec<u8>,
    /// The bytes that the honest member received.
    honest: Vec<u8>,
    /// The bytes that the peer sent.
    sent: Vec<u8>,
    /// The registry after all members have left, formatted.
    registry: String,
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&[settings, seed], script)) = input.split_first_chunk() else { return };
    let registry = ChatRegistry::new("lobby");
    let mut tree = Supervisor::new("chat", Strategy::OneForOne).intensity(0, STALL_WAIT);
    let manager = {
        let registry = registry.clone();
        tree.child(Child::new("rooms", move || RoomManager::new(registry.clone())))
    };
    let sessions = tree.pool(Pool::new("sessions").mailbox(4));
    let limits = SessionLimits {
        idle_timeout: (settings & 1 > 0).then_some(4 * STALL_WAIT),
        rate: (20, STALL_WAIT),
        rate_on_loopback: settings & 2 > 0,
        ..SessionLimits::default()
    };
    let configs = [SessionLimits::default(), limits].map(|limits| {
        let (manager, reporter) = (manager.clone(), Reporter::disabled());
        Arc::new(SessionConfig::new(limits, manager, reporter))
    });
    let transcript = Arc::new(Mutex::new(Transcript::default()));
    let (script, result) = (script.to_vec(), transcript.clone());
    let driver = move || {
        let (configs, script, result) = (configs.clone(), script.clone(), result.clone());
        let (sessions, registry) = (sessions.clone(), registry.clone());
        async move |ctx: Context<()>| -> Outcome {
            let transcript = run_script(&ctx, &sessions, &configs, settings, &script).await?;
            *result.lock().unwrap() =
                Transcript { registry: format!("{registry:?}"), ..transcript };
            Ok(())
        }
    };
    tree.child(Child::new("driver", driver).transient().significant());
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let observed = crashes.clone();
    let outcome = Simulation::new(u64::from(seed))
        .observe(move |event| match event {
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. }
                if !exit.is_normal() =>
            {
                observed.lock().unwrap().push(event.to_string());
            }
            _ => {}
        })
        .run(tree);
    let crashes = mem::take(&mut *crashes.lock().unwrap());
    assert!(crashes.is_empty() && outcome.is_ok(), "{outcome:?}: {crashes:#?}");
    let transcript = mem::take(&mut *transcript.lock().unwrap());
    check_peer_input(&transcript.peer, &transcript.sent);
    check_honest_input(&transcript.honest);
    assert_eq!(transcript.registry, "ChatRegistry(1 rooms, 0 members)");
}

/// Runs the script of an input.
async fn run_script(
    ctx: &Context<()>,
    sessions: &PoolAddress,
    [honest_config, peer_config]: &[Arc<SessionConfig>; 2],
    settings: u8,
    script: &[u8],
) -> Result<Transcript, Box<dyn std::error::Error + Send + Sync>> {
    let capacity = [256, 1024, 4096, 65_536][usize::from(settings >> 2 & 3)];
    let (honest, theirs) = Stream::duplex(4096);
    let session = |stream, config: &Arc<SessionConfig>| {
        ChatSession::new(Connection::unlimited(stream), config.clone())
    };
    sessions.start(session(theirs, honest_config)).await?;
    let (peer, theirs) = Stream::duplex(capacity);
    let mut run = ScriptRun {
        ctx,
        peer: Some(peer),
        honest,
        always_reads: settings & 16 > 0,
        send_budget: 16 << 10,
        transcript: Transcript::default(),
    };
    run.send_as_honest("/nick ada\n/ack off\n").await;
    sessions.start(session(theirs, peer_config)).await?;
    let mut chunk = Vec::new();
    let mut bytes = script.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte < 0xf8 {
            chunk.push(byte);
            continue;
        }
        match byte {
            0xfb => {
                // Many empty lines would only take time, because the rate limit delays each of
                // them.
                let last = chunk.last().copied().filter(|byte| *byte != b'\n').unwrap_or(b' ');
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
            0xfc => run.send_as_honest("well met\n").await,
            0xfd => run.wait(STALL_WAIT).await,
            0xfe => run.shutdown_peer(),
            _ => {}
        }
    }
    run.send(&chunk).await;
    if settings & 32 > 0 {
        run.shutdown_peer();
        run.always_reads = true;
    } else {
        run.peer = None;
    }
    run.wait(LONG_TIME).await;
    assert_eq!(sessions.len(), 1, "only the peer's session has ended");
    run.send_as_honest("good bye\n/quit\n").await;
    run.wait(STALL_WAIT).await;
    assert!(sessions.is_empty(), "all sessions have ended");
    Ok(run.transcript)
}

/// The connections of the peer and of the honest member, while a script runs.
struct ScriptRun<'a> {
    ctx: &'a Context<()>,
    peer: Option<Stream>,
    honest: Stream,
    /// Whether the peer reads all the time.
    always_reads: bool,
    /// The number of bytes that the peer may still send. Megabytes of input find nothing more.
    send_budget: usize,
    transcript: Transcript,
}

impl ScriptRun<'_> {
    /// Lets time pass, during which the clients read. The clock advances only when no task can run,
    /// so afterwards nothing changes any more.
    async fn wait(&mut self, time: Duration) {
        let mut sleep = pin!(self.ctx.sleep(time));
        let Transcript { peer: peer_bytes, honest: honest_bytes, .. } = &mut self.transcript;
        let peer = self.peer.as_ref().filter(|_| self.always_reads);
        poll_fn(|cx| {
            poll_read_all(Some(&self.honest), honest_bytes, cx);
            poll_read_all(peer, peer_bytes, cx);
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    /// Sends bytes for as long as the session accepts them. The rest is dropped.
    async fn send(&mut self, mut bytes: &[u8]) {
        bytes = &bytes[..bytes.len().min(self.send_budget)];
        self.send_budget -= bytes.len();
        while let (false, Some(stream)) = (bytes.is_empty(), &self.peer) {
            let Ok(written) = stream.try_write_vectored(&[IoSlice::new(bytes)]) else { break };
            self.transcript.sent.extend_from_slice(&bytes[..written]);
            bytes = &bytes[written..];
            self.wait(INSTANT).await;
        }
    }

    async fn read(&mut self, max_len: usize) {
        if let Some(stream) = &self.peer {
            let mut buf = vec![0; max_len];
            if let Ok(length) = stream.try_read(&mut buf) {
                self.transcript.peer.extend_from_slice(&buf[..length]);
            }
        }
        self.wait(INSTANT).await;
    }

    async fn send_as_honest(&mut self, line: &str) {
        let _ = self.honest.try_write_vectored(&[IoSlice::new(line.as_bytes())]);
        self.wait(INSTANT).await;
    }

    fn shutdown_peer(&mut self) {
        if let Some(stream) = &self.peer {
            let _ = stream.shutdown_write();
        }
    }
}

/// Reads everything that a stream has, and registers the task for more.
fn poll_read_all(stream: Option<&Stream>, received: &mut Vec<u8>, cx: &mut TaskContext<'_>) {
    while let Some(Poll::Ready(_)) = stream.map(|stream| stream.poll_readable(cx)) {
        let read =
            stream.map(|stream| stream.try_read_with(|bytes| received.extend_from_slice(bytes)));
        if !matches!(read, Some(Ok(1..))) {
            return;
        }
    }
}

/// Checks the bytes that the peer received.
fn check_peer_input(received: &[u8], sent: &[u8]) {
    // The peer may have stopped to read in the middle of a character.
    let text = match std::str::from_utf8(received) {
        Ok(text) => text,
        Err(error) => {
            assert!(error.error_len().is_none(), "{:?}", String::from_utf8_lossy(received));
            std::str::from_utf8(&received[..error.valid_up_to()]).unwrap()
        }
    };
    if text.starts_with(ACK_PREFIX) {
        return check_lecture_input(text, &decode_lossy(sent));
    }
    for line in text.split('\n') {
        assert!(is_safe_text(line), "{line:?}");
    }
}

/// Checks the text that a lecture client received: only receipts with its own text, until it
/// becomes a line client.
fn check_lecture_input(text: &str, sent: &str) {
    // If the client has sent the prefix itself, its text and the receipts cannot be told apart.
    if sent.contains(ACK_PREFIX) {
        return;
    }
    let text = text.split("\n* ").next().unwrap_or_default();
    let echoed = text.replace(ACK_PREFIX, "");
    // The client may have stopped to read within a receipt, or while it became a line client.
    let is_echo_before =
        |end: &str| echoed.strip_suffix(end).is_some_and(|rest| sent.starts_with(rest));
    let is_echo = is_echo_before("")
        || is_echo_before("\n*")
        || (1..ACK_PREFIX.len()).any(|len| is_echo_before(&ACK_PREFIX[..len]));
    assert!(is_echo, "{text:?} for {sent:?}");
}

/// Checks the bytes that the honest member received.
fn check_honest_input(received: &[u8]) {
    let text = std::str::from_utf8(received).unwrap();
    assert!(text.ends_with('\n'), "{text:?}");
    let mut other_members = 0;
    for line in text.lines() {
        assert!(is_safe_text(line), "{line:?}");
        let has_sender = |(nick, _): (&str, &str)| validate_nick(nick).is_ok();
        let is_well_formed = match line.split_once(' ') {
            Some(("*" | "**", rest)) => !rest.is_empty(),
            _ => line.split_once(": ").is_some_and(has_sender),
        };
        assert!(is_well_formed, "{line:?}");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["*", nick, "joined"] if nick != "ada" => other_members += 1,
            ["*", nick, "left"] if nick != "ada" => other_members -= 1,
            _ => {}
        }
    }
    assert_eq!(other_members, 0, "every member that has joined has left:\n{text}");
}
