//! Any bytes as one side of a chat session, with the room and an honest member around it.
//!
//! A whole chat runs in simulation: the room's keeper, a session for the input and one for an honest member called
//! `ada`, both on connections in memory. The first byte of an input is the setting and the second the seed. Of the
//! rest, bytes below 0xf8 are what the peer sends; those from there on, which are in no text, are what it does:
//!
//! | byte | what |
//! |---|---|
//! | `f8` | waits for longer than the dialect takes to settle |
//! | `f9` | waits until nothing moves any more: the end of a chunk |
//! | `fa N` | reads N times 64 bytes |
//! | `fb N` | sends the last byte N times 64 times more (N modulo 80), unless it is a newline |
//! | `fc` | has the honest member say something |
//! | `fd` | waits for longer than a peer may take nothing |
//! | `fe` | ends its side |
//! | `ff B` | sends the byte B, whatever it is |
//!
//! Whatever the input, nobody crashes, the peer is sent nothing but text (in lines without control characters if it
//! speaks in lines), the honest member hears whole lines that can be told from each other, sees everybody off whom
//! it saw coming, and nobody is left in the hall.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Waking, Poll};
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
use sockactors::wire::text::{decode_lossy, is_unsafe};

const INSTANT: Duration = Duration::from_nanos(1);
/// Longer than the dialect takes to settle.
const PAUSE: Duration = Duration::from_millis(150);
/// Longer than a peer may take nothing.
const LONG: Duration = Duration::from_secs(31);
/// Longer than anything: a rate holds the last line of a long input back for half an hour.
const AGES: Duration = Duration::from_secs(36_000);

/// What the peer and the honest member were sent.
#[derive(Debug, Default)]
struct Told {
    peer: Vec<u8>,
    honest: Vec<u8>,
    /// What the peer sent.
    sent: Vec<u8>,
    /// The hall when all have gone.
    hall: String,
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&[setting, seed], script)) = input.split_first_chunk() else { return };
    let hall = ChatRegistry::new("lobby");
    let mut tree = Supervisor::new("chat", Strategy::OneForOne).intensity(0, LONG);
    let room = {
        let hall = hall.clone();
        tree.child(Child::new("room", move || RoomManager::new(hall.clone())))
    };
    let sessions = tree.pool(Pool::new("sessions").mailbox(4));
    let limits = SessionLimits {
        idle_timeout: (setting & 1 > 0).then_some(4 * LONG),
        rate: (20, LONG),
        rate_on_loopback: setting & 2 > 0,
        ..SessionLimits::default()
    };
    let with = [SessionLimits::default(), limits].map(|limits| {
        Arc::new(SessionConfig { limits, manager: room.clone(), reporter: Reporter::disabled() })
    });
    let told = Arc::new(Mutex::new(Told::default()));
    let (script, out) = (script.to_vec(), told.clone());
    let driver = move || {
        let (with, script, out) = (with.clone(), script.clone(), out.clone());
        let (sessions, hall) = (sessions.clone(), hall.clone());
        async move |ctx: Context<()>| -> Outcome {
            let told = drive(&ctx, &sessions, &with, setting, &script).await?;
            *out.lock().unwrap() = Told { hall: format!("{hall:?}"), ..told };
            Ok(())
        }
    };
    tree.child(Child::new("driver", driver).transient().significant());
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let seen = crashes.clone();
    let ended = Simulation::new(u64::from(seed))
        .observe(move |event| match event {
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. }
                if !exit.is_normal() =>
            {
                seen.lock().unwrap().push(event.to_string());
            }
            _ => {}
        })
        .run(tree);
    let crashes = mem::take(&mut *crashes.lock().unwrap());
    assert!(crashes.is_empty() && ended.is_ok(), "{ended:?}: {crashes:#?}");
    let told = mem::take(&mut *told.lock().unwrap());
    peer_was_told(&told.peer, &told.sent);
    honest_was_told(&told.honest);
    assert_eq!(told.hall, "ChatRegistry(1 rooms, 0 members)");
}

/// Plays an input.
async fn drive(
    ctx: &Context<()>,
    sessions: &PoolAddress,
    [with_honest, with]: &[Arc<SessionConfig>; 2],
    setting: u8,
    script: &[u8],
) -> Result<Told, Box<dyn std::error::Error + Send + Sync>> {
    let capacity = [256, 1024, 4096, 65_536][usize::from(setting >> 2 & 3)];
    let (honest, theirs) = Stream::duplex(4096);
    let serve = |stream, with: &Arc<SessionConfig>| {
        ChatSession::new(Connection { stream, number: 0, ip_permit: None }, with.clone())
    };
    sessions.start(serve(theirs, with_honest)).await?;
    let (peer, theirs) = Stream::duplex(capacity);
    let greedy = setting & 16 > 0;
    let left = 16 << 10;
    let mut play = Play { ctx, peer: Some(peer), honest, greedy, left, told: Told::default() };
    play.honest_says("/nick ada\n/ack off\n").await;
    sessions.start(serve(theirs, with)).await?;
    let mut chunk = Vec::new();
    let mut bytes = script.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte < 0xf8 {
            chunk.push(byte);
            continue;
        }
        match byte {
            0xfb => {
                // Of empty lines a few are enough: each of them may have to wait.
                let last = chunk.last().copied().filter(|byte| *byte != b'\n').unwrap_or(b' ');
                let times = 64 * usize::from(bytes.next().unwrap_or_default() % 80);
                chunk.resize(chunk.len() + times, last);
                continue;
            }
            0xff => {
                chunk.extend(bytes.next());
                continue;
            }
            _ => play.send(&mem::take(&mut chunk)).await,
        }
        match byte {
            0xf8 => play.pass(PAUSE).await,
            0xfa => play.read(64 * usize::from(bytes.next().unwrap_or_default())).await,
            0xfc => play.honest_says("well met\n").await,
            0xfd => play.pass(LONG).await,
            0xfe => play.end(),
            _ => {}
        }
    }
    play.send(&chunk).await;
    if setting & 32 > 0 {
        play.end();
        play.greedy = true;
    } else {
        play.peer = None;
    }
    play.pass(AGES).await;
    assert_eq!(sessions.len(), 1, "the peer's session has ended, and no other");
    play.honest_says("good bye\n/quit\n").await;
    play.pass(LONG).await;
    assert!(sessions.is_empty(), "all sessions have ended");
    Ok(play.told)
}

