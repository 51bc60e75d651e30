//! The faults of the simulation: crashes of an actor at an await, and lost messages.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::simulation::{Command, LONG_TIME, SEEDS, drive_in, obey, with};
use smol::stream::StreamExt;
use sockactors::runtime::{
    Address, Child, Context, Exit, Lifecycle, Outcome, Shutdown, Strategy, Supervisor,
    SupervisorAddress,
};
use sockactors::testing::{Fault, Simulation};

const LIMIT: Duration = Duration::from_secs(7);

fn x(tree: &mut Supervisor) -> Address<Command> {
    tree.child(Child::new("x", || obey).shutdown(Shutdown::Timeout(LIMIT)))
}

/// Injects `fault` into the first incarnation of `x` at its second poll, when it has a message.
fn befallen(seed: u64, fault: Fault) -> Simulation {
    Simulation::new(seed).inject(move |turn| {
        let now = turn.path.matches("x") && (turn.incarnation, turn.number) == (1, 2);
        now.then_some(fault)
    })
}

#[test]
fn each_fault_ends_actor_with_its_exit() {
    for seed in 0..SEEDS {
        for (fault, end) in [
            (Fault::Panic, "t/x panicked at "),
            (Fault::Error, "t/x failed: failed on request"),
            (Fault::Kill, "t/x killed"),
        ] {
            let events = drive_in(
                befallen(seed, fault),
                x,
                async |ctx: Context<()>, x: Address<Command>| {
                    let watch = x.monitor();
                    x.send(Command::End).await?;
                    assert!(!watch.await.unwrap().is_normal());
                    ctx.sleep(LONG_TIME).await;
                    Ok(())
                },
            );
            // The message was not taken yet, so the next incarnation handles it.
            assert_eq!(with(&events, &["t/x ended normally"]).len(), 1, "{events:#?}");
            assert!(with(&events, &["t/x "])[1].starts_with(end), "{events:#?}");
            assert!(with(&events, &["was lost"]).is_empty(), "{events:#?}");
        }
    }
}

#[test]
fn hung_actor_is_dropped_after_shutdown_timeout() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| (tree.address(), x(tree));
        let simulation = befallen(seed, Fault::Hang);
        let events = drive_in(
            simulation,
            build_tree,
            async |ctx: Context<()>, (tree, x): (SupervisorAddress, Address<Command>)| {
                x.send(Command::End).await?;
                ctx.sleep(LONG_TIME).await;
                assert_eq!(x.len(), 1, "it takes no mail");
                let before = ctx.now();
                tree.terminate("x").await?;
                assert_eq!(ctx.now() - before, LIMIT);
                assert!(matches!(x.monitor().await, Some(Exit::Killed)));
                Ok(())
            },
        );
        assert_eq!(with(&events, &["t/x "]), ["t/x started", "t/x killed"]);
    }
}

#[test]
fn slow_start_delays_later_siblings_only() {
    for seed in 0..SEEDS {
        let simulation = Simulation::new(seed).inject(|turn| {
            let first = turn.path.matches("x") && turn.number == 1;
            first.then_some(Fault::Delay(LIMIT))
        });
        let begun = Arc::new(Mutex::new(Vec::new()));
        let notes = begun.clone();
        let build_tree = move |tree: &mut Supervisor| {
            for name in ["before", "x", "behind"] {
                let notes = notes.clone();
                tree.child(Child::new(name, move || {
                    let notes = notes.clone();
                    async move |mut ctx: Context<()>| -> Outcome {
                        notes.lock().unwrap().push((name, ctx.now()));
                        ctx.stopped().await;
                        Ok(())
                    }
                }));
            }
        };
        drive_in(simulation, build_tree, async |_: Context<()>, ()| Ok(()));
        let begun = begun.lock().unwrap();
        let names: Vec<_> = begun.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["before", "x", "behind"]);
        assert_eq!([begun[1].1 - begun[0].1, begun[2].1 - begun[1].1], [LIMIT, Duration::ZERO]);
    }
}

#[test]
fn dropped_messages_match_rule() {
    for seed in 0..SEEDS {
        let edges = Arc::new(Mutex::new(Vec::new()));
        let seen = edges.clone();
        let simulation = Simulation::new(seed).drop_messages(move |edge| {
            let from = edge.from.as_ref().map_or("outside".into(), ToString::to_string);
            seen.lock().unwrap().push(format!("{from} -> {}", edge.to));
            edge.to.matches("x")
        });
        let build_tree = |tree: &mut Supervisor| (x(tree), tree.child(Child::new("y", || obey)));
        let events = drive_in(
            simulation,
            build_tree,
            async |ctx: Context<()>, (x, y): (Address<Command>, Address<Command>)| {
                x.send(Command::Fail).await?;
                y.send(Command::Fail).await?;
                ctx.sleep(LONG_TIME).await;
                Ok(())
            },
        );
        assert_eq!(
            with(&events, &["failed"]),
            ["t/y failed: as told; message 1 (Command) was lost"]
        );
        assert_eq!(*edges.lock().unwrap(), ["t/driver -> t/x", "t/driver -> t/y"]);
    }
}

#[test]
fn random_faults_respect_maximum() {
    for seed in 0..SEEDS {
        let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(3, LONG_TIME);
        x(&mut tree);
        let end = || {
            async |ctx: Context<()>| -> Outcome {
                ctx.sleep(LONG_TIME).await;
                Ok(())
            }
        };
        tree.child(Child::new("end", end).transient().significant());
        let simulation =
            Simulation::new(seed).random_faults(1.0, &[Fault::Error, Fault::Kill]).max_faults(3);
        let events = simulation.handle().events(100);
        simulation.run(tree).unwrap();
        let crashes = events
            .filter(|event| matches!(event, Lifecycle::Exited { exit, .. } if !exit.is_normal()));
        // Two faults of one actor at once are one crash.
        let count = smol::block_on(crashes.count());
        assert!((1..=3).contains(&count), "seed {seed}: {count} crashes");
    }
}
