//! Counts the instructions of the library's most common operations.
//!
//! | operation | counted |
//! |---|---|
//! | `send` | a message sent to an actor and received |
//! | `ask` | a request to an actor and its reply |
//! | `spawn` | an actor started in a pool, and its end |
//! | `greeting` | a TCP connection accepted, greeted and closed |
//! | `echo` | 64 bytes received from a TCP connection and sent back |
//! | `datagram` | a datagram received and answered |
//! | `delivery` | a chat line delivered to one member; each line is published to 49 |
//!
//! CPU times vary by 10 % between runs on a shared machine. Instruction counts vary by less than
//! 0.1 %. Each operation runs N times and 3N times, in two processes under valgrind's callgrind.
//! The difference of their counts is the cost of 2N operations, without startup and shutdown. The
//! check fails if an operation executes over 3 % more instructions than in
//! `benches/instructions.txt`.
//!
//! The servers are quiet, and all but `echo` are composed as in the program. Only the server is
//! counted: its client is a child process, which valgrind does not follow. A client sends each
//! request when the server sleeps, so a wait and a wake-up are part of each network operation.
//!
//!     cargo bench --bench instructions                # check
//!     cargo bench --bench instructions -- --keep      # replace the baseline
//!     cargo bench --bench instructions -- --work ask --count 100000    # run one operation
//!
//! Instructions of the kernel are not counted. Another compiler generates other instructions, so
//! the baseline names its compiler. Without valgrind, or without cargo's `--bench`, the operations
//! run and are not counted.

#[path = "instructions/client.rs"]
mod client;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use sockactors::actors::{Connection, Listener};
use sockactors::net::{Endpoint, ListeningSocket};
use sockactors::runtime::{
    Address, Child, Context, Event, Outcome, Pool, PoolAddress, Reply, Strategy, Supervisor, System,
};
use sockactors::scenario::{Reporters, Role, Scenario, Settings, build};

/// The operations, each with the count of its shorter run.
const OPERATIONS: [(&str, u64); 7] = [
    ("send", 20_000),
    ("ask", 5000),
    ("spawn", 5000),
    ("greeting", 1000),
    ("echo", 2000),
    ("datagram", 2000),
    ("delivery", 400 * client::RECEIVERS),
];

/// The increase over the baseline that the check accepts, in percent.
const SLACK: f64 = 3.0;

/// The timeout of a request to an actor.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let after =
        |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
    let count = after("--count").and_then(|count| count.parse().ok()).unwrap_or(1000);
    if let (Some(operation), Some(server)) = (after("--client"), after("--server")) {
        return client::run(operation, server.parse().map_err(io::Error::other)?, count);
    }
    if let Some(operation) = after("--work") {
        return perform(operation, count);
    }
    let valgrind = || Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if has("--test") || !has("--bench") || valgrind().is_err() {
        println!("SKIPPED: instructions are counted only with --bench and valgrind");
        return OPERATIONS.into_iter().try_for_each(|(operation, _)| perform(operation, 100));
    }
    check(has("--keep"))
}

/// Counts each operation, and compares the figures with the baseline or replaces it.
fn check(keep: bool) -> io::Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let baseline = fs::read_to_string(&path).unwrap_or_default();
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8_lossy(&compiler.stdout).trim().to_owned();
    let mut text = format!("# {compiler}, {}\n", env::consts::ARCH);
    if !baseline.starts_with(&text) {
        println!("The baseline is from another compiler; this is {}", &text[2..]);
    }
    let mut failed = Vec::new();
    println!("{:<8} {:>13} {:>9} {:>8}", "", "instructions", "baseline", "percent");
    for (operation, count) in OPERATIONS {
        let (longer, shorter) = (total(operation, 3 * count)?, total(operation, count)?);
        let each = longer.saturating_sub(shorter) as f64 / (2 * count) as f64;
        text.push_str(&format!("{operation} {each:.1}\n"));
        let figure = |line: &str| line.strip_prefix(operation)?.trim().parse::<f64>().ok();
        let Some(before) = baseline.lines().find_map(figure) else {
            println!("{operation:<8} {each:>13.1} {:>9}", "none");
            continue;
        };
        let percent = (each / before - 1.0) * 100.0;
        println!("{operation:<8} {each:>13.1} {before:>9.1} {percent:>+8.1}");
        if percent > SLACK {
            failed.push(operation);
        }
    }
    if keep {
        return fs::write(path, text);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failed = failed.join(", ");
    Err(io::Error::other(format!("over {SLACK} % above the baseline: {failed}")))
}

/// Returns the instructions of a process that performs an operation `count` times.
fn total(operation: &str, count: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--work", operation, "--count", &count.to_string()])
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let collected = stderr.lines().find_map(|line| line.split_once("Collected :"));
    let figure = collected.and_then(|(_, figure)| figure.trim().parse().ok());
    figure.filter(|_| output.status.success()).ok_or_else(|| io::Error::other(stderr.into_owned()))
}