/// What the peer and the honest member have in hand.
struct Play<'a> {
    ctx: &'a Context<()>,
    peer: Option<Stream>,
    honest: Stream,
    /// Whether the peer reads all the time.
    greedy: bool,
    /// How many bytes the peer may still send: what is sent by the megabyte teaches nothing more.
    left: usize,
    told: Told,
}

impl Play<'_> {
    /// Lets time pass, in which those who read do. The clock moves only when nobody can run, so after any time
    /// nothing moves any more.
    async fn pass(&mut self, time: Duration) {
        let mut sleep = pin!(self.ctx.sleep(time));
        let Told { peer: told, honest: heard, .. } = &mut self.told;
        let peer = self.peer.as_ref().filter(|_| self.greedy);
        poll_fn(|cx| {
            take(Some(&self.honest), heard, cx);
            take(peer, told, cx);
            sleep.as_mut().poll(cx)
        })
        .await;
    }

    /// Sends what the session takes; a peer that is not heeded gives the rest up.
    async fn send(&mut self, mut bytes: &[u8]) {
        bytes = &bytes[..bytes.len().min(self.left)];
        self.left -= bytes.len();
        while let (false, Some(stream)) = (bytes.is_empty(), &self.peer) {
            let Ok(written) = stream.try_write_vectored(&[IoSlice::new(bytes)]) else { break };
            self.told.sent.extend_from_slice(&bytes[..written]);
            bytes = &bytes[written..];
            self.pass(INSTANT).await;
        }
    }

    async fn read(&mut self, most: usize) {
        if let Some(stream) = &self.peer {
            let mut buf = vec![0; most];
            if let Ok(length) = stream.try_read(&mut buf) {
                self.told.peer.extend_from_slice(&buf[..length]);
            }
        }
        self.pass(INSTANT).await;
    }

    async fn honest_says(&mut self, line: &str) {
        let _ = self.honest.try_write_vectored(&[IoSlice::new(line.as_bytes())]);
        self.pass(INSTANT).await;
    }

    fn end(&mut self) {
        if let Some(stream) = &self.peer {
            let _ = stream.shutdown_write();
        }
    }
}

/// Takes what there is to read, and asks to be woken for more.
fn take(stream: Option<&Stream>, told: &mut Vec<u8>, cx: &mut Waking<'_>) {
    while let Some(Poll::Ready(_)) = stream.map(|stream| stream.poll_readable(cx)) {
        let taken =
            stream.map(|stream| stream.try_read_with(|bytes| told.extend_from_slice(bytes)));
        if !matches!(taken, Some(Ok(1..))) {
            return;
        }
    }
}

/// Judges what the peer was sent.
fn peer_was_told(told: &[u8], sent: &[u8]) {
    // It may have stopped reading anywhere.
    let text = match std::str::from_utf8(told) {
        Ok(text) => text,
        Err(error) => {
            assert!(error.error_len().is_none(), "{:?}", String::from_utf8_lossy(told));
            std::str::from_utf8(&told[..error.valid_up_to()]).unwrap()
        }
    };
    if text.starts_with(ACK_PREFIX) {
        return lecturer_was_told(text, &decode_lossy(sent));
    }
    for line in text.split('\n') {
        assert!(!line.contains(is_unsafe), "{line:?}");
    }
}

/// Judges what a lecture client was sent: receipts, which have its text as it came, and nothing else until it turns
/// out to send lines.
fn lecturer_was_told(text: &str, sent: &str) {
    // Which of them are its own words only a session can tell.
    if sent.contains(ACK_PREFIX) {
        return;
    }
    let text = text.split("\n* ").next().unwrap_or_default();
    let echoed = text.replace(ACK_PREFIX, "");
    // It may have stopped reading in a receipt, or just when it was taken for one who sends lines.
    let cut = |end: &str| echoed.strip_suffix(end).is_some_and(|rest| sent.starts_with(rest));
    let is_echo = cut("") || cut("\n*") || (1..ACK_PREFIX.len()).any(|n| cut(&ACK_PREFIX[..n]));
    assert!(is_echo, "{text:?} for {sent:?}");
}

/// Judges what the honest member was sent.
fn honest_was_told(told: &[u8]) {
    let text = std::str::from_utf8(told).unwrap();
    assert!(text.ends_with('\n'), "{text:?}");
    let mut there = 0;
    for line in text.lines() {
        assert!(!line.contains(is_unsafe), "{line:?}");
        let named = |(name, _): (&str, &str)| validate_nick(name).is_ok();
        let is_formed = match line.split_once(' ') {
            Some(("*" | "**", rest)) => !rest.is_empty(),
            _ => line.split_once(": ").is_some_and(named),
        };
        assert!(is_formed, "{line:?}");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["*", name, "joined"] if name != "ada" => there += 1,
            ["*", name, "left"] if name != "ada" => there -= 1,
            _ => {}
        }
    }
    assert_eq!(there, 0, "whoever came has left:\n{text}");
}
