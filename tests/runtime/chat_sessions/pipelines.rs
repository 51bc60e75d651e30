//! A client that sends many commands at once and reads the replies slowly, in small pieces.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use sockactors::actors::{
    ChatRegistry, ChatSession, Connection, Reporter, RoomManager, SessionConfig, SessionLimits,
};
use sockactors::net::Stream;
use sockactors::runtime::{Child, Context, Outcome, Pool, PoolAddress};

use super::run::Rng;
use crate::support::simulation::drive;

const SEEDS: u64 = 200;

/// The longest pause of a reader. The server disconnects a peer that reads nothing for 30 seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// A time that no session needs if it makes progress.
const DEADLINE: Duration = Duration::from_secs(24 * 3600);

/// Draws a pipeline of commands. Returns it with the number of its messages.
fn draw_pipeline(rng: &mut Rng) -> (String, usize) {
    const COMMANDS: [&str; 7] =
        ["/history 100", "/help", "/rooms", "/who", "/time on", "/time off", "/topic tea"];
    let (mut pipeline, mut messages) = (String::from("/history\n"), 0);
    for _ in 0..rng.below(300) {
        match rng.below(3) {
            0 => pipeline.push_str(COMMANDS[rng.below(7) as usize]),
            _ => {
                messages += 1;
                pipeline.push_str(&"x".repeat(1 + rng.below(3000) as usize));
            }
        }
        pipeline.push('\n');
    }
    (pipeline + "/quit\n", messages)
}

/// Sends the pipeline at once and reads until the server closes. Returns the received bytes.
async fn converse(
    ctx: &Context<()>,
    peer: &Stream,
    pipeline: &str,
    rng: &mut Rng,
) -> Result<Vec<u8>, std::io::Error> {
    let send = async {
        // Fails if the session ends before it has read everything, which the reader notices.
        let _ = peer.write_all(pipeline.as_bytes()).await;
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

#[test]
fn pipelined_commands_with_slow_reader_are_all_handled() {
    let seeds = std::env::var("SOCKACTORS_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        drive(
            seed,
            |tree| {
                let registry = ChatRegistry::new("lobby");
                let manager =
                    tree.child(Child::new("room", move || RoomManager::new(registry.clone())));
                let (limits, reporter) = (SessionLimits::default(), Reporter::disabled());
                let config = Arc::new(SessionConfig::new(limits, manager, reporter));
                (tree.pool(Pool::new("sessions").mailbox(4)), config)
            },
            async move |ctx: Context<()>, built: (PoolAddress, Arc<SessionConfig>)| -> Outcome {
                let (sessions, config) = built;
                let mut rng = Rng(seed);
                let (peer, stream) = Stream::duplex(1 << (5 + rng.below(12)));
                let connection = Connection { stream, number: 0, ip_permit: None };
                sessions.start(ChatSession::new(connection, config)).await?;
                let (pipeline, messages) = draw_pipeline(&mut rng);
                let timeout = async {
                    ctx.sleep(DEADLINE).await;
                    Err(std::io::Error::other("the session makes no progress"))
                };
                let converse = converse(&ctx, &peer, &pipeline, &mut rng);
                let received = future::or(converse, timeout)
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
