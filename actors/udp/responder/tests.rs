//! Tests of a responder in a loop, on real sockets.

use std::net::UdpSocket;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::actors::udp::loop_detector::LoopCriteria;
use crate::actors::udp::responder::*;
use crate::runtime::{Child, Strategy, Supervisor, System};
use crate::sync::lock;

/// The time limit for a reply.
const DEADLINE: Duration = Duration::from_secs(20);

/// The maximum number of requests before a loop is detected.
const MAX_REQUESTS: usize = 20_000;

/// Runs `test` with a server for which every repeated datagram is part of a loop after a moment.
/// The server's policy is changed by `policy`. Returns the sources of its warnings.
fn with_responder(
    policy: impl Fn(ReplyPolicy) -> ReplyPolicy,
    test: impl FnOnce(&UdpSocket),
) -> Vec<Option<Peer>> {
    let endpoint = "127.0.0.1:0".parse().unwrap();
    let socket = Arc::new(smol::block_on(DatagramSocket::bind(&endpoint)).unwrap());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(socket.endpoint().to_string()).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let criteria =
        LoopCriteria { window: Duration::ZERO, min_rate: 1, min_time: Duration::from_millis(1) };
    let policy = Arc::new(policy(ReplyPolicy::new().loop_criteria(criteria)));
    let mut tree = Supervisor::new("udp", Strategy::OneForOne);
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let seen = warnings.clone();
    let listen = move || {
        let seen = seen.clone();
        async move |mut ctx: Context<Report>| -> Outcome {
            while let Some(report) = ctx.recv().await {
                if let Report::Rejected { peer, reason } = report {
                    assert!(reason.contains("--reply-rate off"), "{reason}");
                    lock(&seen).push(peer);
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("listener", listen)));
    tree.child(Child::new("responder", move || {
        let quota = Arc::new(ClientQuota::new(None));
        let (socket, reply) = (socket.clone(), Arc::from(&b"reply"[..]));
        UdpResponder::new(socket, reply, 64, quota, reporter.clone()).reply_policy(policy.clone())
    }));
    let system = System::new();
    let handle = system.handle();
    thread::scope(|scope| {
        let running = scope.spawn(|| system.run(tree));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&client)));
        handle.stop();
        running.join().unwrap().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let warnings = lock(&warnings);
    warnings.clone()
}

/// Sends a request and returns the time until its reply.
fn time_of_reply(client: &UdpSocket) -> Duration {
    let start = Instant::now();
    client.send(b"same").unwrap();
    assert_eq!(client.recv(&mut [0; 64]).expect("a reply"), b"reply".len());
    start.elapsed()
}

/// Sends requests in lock-step, and returns the time of 20 replies after the first slow one.
fn time_in_loop(client: &UdpSocket) -> Option<Duration> {
    (0..MAX_REQUESTS).find(|_| time_of_reply(client) >= Duration::from_millis(9))?;
    Some((0..20).map(|_| time_of_reply(client)).sum())
}

#[test]
fn source_in_loop_gets_delayed_replies() {
    let mut source = None;
    let warnings = with_responder(
        |policy| policy,
        |client| {
            source = client.local_addr().ok().map(Peer::from);
            // A slow machine may delay one reply, so a second look at the loop must be slow too.
            let slow = (0..3).find_map(|_| {
                time_in_loop(client).filter(|elapsed| *elapsed >= Duration::from_millis(190))
            });
            assert!(slow.is_some(), "a loop was answered in full");
            // Another source is answered in full.
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            other.connect(client.peer_addr().unwrap()).unwrap();
            other.set_read_timeout(Some(DEADLINE)).unwrap();
            let elapsed: Duration = (0..500).map(|_| time_of_reply(&other)).sum();
            assert!(elapsed < Duration::from_secs(4), "500 replies in {elapsed:?}");
        },
    );
    assert_eq!(warnings, [source]);
}

#[test]
fn loop_without_reply_limit_is_answered_in_full() {
    let warnings = with_responder(
        |policy| policy.rate_limit(None),
        |client| {
            let elapsed: Duration = (0..5000).map(|_| time_of_reply(client)).sum();
            assert!(elapsed < Duration::from_secs(15), "a loop was slowed: {elapsed:?}");
        },
    );
    assert_eq!(warnings, []);
}
