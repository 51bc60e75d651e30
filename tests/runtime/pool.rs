//! Pools from a user's point of view.

use std::future::Future;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::support::system::{Running, live};
use sockactors::actors::{Greeter, Listener, Report, Reporter};
use sockactors::net::ListeningSocket;
use sockactors::runtime::{Actor, Child, Context, Outcome, Pool, Strategy, Supervisor, System};

#[test]
fn pool_starts_counts_and_stops_children() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(3));
    let mut run = Running::start_with(System::new().threads(2), tree);
    run.wait_for("t/pool started");
    smol::block_on(async {
        for _ in 0..2 {
            pool.start(live).await.unwrap();
        }
        let brittle = async |mut ctx: Context<()>| -> Outcome {
            ctx.recv().await;
            panic!("only me");
        };
        let brittle = pool.start(brittle).await.unwrap();
        assert!(pool.is_full());
        let mut fourth = Box::pin(pool.start(live));
        assert!(smol::future::poll_once(&mut fourth).await.is_none());
        brittle.send(()).await.unwrap();
        fourth.await.unwrap();
        assert_eq!(pool.len(), 3);
    });
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["only me"]).len(), 1);
    assert_eq!(run.seen_with(&["stopped as asked"]).len(), 5);
    assert!(pool.is_empty());
    assert!(smol::block_on(pool.start(live)).is_err());
}

#[test]
fn hung_pool_children_are_dropped_together() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").shutdown(Duration::from_millis(5)));
    let mut run = Running::start(tree);
    run.wait_for("t/pool started");
    let hang = async |_: Context<()>| -> Outcome { smol::future::pending().await };
    for _ in 0..10 {
        smol::block_on(pool.start(hang)).unwrap();
    }
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["killed"]).len(), 10);
    assert!(pool.is_empty());
}

#[test]
fn killed_pool_child_closes_its_address() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").shutdown(Duration::ZERO));
    let mut run = Running::start(tree);
    run.wait_for("t/pool started");
    let hang = async |_: Context<u8>| -> Outcome { smol::future::pending().await };
    let address = smol::block_on(pool.start(hang)).unwrap();
    address.try_send(1).unwrap();
    assert!(!address.is_closed());
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["t/pool/0"]), ["t/pool/0 started", "t/pool/0 killed"]);
    assert!(address.is_closed() && address.is_empty());
    assert!(smol::block_on(address.send(2)).is_err(), "nobody would ever read it");
}

#[test]
fn early_panic_of_pool_child_is_contained() {
    /// Its `run` panics when it is called, not when its future is polled.
    struct PanicsInRun;
    impl Actor for PanicsInRun {
        type Message = ();

        fn run(self, ctx: Context<()>) -> impl Future<Output = Outcome> + Send {
            if true {
                panic!("too rash");
            }
            live(ctx)
        }
    }
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(1));
    let mut run = Running::start(tree);
    run.wait_for("t/pool started");
    smol::block_on(async {
        pool.start(PanicsInRun).await.unwrap();
        // A closure can panic before its async block, too. A full pool waits for the first one's
        // end.
        let rash = |ctx: Context<()>| {
            if true {
                panic!("rash too");
            }
            live(ctx)
        };
        pool.start(rash).await.unwrap();
        pool.wait_idle().await;
    });
    assert!(pool.is_empty());
    assert_eq!(run.stop().unwrap(), sockactors::runtime::StopReason::Finished);
    assert_eq!(run.seen_with(&["t/pool/0 panicked at ", "t/pool/1 panicked at "]).len(), 2);
    assert_eq!(run.seen_with(&["t/pool stopped as asked"]).len(), 1, "{:#?}", run.seen);
}

#[test]
fn observer_panic_frees_pool_slot() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(1));
    let system = System::new().observe(|event| {
        let event = event.to_string();
        assert!(event != "t/pool/0 ended normally" && event != "t/pool/1 started", "I saw {event}");
    });
    let mut run = Running::start_with(system, tree);
    let ends = async |_: Context<()>| -> Outcome { Ok(()) };
    run.wait_for("t/pool started");
    smol::block_on(pool.start(ends)).unwrap();
    smol::block_on(pool.wait_idle());
    // The observer's panic is contained. The child is started, and its slot is freed at its end.
    for _ in 0..2 {
        smol::block_on(pool.start(ends)).unwrap();
        smol::block_on(pool.wait_idle());
    }
    run.stop().unwrap();
}

#[test]
fn start_in_closed_pool_waits_until_reopened() {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&anywhere, 8)).unwrap());
    let at = socket.endpoint().to_string();
    let (teller, told) = async_channel::unbounded();
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let admin = tree.address();
    let hears = move |mut ctx: Context<Report>| {
        let teller = teller.clone();
        async move {
            while let Some(report) = ctx.recv().await {
                if let Report::Warning { reason: why } = report {
                    teller.send(why).await?;
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("hears", move || hears.clone())));
    let greeters = tree.pool(Pool::new("greeters"));
    let listener = move || {
        let greet = |connection| Greeter::new(connection, (*b"hello").into(), Reporter::disabled());
        Listener::new(socket.clone(), greeters.clone(), greet).reporter(reporter.clone())
    };
    tree.child(Child::new("listener", listener).transient().significant());
    let mut run = Running::start(tree);
    let mut heard = String::new();
    smol::block_on(async {
        admin.terminate("greeters").await.unwrap();
        let mut client = TcpStream::connect(at).unwrap();
        let why = told.recv().await.unwrap();
        assert!(why.contains("the pool is closed"), "{why}");
        admin.restart("greeters").await.unwrap();
        client.read_to_string(&mut heard).unwrap();
    });
    assert_eq!(heard, "hello");
    run.stop().unwrap();
}
