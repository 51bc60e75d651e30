//! Administration requests combined with other events: an end, a group restart, a timeout.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::simulation::{Command, LONG_TIME, SEEDS, drive, obey};
use sockactors::runtime::{
    Address, AdminError, Child, Context, Exit, NodeState, Outcome, SendError, Strategy, Supervisor,
    SupervisorAddress,
};

const SECOND: Duration = Duration::from_secs(1);

async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}

/// Builds a supervisor below the root, and returns its address.
fn nested(tree: &mut Supervisor, plan: impl FnOnce(&mut Supervisor)) -> SupervisorAddress {
    let mut nested = Supervisor::new("nested", Strategy::OneForOne);
    let address = nested.address();
    plan(&mut nested);
    tree.supervisor(nested);
    address
}

#[test]
fn ready_child_starts_behind_busy_supervisor() {
    async fn start(mut ctx: Context<()>) -> Outcome {
        ctx.sleep(SECOND / 100).await;
        ctx.ready();
        live(ctx).await
    }
    async fn end_late(mut ctx: Context<()>) -> Outcome {
        ctx.stopped().await;
        ctx.sleep(4 * SECOND).await;
        Ok(())
    }
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| {
            nested(tree, |nested| drop(nested.child(Child::new("b", || end_late))))
        };
        drive(seed, build_tree, async |_: Context<()>, nested: SupervisorAddress| {
            let add = nested.add(Child::new("a", || start).ready_within(SECOND));
            let (added, ended) = smol::future::zip(add, nested.terminate("b")).await;
            ended?;
            added?;
            Ok(())
        });
    }
}

/// Runs for a few polls of all actors, and its supervisor with it. A sleep would not end beside
/// actors that are always runnable.
fn brief() -> Child<impl sockactors::runtime::Actor<Message = ()>> {
    async fn end(_: Context<()>) -> Outcome {
        for _ in 0..50 {
            smol::future::yield_now().await;
        }
        Ok(())
    }
    Child::new("brief", || end).transient().significant()
}

#[test]
fn every_request_is_answered_when_supervisor_ends() {
    for seed in 0..SEEDS {
        let answered = Arc::new(AtomicU32::new(0));
        let count = answered.clone();
        let build_tree = move |tree: &mut Supervisor| {
            let mut nested = Supervisor::new("nested", Strategy::OneForOne)
                .restart(sockactors::runtime::Restart::Temporary);
            let address = nested.address();
            nested.child(brief());
            tree.supervisor(nested);
            for k in 0..20 {
                let (address, count) = (address.clone(), count.clone());
                let ask = Child::new(format!("asker {k}"), move || {
                    let (address, count) = (address.clone(), count.clone());
                    async move |_: Context<()>| -> Outcome {
                        while address.children().await.is_ok() {
                            smol::future::yield_now().await;
                        }
                        count.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    }
                });
                tree.child(ask.temporary());
            }
        };
        drive(seed, build_tree, async move |ctx: Context<()>, ()| {
            ctx.sleep(LONG_TIME).await;
            Ok(())
        });
        assert_eq!(answered.load(Ordering::Relaxed), 20, "seed {seed}");
    }
}

#[test]
fn removed_child_closes_mailbox() {
    for seed in 0..SEEDS {
        let build_tree =
            |tree: &mut Supervisor| (tree.address(), tree.child(Child::new("x", || obey)));
        drive(
            seed,
            build_tree,
            async |_: Context<()>, (tree, x): (SupervisorAddress, Address<Command>)| {
                tree.terminate("x").await?;
                assert!(!x.is_closed(), "it may be started again");
                tree.remove("x").await?;
                assert_eq!(x.send(Command::End).await, Err(SendError::Closed(Command::End)));
                assert!(matches!(tree.terminate("x").await, Err(AdminError::NotFound)));
                Ok(())
            },
        );
    }
}

#[test]
fn declined_child_closes_mailbox_if_final() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| {
            let declines = || async |_: Context<u8>| -> Outcome { Ok(()) };
            tree.child(Child::new("x", declines).ready_within(None).transient())
        };
        drive(seed, build_tree, async |ctx: Context<()>, x: Address<u8>| {
            ctx.sleep(SECOND).await;
            assert_eq!(x.send(1).await, Err(SendError::Closed(1)));
            assert!(x.monitor().await.is_some());
            Ok(())
        });
    }
}

