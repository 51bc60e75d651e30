//! A thousand members in one room, ten of whom talk: what the others feel of one that does not read.
//!
//! Two runs in turns, on servers of their own: one where all read, and one where one member is frozen and one reads a byte a
//! second. All others must be sent every line, once, in the order in which all others are sent them; how long
//! each line took from its saying to its coming is the figure. Sender and receivers have one clock.

use std::io::{self, Read};
use std::time::{Duration, Instant};
use std::{fs, mem};

use rustix::event::epoll::EventFlags;

use crate::cpu::{per_mille, spread};
use crate::crowd::{Crowd, PATIENCE, number};
use crate::server::{Kind, Places, Server};

/// How many talk.
const TALKERS: usize = 10;

/// Between two lines of anybody; so each talker says 20 a second.
const PACE: Duration = Duration::from_millis(5);

/// The receive buffer of those who read badly, so that the server feels them soon.
const NARROW: usize = 2048;

/// The latencies of one run that count, sorted, in nanoseconds.
type Latencies = Vec<u64>;

/// Runs both, round by round, and prints what they gave.
///
/// # Errors
///
/// Fails when the server does wrong.
pub fn compare(places: &Places, rounds: u64, members: usize, seconds: u64) -> io::Result<()> {
    let lines = seconds * Duration::from_secs(1).as_millis() as u64 / PACE.as_millis() as u64;
    println!("{members} members, {TALKERS} talk, {lines} lines a run; latencies in µs");
    println!(
        "{:>5} {:>13} {:>9} {:>9} {:>13} {:>9} {:>9} {:>9}  waits for the frozen, the slow",
        "round", "all read: p50", "p99", "max", "two do not:", "p99", "max", "p99 ratio"
    );
    let mut kept = [const { Vec::new() }; 5];
    for round in 1..=rounds {
        let (all, _) = run(places, members, lines, false)?;
        let (some, waiting) = run(places, members, lines, true)?;
        let at = |sorted: &[u64], share| per_mille(sorted, share) / 1e3;
        let [p50, p99, most] = [500, 990, 1000].map(|share| at(&all, share));
        let [q50, q99, worst] = [500, 990, 1000].map(|share| at(&some, share));
        println!(
            "{round:>5} {p50:>13.0} {p99:>9.0} {most:>9.0} {q50:>13.0} {q99:>9.0} {worst:>9.0} {:>9.2}  \
             {} B, {} B",
            q99 / p99,
            waiting[0],
            waiting[1],
        );
        for (kept, figure) in kept.iter_mut().zip([p50, p99, q50, q99, q99 / p99]) {
            kept.push(figure);
        }
    }
    let [p50, p99, q50, q99, _] = kept.clone().map(|kept| spread(kept)[1]);
    let [least, ratio, most] = spread(mem::take(&mut kept[4]));
    println!("medians: p50 {p50:.0} and {q50:.0} µs, p99 {p99:.0} and {q99:.0} µs");
    println!("p99 ratio: median {ratio:.2} ({least:.2} to {most:.2})");
    Ok(())
}

/// One run; returns the latencies, and how many bytes the server could not send to the two who read badly.
fn run(
    places: &Places,
    members: usize,
    lines: u64,
    badly: bool,
) -> io::Result<(Latencies, [u64; 2])> {
    let server = Server::start(Kind::Sockactors, places)?;
    let mut crowd = Crowd::new(&server)?;
    let good = members - 2;
    for who in 0..members {
        crowd.enter((badly && who >= good).then_some(NARROW))?;
    }
    let [frozen, slow] = [good, good + 1];
    if badly {
        crowd.watch(frozen, EventFlags::empty())?;
        crowd.watch(slow, EventFlags::empty())?;
    }
    let mut heard: Vec<Vec<u32>> = vec![Vec::new(); members];
    let mut latencies = Vec::with_capacity(good * lines as usize);
    // Whoever counts is sent each line but its own.
    let mut left = good as u64 * lines - lines;
    let mut sent = Vec::new();
    let start = Instant::now();
    let mut byte_at = start;
    while left > 0 {
        let now = Instant::now();
        let due = |line: usize| start + PACE * line as u32;
        while sent.len() < lines as usize && due(sent.len()) <= now {
            let line = sent.len();
            sent.push(Instant::now());
            crowd.say(line % TALKERS, line as u64)?;
        }
        if badly && byte_at <= now {
            // There may be none; a broken connection shows below.
            let _ = crowd.members[slow].stream.read(&mut [0]);
            byte_at += Duration::from_secs(1);
        }
        let next = if sent.len() < lines as usize { due(sent.len()) } else { now + PACE };
        crowd.look(Some(next), |who, line| {
            if Kind::Sockactors.is_loss(line) {
                return Err(io::Error::other(format!("member {who} missed something")));
            }
            let Some(number) = number(line) else { return Ok(()) };
            let Some(sent) = sent.get(number as usize) else {
                return Err(io::Error::other(format!("nobody said {number}")));
            };
            heard[who].push(number as u32);
            if who < good {
                latencies.push(sent.elapsed().as_nanos() as u64);
                left = left.saturating_sub(1);
            }
            Ok(())
        })?;
        if now > due(lines as usize) + PATIENCE {
            return Err(io::Error::other(format!("{left} deliveries did not come")));
        }
    }
    let mut waiting = [0; 2];
    if badly {
        for (waiting, who) in waiting.iter_mut().zip([frozen, slow]) {
            *waiting = unsent(&server, crowd.members[who].stream.local_addr()?.port())?;
        }
    }
    check(&heard[..good], lines)?;
    latencies.sort_unstable();
    Ok((latencies, waiting))
}

/// Checks that all heard everything, once, and in one order.
fn check(heard: &[Vec<u32>], lines: u64) -> io::Result<()> {
    let order = &heard[TALKERS];
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..lines as u32) {
        return Err(io::Error::other("some lines were lost or came twice"));
    }
    let mut last = [None; TALKERS];
    for line in order {
        let talker = *line as usize % TALKERS;
        if last[talker].replace(*line).is_some_and(|before| before > *line) {
            return Err(io::Error::other(format!("talker {talker}'s lines were swapped")));
        }
    }
    for (who, heard) in heard.iter().enumerate() {
        let own = |line: &&u32| **line as usize % TALKERS == who;
        if !heard.iter().eq(order.iter().filter(|line| !own(line))) {
            return Err(io::Error::other(format!("member {who} hears another order")));
        }
    }
    Ok(())
}

/// Returns how many bytes the server's kernel holds for the member with this port.
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
    queue.ok_or_else(|| io::Error::other("the server has cut a member"))
}
