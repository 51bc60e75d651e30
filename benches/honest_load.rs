//! Measures how floods of a server delay its honest clients.
//!
//! Honest clients offer a fixed load of 50 operations per second. A latency counts from the time at
//! which the operation is due, so a late answer also delays the next operations of its client.
//! The clients of `tcp` and `raw` connect for each operation. The others keep one connection each.
//! Two servers of one scenario are measured in turns:
//!
//! - *bare*: the flood hits a bare server on another port, so it only costs the machine's time
//! - *ours*: the flood hits the server of the honest clients
//!
//! An operation is in time if it completes within twice the p99 of the bare turns. At least 90 % of
//! the operations beside a flood must be in time. The attackers are on this machine, so the limits
//! per address do not bind them. The bare servers are in `honest_load/bare.rs`. In the rows `bare
//! tcp` and `bare udp` such a server takes the place of *ours*. These rows show what the kernel's
//! queues cost any server.
//!
//!     cargo bench --bench honest_load                                    # 3 s for each row
//!     SOCKACTORS_HONEST_SECONDS=20 cargo bench --bench honest_load       # longer
//!     cargo bench --bench honest_load -- --only "chat resets"            # the start of a row
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round that checks the answers.

#[path = "honest_load/bare.rs"]
mod bare;
#[path = "slow_crowd/crowd.rs"]
mod crowd;
#[path = "honest_load/floods.rs"]
mod floods;
#[path = "honest_load/operations.rs"]
mod operations;
#[allow(dead_code, reason = "this benchmark does not read CPU times")]
#[path = "slow_crowd/server.rs"]
mod server;

use std::env;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use sockactors::net::raise_open_file_limit;

use crowd::partial_offer;
use floods::{Flood, Running};
use operations::{Client, Connect};
use server::Server;

/// The pause between two operations of the honest load.
const INTERVAL: Duration = Duration::from_millis(20);

/// The number of honest clients, which take turns.
const CLIENTS: u32 = 5;

/// The duration of a turn.
const TURN: Duration = Duration::from_millis(500);

/// The time between the start of a flood and that of the honest load.
const SETTLE: Duration = Duration::from_millis(50);

/// The share of operations that must be in time.
const MIN_SHARE: f64 = 0.9;

/// The operations of a scenario, and the floods of its server.
struct Load {
    name: &'static str,
    scenario: &'static str,
    connect: Connect,
    flood_name: &'static str,
    flood: Flood,
}