#[test]
fn address_belongs_to_one_child() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| nested(tree, |_| ());
        drive(seed, build_tree, async |_: Context<()>, nested: SupervisorAddress| {
            let inbox = Address::new(4);
            nested.add(Child::new("first", || live)).await?;
            // A child rejected for its name leaves the address free.
            let refused = nested.add(Child::new("first", || live).address(&inbox)).await;
            assert!(matches!(refused, Err(AdminError::AlreadyStarted)));
            nested.add(Child::new("second", || live).address(&inbox)).await?;
            let third = || Child::new("third", || live).address(&inbox);
            let refused = nested.add(third()).await.unwrap_err();
            assert_eq!(
                refused.to_string(),
                "the address of third belongs to another child or is closed"
            );
            nested.terminate("second").await?;
            nested.remove("second").await?;
            assert!(matches!(nested.add(third()).await, Err(AdminError::Misconfigured(_))));
            Ok(())
        });
    }
}

#[test]
fn add_during_group_restart_returns_after_start() {
    for seed in 0..SEEDS {
        let starts = Arc::new(AtomicU32::new(0));
        let build_tree = move |tree: &mut Supervisor| {
            let mut nested = Supervisor::new("nested", Strategy::OneForAll);
            let address = nested.address();
            let x = nested.child(
                Child::new("x", move || {
                    let starts = starts.clone();
                    async move |mut ctx: Context<Command>| -> Outcome {
                        // Its second start takes a second and fails.
                        if starts.fetch_add(1, Ordering::Relaxed) == 1 {
                            ctx.sleep(SECOND).await;
                            return Err("not now".into());
                        }
                        ctx.ready();
                        obey(ctx).await
                    }
                })
                .ready_within(None),
            );
            tree.supervisor(nested);
            (address, x)
        };
        drive(
            seed,
            build_tree,
            async |ctx: Context<()>, (nested, x): (SupervisorAddress, Address<Command>)| {
                x.send(Command::Fail).await?;
                ctx.sleep(SECOND / 2).await;
                nested.add(Child::new("c", || live)).await?;
                assert_eq!(nested.child("c").await?.state, NodeState::Running);
                Ok(())
            },
        );
    }
}

#[test]
fn stop_is_seen_despite_late_timers() {
    for seed in 0..SEEDS {
        let build_tree = |tree: &mut Supervisor| {
            let busy = || {
                async |mut ctx: Context<u8>| -> Outcome {
                    ctx.send_every(SECOND / 200, || 1);
                    while ctx.recv().await.is_some() {
                        ctx.sleep(SECOND / 100).await;
                    }
                    Ok(())
                }
            };
            (tree.address(), tree.child(Child::new("x", busy)))
        };
        drive(
            seed,
            build_tree,
            async |ctx: Context<()>, (tree, x): (SupervisorAddress, Address<u8>)| {
                ctx.sleep(SECOND).await;
                let asked = ctx.now();
                tree.terminate("x").await?;
                assert!(ctx.now() - asked <= SECOND / 100);
                assert!(matches!(x.monitor().await, Some(Exit::Shutdown)));
                Ok(())
            },
        );
    }
}

#[test]
fn request_of_dropped_caller_is_ignored() {
    for seed in 0..SEEDS {
        let log = Arc::new(Mutex::new(Vec::new()));
        let notes = log.clone();
        let build_tree = |tree: &mut Supervisor| {
            nested(tree, |nested| {
                let slow = || {
                    async |mut ctx: Context<()>| -> Outcome {
                        ctx.stopped().await;
                        ctx.sleep(2 * SECOND).await;
                        Ok(())
                    }
                };
                nested.child(Child::new("slow", slow));
                nested.child(Child::new("x", || live));
            })
        };
        let events =
            drive(seed, build_tree, async move |ctx: Context<()>, nested: SupervisorAddress| {
                let busy = nested.terminate("slow");
                let impatient = ctx.timeout(SECOND, nested.terminate("x"));
                let (ended, given_up) = smol::future::zip(busy, impatient).await;
                ended?;
                assert!(given_up.is_none() || given_up.is_some_and(|done| done.is_ok()));
                let state = nested.child("x").await?.state;
                notes.lock().unwrap().push(state);
                Ok(())
            });
        let stopped =
            events.iter().position(|event| event == "t/nested/x stopped as asked").unwrap();
        let slow =
            events.iter().position(|event| event.starts_with("t/nested/slow stopped")).unwrap();
        // Either it was first, or it was abandoned while the other one was being stopped.
        let state = log.lock().unwrap()[0];
        assert_eq!(state == NodeState::Idle, stopped < slow, "seed {seed}: {events:#?}");
    }
}