/// Performs an operation `count` times, on one thread.
fn perform(operation: &str, count: u64) -> io::Result<()> {
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    match operation {
        "greeting" => add_scenario(&mut tree, Scenario::Tcp, operation, count)?,
        "datagram" => add_scenario(&mut tree, Scenario::Udp, operation, count)?,
        "delivery" => add_scenario(&mut tree, Scenario::Chat, operation, count)?,
        "echo" => add_echo(&mut tree, count)?,
        _ => add_caller(&mut tree, operation, count),
    }
    System::new().run(tree).map(drop).map_err(io::Error::other)
}

/// Adds the server of a scenario as the program composes it, and a client.
fn add_scenario(
    tree: &mut Supervisor,
    kind: Scenario,
    operation: &str,
    count: u64,
) -> io::Result<()> {
    let mut settings = Settings::new(kind, Role::Server);
    settings.listen.push(any_port().into());
    let composed = smol::future::block_on(build(&settings, tree, &Reporters::default()));
    let listening = composed.map_err(io::Error::other)?.endpoints;
    add_client(tree, operation, &listening[0], count);
    Ok(())
}

/// Adds a server that sends back the bytes of each connection, and a client.
fn add_echo(tree: &mut Supervisor, count: u64) -> io::Result<()> {
    let socket = smol::future::block_on(ListeningSocket::bind(&any_port(), 128));
    let socket = Arc::new(socket.map_err(io::Error::other)?);
    let endpoint = socket.endpoint().clone();
    let connections = tree.pool(Pool::new("connections").limit(64));
    tree.child(Child::new("listener", move || {
        let serve = |connection| move |ctx| echo(ctx, connection);
        Listener::new(socket.clone(), connections.clone(), serve)
    }));
    add_client(tree, "echo", &endpoint, count);
    Ok(())
}

async fn echo(mut ctx: Context<()>, connection: Connection) -> Outcome {
    let mut buf = [0; 1024];
    while let Event::Io(read) = ctx.next(connection.stream.read(&mut buf)).await {
        match read? {
            0 => break,
            length => connection.stream.write_all(&buf[..length]).await?,
        }
    }
    Ok(())
}

fn any_port() -> Endpoint {
    Endpoint::Host { host: "127.0.0.1".into(), port: 0 }
}

/// Adds an actor that runs the client of a network operation in a child process.
///
/// The tree ends with this actor.
fn add_client(tree: &mut Supervisor, operation: &str, server: &Endpoint, count: u64) {
    let args = ["--client", operation, "--server", &server.to_string(), "--count"];
    let args: Vec<String> =
        args.map(str::to_owned).into_iter().chain([count.to_string()]).collect();
    let client = Child::new("client", move || {
        let args = args.clone();
        async move |_: Context<()>| -> Outcome {
            let run = move || Command::new(env::current_exe()?).args(args).status();
            match smol::unblock(run).await? {
                status if status.success() => Ok(()),
                status => Err(format!("client: {status}").into()),
            }
        }
    });
    tree.child(client.temporary().significant());
}

enum CounterMessage {
    Add(u64),
    Sum(Reply<u64>),
}

async fn counter(mut ctx: Context<CounterMessage>) -> Outcome {
    let mut sum = 0;
    while let Some(message) = ctx.recv().await {
        match message {
            CounterMessage::Add(n) => sum += n,
            CounterMessage::Sum(reply) => reply.send(sum),
        }
    }
    Ok(())
}

/// Adds a counter, a pool, and an actor that performs an operation on them.
///
/// The tree ends with this actor.
fn add_caller(tree: &mut Supervisor, operation: &str, count: u64) {
    let counter = tree.child(Child::new("counter", || counter));
    let pool = tree.pool(Pool::new("pool").limit(64));
    let operation = operation.to_owned();
    let caller = Child::new("caller", move || {
        let (operation, counter, pool) = (operation.clone(), counter.clone(), pool.clone());
        move |_: Context<()>| call(operation, counter, pool, count)
    });
    tree.child(caller.temporary().significant());
}

async fn call(
    operation: String,
    counter: Address<CounterMessage>,
    pool: PoolAddress,
    count: u64,
) -> Outcome {
    match &*operation {
        "send" => send(counter, count).await,
        "ask" => ask(counter, count).await,
        "spawn" => spawn(pool, count).await,
        _ => Err(format!("{operation} is not an operation").into()),
    }
}

async fn send(counter: Address<CounterMessage>, count: u64) -> Outcome {
    for _ in 0..count {
        counter.send(CounterMessage::Add(1)).await?;
    }
    let sum = counter.ask(TIMEOUT, CounterMessage::Sum).await?;
    if sum == count { Ok(()) } else { Err(format!("received {sum} of {count} messages").into()) }
}

async fn ask(counter: Address<CounterMessage>, count: u64) -> Outcome {
    for _ in 0..count {
        counter.ask(TIMEOUT, CounterMessage::Sum).await?;
    }
    Ok(())
}

async fn spawn(pool: PoolAddress, count: u64) -> Outcome {
    for _ in 0..count {
        pool.start(finish).await?;
    }
    Ok(())
}

/// Runs an actor that ends at once.
async fn finish(_: Context<()>) -> Outcome {
    Ok(())
}
