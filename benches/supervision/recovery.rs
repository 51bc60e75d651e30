//! The time from a crash of an actor to its next incarnation.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::Sender;
use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};

/// The kind of a crash, and the siblings that restart with the actor.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    panics: bool,
    /// The number of siblings that start before the actor and restart with it.
    siblings: usize,
}

pub const CASES: [Case; 4] = [
    Case { name: "error, alone", panics: false, siblings: 0 },
    Case { name: "panic, alone", panics: true, siblings: 0 },
    Case { name: "error, one for all of 10", panics: false, siblings: 9 },
    Case { name: "panic, one for all of 10", panics: true, siblings: 9 },
];

/// The measurements, which survive each incarnation.
struct Log {
    crashed: Option<Instant>,
    downtimes: Vec<Duration>,
}

/// Reports its start, and crashes on each message.
async fn crashing(
    mut ctx: Context<()>,
    log: Arc<Mutex<Log>>,
    started: Sender<()>,
    panics: bool,
) -> Outcome {
    let begun = Instant::now();
    {
        let mut log = log.lock().unwrap();
        if let Some(crashed) = log.crashed.take() {
            log.downtimes.push(begun - crashed);
        }
    }
    started.send(()).await?;
    if ctx.recv().await.is_none() {
        return Ok(());
    }
    log.lock().unwrap().crashed = Some(Instant::now());
    if panics {
        panic!("requested");
    }
    Err("requested".into())
}

async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}

/// Crashes an actor `crashes` times, and returns the duration of each recovery.
pub fn crash(case: Case, crashes: usize) -> Vec<Duration> {
    let log = Arc::new(Mutex::new(Log { crashed: None, downtimes: Vec::with_capacity(crashes) }));
    let (started, start) = async_channel::bounded(1);
    let mut group =
        Supervisor::new("group", Strategy::OneForAll).intensity(u32::MAX, Duration::from_secs(1));
    for k in 0..case.siblings {
        group.child(Child::new(format!("sibling {k}"), || live));
    }
    let child_log = log.clone();
    let crashing = group.child(Child::new("crashing", move || {
        let (log, started) = (child_log.clone(), started.clone());
        move |ctx| crashing(ctx, log, started, case.panics)
    }));
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    tree.supervisor(group);
    let system = System::new();
    let handle = system.handle();
    let driver = Child::new("driver", move || {
        let (crashing, start, handle) = (crashing.clone(), start.clone(), handle.clone());
        async move |_: Context<()>| -> Outcome {
            for _ in 0..crashes {
                start.recv().await?;
                crashing.send(()).await?;
            }
            start.recv().await?;
            let restarts: Vec<_> = {
                let tree = handle.tree().expect("the tree runs");
                tree.children[0].children.iter().map(|child| child.restarts as usize).collect()
            };
            assert_eq!(
                restarts,
                vec![crashes; 1 + case.siblings],
                "each crash restarts each child"
            );
            Ok(())
        }
    });
    tree.child(driver.temporary().significant());
    system.run(tree).expect("the group does not exceed its restart intensity");
    let downtimes = std::mem::take(&mut log.lock().unwrap().downtimes);
    assert_eq!(downtimes.len(), crashes, "each crash has a recovery");
    downtimes
}
