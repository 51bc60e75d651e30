//! A client that sends many commands at once and reads the replies slowly, in small pieces.

use std::io;
use std::time::Duration;

use futures_lite::future;
use sockactors::actors::{ChatSession, Connection};
use sockactors::net::Stream;
use sockactors::runtime::{Context, Outcome};

use super::rates::{Chat, build_chat_with, connect, read_until};
use super::run::Rng;
use crate::support::simulation::drive;

const SEEDS: u64 = 60;

/// The longest pause of a reader. The server disconnects a peer that reads nothing for 30 seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// A time that no session needs if it makes progress.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// A rate that delays the lines of a pipeline.
const RATE: (u32, Duration) = (50, Duration::from_secs(5));

/// Draws a pipeline of commands. Returns it with the number of its messages.
fn draw_pipeline(rng: &mut Rng) -> (String, usize) {
    const COMMANDS: [&str; 9] = [
        "/history 100",
        "/help",
        "/rooms",
        "/who",
        "/time on",
        "/time off",
        "/topic tea",
        "/msg noise psst",
        "/nick eve",
    ];
    let (mut pipeline, mut messages) = (String::from("/history\n"), 0);
    for _ in 0..rng.below(300) {
        match rng.below(3) {
            0 => pipeline.push_str(COMMANDS[rng.below(9) as usize]),
            _ => {
                messages += 1;
                pipeline.push_str(&"x".repeat(1 + rng.below(3000) as usize));
            }
        }
        pipeline.push('\n');
    }
    (pipeline, messages)
}

/// Sends the pipeline at once and reads until the server closes. Returns the received bytes.
async fn converse(
    ctx: &Context<()>,
    peer: &Stream,
    pipeline: &str,
    rng: &mut Rng,
) -> io::Result<Vec<u8>> {
    let half_closes = rng.below(2) == 0;
    let send = async {
        peer.write_all(pipeline.as_bytes()).await?;
        match half_closes {
            true => peer.shutdown_write()?,
            false => peer.write_all(b"/quit\n").await?,
        }
        future::pending().await
    };
    let receive = async {
        let (mut received, mut window) = (Vec::new(), vec![0; 1 + rng.below(8000) as usize]);
        let mut next_pause = 0;
        loop {
            let length = peer.read(&mut window).await?;
            if length == 0 {
                return Ok(received);
            }
            received.extend_from_slice(&window[..length]);
            if received.len() >= next_pause {
                next_pause = received.len() + rng.below(64 << 10) as usize;
                ctx.sleep(PAUSE.mul_f64(rng.below(100) as f64 / 100.0)).await;
            }
        }
    };
    future::or(receive, send).await
}

/// Sends messages and private messages for ever, and reads what arrives.
async fn make_noise(ctx: &Context<()>, chat: &Chat, interval: Duration) -> io::Result<Vec<u8>> {
    let peer = connect(chat).await;
    let send = async {
        peer.write_all(b"/nick noise\n/ack off\n").await?;
        loop {
            ctx.sleep(interval).await;
            peer.write_all(b"noise\n/msg eve psst\n").await?;
        }
    };
    let receive = async {
        read_until(&peer, "no such end").await;
        Ok(Vec::new())
    };
    future::or(send, receive).await
}

#[test]
fn pipelined_commands_with_slow_reader_are_all_handled() {
    let seeds = std::env::var("SOCKACTORS_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut rng = Rng(seed);
        let is_limited = rng.below(3) == 0;
        drive(
            seed,
            |tree| {
                build_chat_with(tree, |limits| {
                    (limits.rate, limits.rate_on_loopback) = (RATE, is_limited);
                })
            },
            async move |ctx: Context<()>, chat: Chat| -> Outcome {
                let (sessions, config) = &chat;
                let (peer, stream) = Stream::duplex(1 << (5 + rng.below(12)));
                let connection = Connection::unlimited(stream);
                sessions.start(ChatSession::new(connection, config.clone())).await?;
                let (pipeline, messages) = draw_pipeline(&mut rng);
                let noise = make_noise(&ctx, &chat, Duration::from_millis(300 + rng.below(3000)));
                let timeout = async {
                    ctx.sleep(DEADLINE).await;
                    Err(io::Error::other("the session makes no progress"))
                };
                let converse = converse(&ctx, &peer, &pipeline, &mut rng);
                let received = future::or(converse, future::or(noise, timeout))
                    .await
                    .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
                let received = String::from_utf8(received)?;
                let receipts = received.matches("Server received your message: x").count();
                assert_eq!(receipts, messages, "seed {seed}");
                Ok(())
            },
        );
    }
}

#[test]
fn session_that_ends_does_not_wait_for_slow_reader() {
    let build_chat = |tree: &mut _| build_chat_with(tree, |_| {});
    drive(0, build_chat, async move |ctx: Context<()>, chat: Chat| -> Outcome {
        let (sessions, config) = &chat;
        let (peer, stream) = Stream::duplex(1024);
        let connection = Connection::unlimited(stream);
        sessions.start(ChatSession::new(connection, config.clone())).await?;
        peer.write_all(format!("{}/quit\n", "/help\n".repeat(60)).as_bytes()).await?;
        // Each byte that is read proves that the peer is there.
        for _ in 0..20 {
            assert_eq!(peer.read(&mut [0]).await?, 1);
            ctx.sleep(PAUSE).await;
        }
        let rest = read_until(&peer, "no such end").await;
        assert!(rest.len() < 2048, "{} bytes after {:?}", rest.len(), 20 * PAUSE);
        Ok(())
    });
}
