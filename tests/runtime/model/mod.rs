//! Ten thousand random trees with random faults, step by step beside a model of OTP's rules.
//!
//! The model (`model/rules.rs` and what it names) is written after Erlang/OTP's `supervisor.erl` and shares no code with the library. For a longer run say how many trees with
//! SOCKACTORS_SEEDS, and the first seed with SOCKACTORS_FIRST_SEED.

mod child_events;
mod coverage;
mod events;
mod exits;
mod generate;
mod incarnations;
mod observed;
mod pool_children;
mod requests;
mod restarts;
mod rules;
mod run;
mod scripted_actor;
mod search;
mod spec;
mod state;
mod steps;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use coverage::Tally;
use events::Told;
use generate::Grower;
use run::{Run, drive};
use sockactors::runtime::{
    AutoShutdown, Child, Context, Outcome, Restart, Shutdown, Strategy, Supervisor,
};
use sockactors::testing::{Fault, Simulation};
use spec::{Body, Plan, Rules};

/// Runs the tree of a seed, and tells what happened in it.
///
/// # Errors
///
/// The report of what differs.
fn run(seed: u64) -> Result<Tally, String> {
    let mut grower = Grower::new(seed);
    let tree = grower.tree();
    let root = Arc::new(Plan {
        name: "t".into(),
        restart: Restart::Permanent,
        significant: false,
        shutdown: Shutdown::Infinity,
        body: Body::Supervisor(Rules {
            strategy: Strategy::OneForOne,
            intensity: 3,
            within: Duration::from_secs(5),
            backoff: None,
            auto_shutdown: AutoShutdown::AnySignificant,
            children: vec![tree.clone()],
            address: OnceLock::new(),
        }),
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let events = seen.clone();
    let simulation = Simulation::new(seed).observe(move |event| {
        let told = Told::of(event);
        if told.path != "t/driver" {
            events.lock().unwrap().push(told);
        }
    });
    let run = Run::new(grower, &root, simulation.handle(), seen);
    let doomed = run.doomed.clone();
    let simulation = simulation.inject(move |turn| {
        let mut doomed = doomed.lock().unwrap();
        if doomed.is_empty() {
            return None;
        }
        let path = turn.path.to_string();
        let who = doomed.iter().position(|who| who.0 == path && who.1 == turn.incarnation)?;
        // Once: another child of that name may be added at the same moment.
        doomed.swap_remove(who);
        Some(Fault::Kill)
    });
    let run = Arc::new(Mutex::new(run));
    let driven = run.clone();
    let mut supervisor = Supervisor::new("t", Strategy::OneForOne);
    let driver = Child::new("driver", move || {
        let run = driven.clone();
        async move |ctx: Context<()>| -> Outcome {
            drive(ctx, run).await;
            Ok(())
        }
    });
    supervisor.child(driver.temporary());
    supervisor.supervisor(tree.supervisor());
    let ended = catch_unwind(AssertUnwindSafe(|| simulation.run(supervisor)));
    let mut run = run.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match ended {
        Ok(_) => run.finish(),
        Err(_) => run.failure = Some("the simulation panicked".into()),
    }
    match run.report(seed, &tree) {
        Some(report) => Err(report),
        None => Ok(std::mem::take(&mut run.world.tally)),
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn random_trees_match_model() {
    let (seeds, first) = (number("SOCKACTORS_SEEDS", 10_000), number("SOCKACTORS_FIRST_SEED", 0));
    let threads = number("SOCKACTORS_THREADS", 2);
    let next = AtomicU64::new(first);
    let (failure, tally) = (OnceLock::new(), Mutex::new(Tally::default()));
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Tally::default();
                while failure.get().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        break;
                    }
                    match run(seed) {
                        Ok(happened) => own.add(&happened),
                        Err(report) => drop(failure.set(report)),
                    }
                    if seed % 10_000 == 9999 {
                        println!("{seed} after {:?}", begin.elapsed());
                    }
                }
                tally.lock().unwrap().add(&own);
            });
        }
    });
    if let Some(report) = failure.get() {
        panic!("{report}");
    }
    let tally = tally.into_inner().unwrap();
    println!("{seeds} trees in {:?}", begin.elapsed());
    for (what, times) in &tally.0 {
        println!("{times:>9} {what}");
    }
    if seeds >= 10_000 {
        for what in coverage::ALL {
            assert!(tally.0.get(what).is_some_and(|times| *times >= 5), "{what} is too rare");
        }
    }
}