const fn load(
    [name, scenario]: [&'static str; 2],
    connect: Connect,
    flood_name: &'static str,
    flood: Flood,
) -> Load {
    Load { name, scenario, connect, flood_name, flood }
}

const TCP: [&str; 2] = ["tcp", "tcp"];
const UDP: [&str; 2] = ["udp", "udp"];
const BARE_TCP: [&str; 2] = ["bare tcp", "tcp"];
const BARE_UDP: [&str; 2] = ["bare udp", "udp"];
const CHAT: [&str; 2] = ["chat", "chat"];
const FRAMED: [&str; 2] = ["framed", "file"];
const RAW: [&str; 2] = ["raw", "file"];
const SILENT: Flood = Flood::Slow(Vec::new);
const RESETS: Flood = Flood::Attack(floods::resets);
const OFFERS: Flood = Flood::Attack(floods::offers);
const UNFINISHED: Flood = Flood::Attack(floods::unfinished_frames);

const LOADS: [Load; 17] = [
    load(TCP, operations::greeting, "slow connections", SILENT),
    load(TCP, operations::greeting, "resets", RESETS),
    load(BARE_TCP, operations::greeting, "resets", RESETS),
    load(UDP, operations::datagram, "datagrams", Flood::Attack(floods::datagrams)),
    load(BARE_UDP, operations::datagram, "datagrams", Flood::Attack(floods::datagrams)),
    load(CHAT, operations::line_in_room, "slow connections", SILENT),
    load(CHAT, operations::line_in_room, "resets", RESETS),
    load(CHAT, operations::line_in_room, "lines", Flood::Attack(floods::lines_elsewhere)),
    load(
        CHAT,
        operations::line_in_lobby,
        "lines in the room",
        Flood::Attack(floods::lines_in_room),
    ),
    load(CHAT, operations::line_in_room, "unread /rooms", Flood::Attack(floods::rooms)),
    load(FRAMED, operations::framed, "slow connections", Flood::Slow(partial_offer)),
    load(FRAMED, operations::framed, "resets", RESETS),
    load(FRAMED, operations::framed, "repeated offers", OFFERS),
    load(FRAMED, operations::framed, "unfinished frames", UNFINISHED),
    load(RAW, operations::raw, "slow connections", SILENT),
    load(RAW, operations::raw, "repeated offers", OFFERS),
    load(RAW, operations::raw, "unfinished frames", UNFINISHED),
];

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("honest_load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let smoke = has("--test") || !has("--bench");
    let seconds = env::var("SOCKACTORS_HONEST_SECONDS").unwrap_or_else(|_| "3".into());
    let seconds: u64 = seconds.parse().map_err(io::Error::other)?;
    let (rounds, turn, slow) = match smoke {
        true => (1, 5 * INTERVAL, 50),
        // A round has two turns.
        false => (seconds.max(1), TURN, 2000),
    };
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    // The servers inherit the limit.
    raise_open_file_limit();
    let echo = bare::start_echo()?;
    println!(
        "50 operations per second beside floods: {rounds} rounds of {turn:?}; latencies in ms\n"
    );
    println!(
        "{:<8} {:<18} {:>10} {:>8} {:>8} {:>10} {:>8} {:>8} {:>8} {:>8}",
        "", "flood", "bare: /s", "p50", "p99", "ours: /s", "p50", "p99", "in time", "verdict"
    );
    let is_chosen = |load: &&Load| {
        only.is_none_or(|only| format!("{} {}", load.name, load.flood_name).starts_with(only))
    };
    for load in LOADS.iter().filter(is_chosen) {
        let bare = match load.scenario {
            "tcp" => &bare::start_greetings()?,
            "udp" => &bare::start_datagrams()?,
            _ => &echo,
        };
        measure(load, bare, rounds, turn, slow)?;
    }
    Ok(())
}

/// Measures one load, and prints a row of the table.
fn measure(load: &Load, bare: &str, rounds: u64, turn: Duration, slow: usize) -> io::Result<()> {
    let servers = [Server::start(load.scenario)?, Server::start(load.scenario)?];
    if load.scenario == "file" {
        operations::store(&servers[1])?;
    }
    let flooded = if load.name.starts_with("bare") { bare } else { &servers[1].at };
    let mut clients = [connect(load, &servers[0].at)?, connect(load, flooded)?];
    let (mut latencies, mut floods) = ([Vec::new(), Vec::new()], [0.0; 2]);
    for _ in 0..rounds {
        for (which, target) in [bare, flooded].into_iter().enumerate() {
            let (flood, since) = (Running::start(load.flood, target, slow)?, Instant::now());
            thread::sleep(SETTLE);
            latencies[which].extend(offer_load(&mut clients[which], turn));
            floods[which] += flood.stop() as f64 / since.elapsed().as_secs_f64();
        }
    }
    check(load, &servers, &latencies)?;
    let [bare, ours] = latencies.map(|mut latencies| {
        latencies.sort();
        latencies
    });
    let limit = 2 * percentile(&bare, 99);
    let in_time = ours.iter().filter(|latency| **latency <= limit).count();
    let share = in_time as f64 / ours.len() as f64;
    let ms = |latency: Duration| match latency {
        Duration::MAX => "lost".to_owned(),
        latency => format!("{:.2}", latency.as_secs_f64() * 1000.0),
    };
    println!(
        "{:<8} {:<18} {:>10.0} {:>8} {:>8} {:>10.0} {:>8} {:>8} {:>7.0}% {:>8}",
        load.name,
        load.flood_name,
        floods[0] / rounds as f64,
        ms(percentile(&bare, 50)),
        ms(percentile(&bare, 99)),
        floods[1] / rounds as f64,
        ms(percentile(&ours, 50)),
        ms(percentile(&ours, 99)),
        100.0 * share,
        if share >= MIN_SHARE { "holds" } else { "FAILS" }
    );
    Ok(())
}

/// Connects the honest clients.
fn connect(load: &Load, at: &str) -> io::Result<Vec<Client>> {
    (0..CLIENTS).map(|_| (load.connect)(at)).collect()
}

/// Runs operations for some time, and returns their latencies. That of a failed one is the maximum.
fn offer_load(clients: &mut [Client], turn: Duration) -> Vec<Duration> {
    let start = Instant::now();
    thread::scope(|scope| {
        let run = |(number, client): (u32, &mut Client)| {
            let mut due = start + INTERVAL * number;
            let mut latencies = Vec::new();
            while due < start + turn {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                latencies.push(client().map_or(Duration::MAX, |()| due.elapsed()));
                due += INTERVAL * CLIENTS;
            }
            latencies
        };
        let start_client = |client| scope.spawn(move || run(client));
        let threads: Vec<_> = (0..).zip(clients).map(start_client).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

/// Fails if an operation failed without a flood, or if a file was not stored.
fn check(load: &Load, servers: &[Server], latencies: &[Vec<Duration>]) -> io::Result<()> {
    let count =
        |which: usize| latencies[which].iter().filter(|time| **time < Duration::MAX).count();
    if count(0) < latencies[0].len() {
        return Err(io::Error::other(format!("{}: an operation failed", load.name)));
    }
    if load.scenario == "file" {
        for (which, server) in servers.iter().enumerate() {
            let (completed, stored) = (count(which), operations::count_uploads(server)?);
            if stored < completed {
                let text = format!("{}: stored {stored} of {completed} files", load.name);
                return Err(io::Error::other(text));
            }
        }
    }
    Ok(())
}

/// Returns a percentile of sorted latencies.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
