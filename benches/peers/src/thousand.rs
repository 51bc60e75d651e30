//! Measures the latency in a room of 1,000 members, ten of which send, beside two slow readers.
//!
//! There are two runs in turns, each on its own server. In one all members read. In the other one
//! member reads nothing and one reads a byte per second. All other members must receive every line
//! once and in the same order. The latency of a line is the time from send to receipt. Sender and
//! receivers share one clock.

use std::io::{self, Read};
use std::time::{Duration, Instant};
use std::{fs, mem};

use rustix::event::epoll::EventFlags;

use crate::cpu::{per_mille, spread};
use crate::crowd::{Crowd, TIMEOUT, number};
use crate::server::{Kind, Places, Server};

/// The number of members that send.
const SENDERS: usize = 10;

/// The interval between two lines. Each of the senders sends 20 per second.
const INTERVAL: Duration = Duration::from_millis(5);

/// The receive buffer of the slow readers in bytes, which fills soon.
const SMALL_BUFFER: usize = 2048;

/// The latencies of one run in ns, sorted.
type Latencies = Vec<u64>;

/// Runs both in each round, and prints the latencies.
///
/// # Errors
///
/// Fails if a line is lost, duplicated or reordered.
pub fn compare(places: &Places, rounds: u64, members: usize, seconds: u64) -> io::Result<()> {
    let lines = seconds * Duration::from_secs(1).as_millis() as u64 / INTERVAL.as_millis() as u64;
    println!("{members} members, {SENDERS} senders, {lines} lines per run; latencies in µs");
    println!(
        "{:>5} {:>13} {:>9} {:>9} {:>13} {:>9} {:>9} {:>9}  unsent to the two",
        "round", "all read: p50", "p99", "max", "two slow:", "p99", "max", "p99 ratio"
    );
    let mut kept = [const { Vec::new() }; 5];
    for round in 1..=rounds {
        let (all, _) = run(places, members, lines, false)?;
        let (some, unsent_bytes) = run(places, members, lines, true)?;
        let at = |sorted: &[u64], share| per_mille(sorted, share) / 1e3;
        let [p50, p99, max] = [500, 990, 1000].map(|share| at(&all, share));
        let [q50, q99, slow_max] = [500, 990, 1000].map(|share| at(&some, share));
        println!(
            "{round:>5} {p50:>13.0} {p99:>9.0} {max:>9.0} {q50:>13.0} {q99:>9.0} \
             {slow_max:>9.0} {:>9.2}  {} B, {} B",
            q99 / p99,
            unsent_bytes[0],
            unsent_bytes[1],
        );
        for (kept, figure) in kept.iter_mut().zip([p50, p99, q50, q99, q99 / p99]) {
            kept.push(figure);
        }
    }
    let [p50, p99, q50, q99, _] = kept.clone().map(|kept| spread(kept)[1]);
    let [min, ratio, max] = spread(mem::take(&mut kept[4]));
    println!("medians: p50 {p50:.0} and {q50:.0} µs, p99 {p99:.0} and {q99:.0} µs");
    println!("p99 ratio: median {ratio:.2} ({min:.2} to {max:.2})");
    Ok(())
}

/// Performs one run. Returns the latencies, and the unsent bytes of the two slow readers.
fn run(
    places: &Places,
    members: usize,
    lines: u64,
    with_slow: bool,
) -> io::Result<(Latencies, [u64; 2])> {
    let server = Server::start(Kind::Sockactors, places)?;
    let mut crowd = Crowd::new(&server)?;
    let good = members - 2;
    for member in 0..members {
        crowd.join((with_slow && member >= good).then_some(SMALL_BUFFER))?;
    }
    let [frozen, slow] = [good, good + 1];
    if with_slow {
        crowd.watch(frozen, EventFlags::empty())?;
        crowd.watch(slow, EventFlags::empty())?;
    }
    let mut received: Vec<Vec<u32>> = vec![Vec::new(); members];
    let mut latencies = Vec::with_capacity(good * lines as usize);
    // Each member receives all lines except its own.
    let mut left = good as u64 * lines - lines;
    let mut sent = Vec::new();
    let start = Instant::now();
    let mut byte_at = start;
    while left > 0 {
        let now = Instant::now();
        let due = |line: usize| start + INTERVAL * line as u32;
        while sent.len() < lines as usize && due(sent.len()) <= now {
            let line = sent.len();
            sent.push(Instant::now());
            crowd.send_text(line % SENDERS, line as u64)?;
        }
        if with_slow && byte_at <= now {
            // There may be no byte. A broken connection is detected below.
            let _ = crowd.members[slow].stream.read(&mut [0]);
            byte_at += Duration::from_secs(1);
        }
        let next = if sent.len() < lines as usize { due(sent.len()) } else { now + INTERVAL };
        crowd.poll_until(Some(next), |member, line| {
            if Kind::Sockactors.is_loss(line) {
                return Err(io::Error::other(format!("member {member} missed a message")));
            }
            let Some(number) = number(line) else { return Ok(()) };
            let Some(sent) = sent.get(number as usize) else {
                return Err(io::Error::other(format!("line {number} was not sent")));
            };
            received[member].push(number as u32);
            if member < good {
                latencies.push(sent.elapsed().as_nanos() as u64);
                left = left.saturating_sub(1);
            }
            Ok(())
        })?;
        if now > due(lines as usize) + TIMEOUT {
            return Err(io::Error::other(format!("{left} deliveries are missing")));
        }
    }
    let mut unsent_bytes = [0; 2];
    if with_slow {
        for (unsent_bytes, member) in unsent_bytes.iter_mut().zip([frozen, slow]) {
            *unsent_bytes = unsent(&server, crowd.members[member].stream.local_addr()?.port())?;
        }
    }
    check(&received[..good], lines)?;
    latencies.sort_unstable();
    Ok((latencies, unsent_bytes))
}

/// Checks that all members received every line once and in the same order.
fn check(received: &[Vec<u32>], lines: u64) -> io::Result<()> {
    let order = &received[SENDERS];
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..lines as u32) {
        return Err(io::Error::other("lines were lost or duplicated"));
    }
    let mut last = [None; SENDERS];
    for line in order {
        let sender = *line as usize % SENDERS;
        if last[sender].replace(*line).is_some_and(|before| before > *line) {
            return Err(io::Error::other(format!("the lines of sender {sender} were reordered")));
        }
    }
    for (member, received) in received.iter().enumerate() {
        let own = |line: &&u32| **line as usize % SENDERS == member;
        if !received.iter().eq(order.iter().filter(|line| !own(line))) {
            return Err(io::Error::other(format!("member {member} received another order")));
        }
    }
    Ok(())
}

/// Returns the bytes in the server's send queue for the member with this port.
fn unsent(server: &Server, port: u16) -> io::Result<u64> {
    let (ours, theirs) = (format!(":{:04X}", server.address.port()), format!(":{port:04X}"));
    let table = fs::read_to_string("/proc/net/tcp")?;
    let queue = table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (local, peer) = (fields.get(1)?, fields.get(2)?);
        let queue = fields.get(4)?.split(':').next()?;
        (local.ends_with(&ours) && peer.ends_with(&theirs))
            .then(|| u64::from_str_radix(queue, 16).ok())?
    });
    queue.ok_or_else(|| io::Error::other("the server has closed the connection of a member"))
}
