//! The rates of a session, and of all sessions of a source, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockactors::actors::{
    ChatRegistry, ChatSession, Connection, Reporter, RoomManager, SessionConfig, SessionLimits,
};
use sockactors::net::Stream;
use sockactors::runtime::{Child, Context, Outcome, Pool, PoolAddress, Supervisor};
use sockactors::wire::chat::{ACK_PREFIX, MAX_LINE_LEN};

use crate::support::simulation::{SEEDS, drive};

/// One session may send a line per second, after a burst of ten. A source may send ten lines per
/// second, after a burst of a hundred.
const RATE: (u32, Duration) = (10, Duration::from_secs(10));

/// The pool and the configuration of a chat.
pub type Chat = (PoolAddress, Arc<SessionConfig>);

fn build_chat(tree: &mut Supervisor) -> Chat {
    build_chat_with(tree, |limits| (limits.rate, limits.rate_on_loopback) = (RATE, true))
}

/// Adds a chat with these limits to a tree.
pub fn build_chat_with(tree: &mut Supervisor, limit: impl FnOnce(&mut SessionLimits)) -> Chat {
    let registry = ChatRegistry::new("lobby");
    let manager = tree.child(Child::new("room", move || RoomManager::new(registry.clone())));
    let mut limits = SessionLimits::default();
    limit(&mut limits);
    let config = Arc::new(SessionConfig::new(limits, manager, Reporter::disabled()));
    (tree.pool(Pool::new("sessions").mailbox(4)), config)
}

/// Connects a peer. All peers have the same source, because none has an address.
pub async fn connect((sessions, config): &Chat) -> Stream {
    let (peer, stream) = Stream::duplex(64 << 10);
    let connection = Connection::unlimited(stream);
    sessions.start(ChatSession::new(connection, config.clone())).await.unwrap();
    peer
}

/// Reads until the received text ends with `end`, or to the end of the stream.
pub async fn read_until(peer: &Stream, end: &str) -> String {
    let (mut text, mut window) = (Vec::new(), [0; 4096]);
    while !text.ends_with(end.as_bytes()) {
        match peer.read(&mut window).await.unwrap() {
            0 => break,
            length => text.extend_from_slice(&window[..length]),
        }
    }
    String::from_utf8(text).unwrap()
}

/// Asserts that about `seconds` have passed since `start`.
#[track_caller]
fn assert_elapsed(ctx: &Context<()>, start: Instant, seconds: u64) {
    let elapsed = ctx.now() - start;
    let about = Duration::from_secs(seconds - 2)..Duration::from_secs(seconds + 2);
    assert!(about.contains(&elapsed), "{elapsed:?} instead of {seconds} s");
}

#[test]
fn lecture_session_keeps_rate() {
    drive(0, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
        let peer = connect(&chat).await;
        let start = ctx.now();
        for chunk in 0..40 {
            peer.write_all(format!("chunk {chunk}").as_bytes()).await?;
            let receipt = format!("{ACK_PREFIX}chunk {chunk}");
            assert_eq!(read_until(&peer, &receipt).await, receipt);
        }
        assert_elapsed(&ctx, start, 30);
        Ok(())
    });
}

#[test]
fn long_lecture_chunk_counts_as_several() {
    drive(0, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
        let (reader, peer) = (connect(&chat).await, connect(&chat).await);
        reader.write_all(b"/nick ada\n").await?;
        read_until(&reader, "lists the commands\n").await;
        let start = ctx.now();
        for byte in "abcde".chars() {
            let text = byte.to_string().repeat(4 * MAX_LINE_LEN);
            peer.write_all(text.as_bytes()).await?;
            let receipts = format!("{ACK_PREFIX}{}", &text[..MAX_LINE_LEN]).repeat(4);
            assert_eq!(read_until(&peer, &receipts).await, receipts);
        }
        assert_elapsed(&ctx, start, 10);
        peer.write_all(b"end").await?;
        let lines = read_until(&reader, ": end\n").await;
        assert_eq!(lines.lines().count(), 21);
        assert!(lines.lines().all(|line| line.len() <= "guest2: ".len() + MAX_LINE_LEN));
        Ok(())
    });
}

#[test]
fn sessions_of_one_source_share_rate() {
    for seed in 0..SEEDS {
        drive(seed, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
            let start = ctx.now();
            let mut peers = Vec::new();
            for _ in 0..20 {
                let peer = connect(&chat).await;
                peer.write_all(format!("/ack off\n{}/quit\n", "line\n".repeat(18)).as_bytes())
                    .await?;
                peers.push(peer);
            }
            for peer in &peers {
                read_until(peer, "no such end").await;
            }
            // The sessions spend 20 connections and 400 lines, after a burst of 100.
            assert_elapsed(&ctx, start, 32);
            Ok(())
        });
    }
}

#[test]
fn reconnecting_client_keeps_rate() {
    drive(0, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
        let start = ctx.now();
        for _ in 0..100 {
            let peer = connect(&chat).await;
            peer.write_all(b"/nick eve\n/join den\n/quit\n").await?;
            read_until(&peer, "no such end").await;
        }
        // Connections, nicks and joins count: four each.
        assert_elapsed(&ctx, start, 30);
        Ok(())
    });
}
