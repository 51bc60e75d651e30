//! Ten thousand random trees with random faults, compared step by step with a model of OTP's rules.
//!
//! The model (`rules.rs` and the files it names) is written after Erlang/OTP's `supervisor.erl` and
//! shares no code with the library. SOCKACTORS_SEEDS sets the number of trees,
//! SOCKACTORS_FIRST_SEED the first seed.

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

use coverage::Coverage;
use events::ModelEvent;
use generate::Generator;
use run::{Run, drive};
use sockactors::runtime::{
    AutoShutdown, Child, Context, Outcome, Restart, Shutdown, Strategy, Supervisor,
};
use sockactors::testing::{Fault, Simulation};
use spec::{Body, Rules, Spec};

/// Runs the tree of a seed, and returns the counts of its events.
///
/// # Errors
///
/// Returns the report of the differences.
fn run(seed: u64) -> Result<Coverage, String> {
    let mut generator = Generator::new(seed);
    let tree = generator.tree();
    let root = Arc::new(Spec {
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
        let told = ModelEvent::of(event);
        if told.path != "t/driver" {
            events.lock().unwrap().push(told);
        }
    });
    let run = Run::new(generator, &root, simulation.handle(), seen);
    let kill_list = run.kill_list.clone();
    let simulation = simulation.inject(move |turn| {
        let mut kill_list = kill_list.lock().unwrap();
        if kill_list.is_empty() {
            return None;
        }
        let path = turn.path.to_string();
        let who = kill_list.iter().position(|who| who.0 == path && who.1 == turn.incarnation)?;
        // Once: another child with that name may be added at the same moment.
        kill_list.swap_remove(who);
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
        None => Ok(std::mem::take(&mut run.state.coverage)),
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
    let (failure, coverage) = (OnceLock::new(), Mutex::new(Coverage::default()));
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Coverage::default();
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
                coverage.lock().unwrap().add(&own);
            });
        }
    });
    if let Some(report) = failure.get() {
        panic!("{report}");
    }
    let coverage = coverage.into_inner().unwrap();
    println!("{seeds} trees in {:?}", begin.elapsed());
    for (what, times) in &coverage.0 {
        println!("{times:>9} {what}");
    }
    if seeds >= 10_000 {
        for what in coverage::ALL {
            assert!(coverage.0.get(what).is_some_and(|times| *times >= 5), "{what} is too rare");
        }
    }
}
