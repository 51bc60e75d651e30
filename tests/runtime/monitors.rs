//! Monitors and links: how an actor learns of another's exit, and how it exits with it.

use std::future::pending;

use crate::support::simulation::{Command, LONG_TIME, SEEDS, drive, obey, with};
use sockactors::runtime::{
    Address, Child, Context, Event, Exit, Monitor, Outcome, Pool, PoolAddress, Supervisor,
};

fn obedient(tree: &mut Supervisor, name: &'static str) -> Address<Command> {
    tree.child(Child::new(name, || obey))
}

#[test]
fn monitor_reports_exit_of_its_incarnation() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| obedient(tree, "x");
        drive(seed, build_tree, async |mut ctx: Context<()>, x: Address<Command>| {
            for told in [Command::Fail, Command::Panic, Command::End] {
                let mut watch = x.monitor();
                assert_eq!(watch.path().unwrap().to_string(), "t/x");
                x.send(told).await?;
                let Event::Io(Some(exit)) = ctx.next(&mut watch).await else { panic!("no exit") };
                match told {
                    Command::Fail => assert_eq!(exit.to_string(), "failed: as told"),
                    Command::Panic => assert!(exit.to_string().ends_with(": as told"), "{exit}"),
                    Command::End => assert!(matches!(exit, Exit::Normal)),
                }
                // It reports the same exit again, whatever the next incarnation does.
                ctx.sleep(LONG_TIME).await;
                assert_eq!(watch.await.unwrap().to_string(), exit.to_string());
            }
            Ok(())
        });
    }
}

#[test]
fn late_monitor_reports_last_exit() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| {
            let child =
                Child::new("x", || async |_: Context<()>| -> Outcome { Err("gone".into()) });
            tree.child(child.temporary())
        };
        drive(seed, build_tree, async |ctx: Context<()>, x: Address<()>| {
            ctx.sleep(LONG_TIME).await;
            assert!(x.is_closed());
            for _ in 0..2 {
                assert_eq!(x.monitor().await.unwrap().to_string(), "failed: gone");
            }
            Ok(())
        });
    }
}

#[test]
fn late_monitor_of_pool_child_reports_exit() {
    for seed in 0..SEEDS {
        drive(
            seed,
            |tree| tree.pool(Pool::new("p")),
            async |ctx: Context<()>, pool: PoolAddress| {
                for told in [Command::End, Command::Fail] {
                    let fails = matches!(told, Command::Fail);
                    let child = pool.start(obey).await?;
                    child.send(told).await?;
                    ctx.sleep(LONG_TIME).await;
                    assert!(child.is_closed());
                    match child.monitor().await {
                        Some(Exit::Normal) => assert!(!fails),
                        exit => assert_eq!(exit.unwrap().to_string(), "failed: as told"),
                    }
                }
                Ok(())
            },
        );
    }
}

#[test]
fn monitor_of_never_started_child_fails() {
    for seed in 0..SEEDS {
        drive(
            seed,
            |_: &mut Supervisor| (),
            async |ctx: Context<()>, ()| {
                let nobody = Address::<()>::new(1);
                assert!(nobody.monitor().await.is_none());
                assert!(ctx.link(&nobody).unwrap_err().last_exit.is_none());
                Ok(())
            },
        );
    }
}

#[test]
fn monitor_before_start_waits_for_first_exit() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| {
            let x = obedient(tree, "x");
            (x.monitor(), x)
        };
        drive(seed, build_tree, async |_: Context<()>, (watch, x): (Monitor, Address<Command>)| {
            x.send(Command::Fail).await?;
            assert_eq!(watch.await.unwrap().to_string(), "failed: as told");
            Ok(())
        });
    }
}

/// Runs until it receives how to end, linked to `other`.
async fn linked(mut ctx: Context<Command>, other: Address<Command>) -> Outcome {
    ctx.link(&other)?;
    // Linking twice makes one link.
    ctx.link(&other)?;
    match ctx.next(pending::<()>()).await {
        Event::Message(Command::Fail) => Err("as told".into()),
        _ => Ok(()),
    }
}

/// Two actors, the second linked to the first.
fn pair(tree: &mut Supervisor) -> (Address<Command>, Address<Command>) {
    let a = tree.child(Child::new("a", || obey).temporary());
    let other = a.clone();
    let child = Child::new("b", move || {
        let other = other.clone();
        move |ctx| linked(ctx, other)
    });
    (a, tree.child(child.temporary()))
}

#[test]
fn link_propagates_failure_both_ways() {
    for seed in 0..SEEDS {
        let events = drive(
            seed,
            pair,
            async |ctx: Context<()>, (a, b): (Address<Command>, Address<Command>)| {
                ctx.sleep(LONG_TIME).await;
                a.send(Command::Fail).await?;
                let Some(Exit::Linked(with)) = b.monitor().await else { panic!("it lives on") };
                assert_eq!(
                    (with.0.to_string(), with.1.to_string()),
                    ("t/a".into(), "failed: as told".into())
                );
                Ok(())
            },
        );
        let ends = with(&events, &["t/a failed", "t/b ended"]);
        assert_eq!(ends.len(), 2, "{events:#?}");
        assert_eq!(ends[1], "t/b ended with t/a, which failed: as told");

        drive(
            seed,
            pair,
            async |ctx: Context<()>, (a, b): (Address<Command>, Address<Command>)| {
                ctx.sleep(LONG_TIME).await;
                b.send(Command::Fail).await?;
                assert!(matches!(a.monitor().await, Some(Exit::Linked(_))));
                Ok(())
            },
        );
    }
}

#[test]
fn normal_exit_removes_link() {
    for seed in 0..SEEDS {
        drive(
            seed,
            pair,
            async |ctx: Context<()>, (a, b): (Address<Command>, Address<Command>)| {
                ctx.sleep(LONG_TIME).await;
                a.send(Command::End).await?;
                ctx.sleep(LONG_TIME).await;
                assert!(a.is_closed() && !b.is_closed(), "the other lives on");
                Ok(())
            },
        );
    }
}

#[test]
fn link_does_not_outlive_incarnation() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| obedient(tree, "x");
        drive(seed, build_tree, async |ctx: Context<()>, x: Address<Command>| {
            ctx.link(&x)?;
            ctx.unlink(&x);
            x.send(Command::Fail).await?;
            ctx.sleep(LONG_TIME).await;
            ctx.link(&x)?;
            x.send(Command::End).await?;
            ctx.sleep(LONG_TIME).await;
            // The link ended with the incarnation that ended normally.
            x.send(Command::Fail).await?;
            ctx.sleep(LONG_TIME).await;
            Ok(())
        });
    }
}

#[test]
fn late_link_reports_last_exit() {
    for seed in 0..SEEDS {
        drive(
            seed,
            pair,
            async |ctx: Context<()>, (a, b): (Address<Command>, Address<Command>)| {
                ctx.sleep(LONG_TIME).await;
                a.send(Command::Panic).await?;
                ctx.sleep(LONG_TIME).await;
                assert!(b.is_closed());
                let late = ctx.link(&a).unwrap_err();
                assert!(matches!(late.last_exit, Some(Exit::Panicked { .. })), "{late:?}");
                Ok(())
            },
        );
    }
}
