//! Recovery: how long an actor that crashes is away.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_channel::Sender;
use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};

/// How an actor is crashed, and who is restarted with it.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    panics: bool,
    /// Siblings that are started before it, and restarted with it.
    elders: usize,
}

pub const CASES: [Case; 4] = [
    Case { name: "error, alone", panics: false, elders: 0 },
    Case { name: "panic, alone", panics: true, elders: 0 },
    Case { name: "error, one for all of 10", panics: false, elders: 9 },
    Case { name: "panic, one for all of 10", panics: true, elders: 9 },
];

/// What survives each incarnation.
struct Diary {
    crashed: Option<Instant>,
    away: Vec<Duration>,
}

/// Says that it is back, and crashes when it is told to.
async fn brittle(
    mut ctx: Context<()>,
    diary: Arc<Mutex<Diary>>,
    back: Sender<()>,
    panics: bool,
) -> Outcome {
    let begun = Instant::now();
    {
        let mut diary = diary.lock().unwrap();
        if let Some(crashed) = diary.crashed.take() {
            diary.away.push(begun - crashed);
        }
    }
    back.send(()).await?;
    if ctx.recv().await.is_none() {
        return Ok(());
    }
    diary.lock().unwrap().crashed = Some(Instant::now());
    if panics {
        panic!("as you say");
    }
    Err("as you say".into())
}

async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}

/// Crashes an actor so many times, and returns how long it was away each time.
pub fn crash(case: Case, crashes: usize) -> Vec<Duration> {
    let diary = Arc::new(Mutex::new(Diary { crashed: None, away: Vec::with_capacity(crashes) }));
    let (back, is_back) = async_channel::bounded(1);
    let mut group =
        Supervisor::new("group", Strategy::OneForAll).intensity(u32::MAX, Duration::from_secs(1));
    for k in 0..case.elders {
        group.child(Child::new(format!("elder {k}"), || live));
    }
    let of_child = diary.clone();
    let brittle = group.child(Child::new("brittle", move || {
        let (diary, back) = (of_child.clone(), back.clone());
        move |ctx| brittle(ctx, diary, back, case.panics)
    }));
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    tree.supervisor(group);
    let system = System::new();
    let handle = system.handle();
    let tormentor = Child::new("tormentor", move || {
        let (brittle, is_back, handle) = (brittle.clone(), is_back.clone(), handle.clone());
        async move |_: Context<()>| -> Outcome {
            for _ in 0..crashes {
                is_back.recv().await?;
                brittle.send(()).await?;
            }
            is_back.recv().await?;
            let restarts: Vec<_> = {
                let tree = handle.tree().expect("the tree runs");
                tree.children[0].children.iter().map(|child| child.restarts as usize).collect()
            };
            assert_eq!(
                restarts,
                vec![crashes; 1 + case.elders],
                "each crash restarts each of them"
            );
            Ok(())
        }
    });
    tree.child(tormentor.temporary().significant());
    system.run(tree).expect("the group is never given up");
    let away = std::mem::take(&mut diary.lock().unwrap().away);
    assert_eq!(away.len(), crashes, "each crash has an end");
    away
}
