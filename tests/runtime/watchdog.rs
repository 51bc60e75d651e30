//! The watchdog for actors that block their thread, on the real executor.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::serial;
use crate::support::system::{Running, TIMEOUT, live};
use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};

const LIMIT: Duration = Duration::from_millis(5);

/// An actor that blocks its thread at each message until the gate receives something.
async fn block(mut ctx: Context<()>, gate: Arc<Mutex<Receiver<()>>>) -> Outcome {
    while ctx.recv().await.is_some() {
        gate.lock().unwrap().recv_timeout(TIMEOUT)?;
        // The next message is handled in another poll, however soon it arrives.
        smol::future::yield_now().await;
    }
    Ok(())
}

#[test]
fn watchdog_names_blocking_actor_each_time() {
    let _alone = serial::lock();
    for threads in [1, 2] {
        let (open, gate) = channel();
        let gate = Arc::new(Mutex::new(gate));
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        tree.child(Child::new("quick", || live));
        let blocker = tree.child(Child::new("blocker", move || {
            let gate = gate.clone();
            move |ctx| block(ctx, gate)
        }));
        let system = System::new().threads(threads).stall_limit(LIMIT);
        let mut run = Running::start_with(system, tree);
        run.wait_for("t started");
        // Twice: an idle system is not watched in between, and is watched again afterwards.
        for _ in 0..2 {
            blocker.send_blocking(()).unwrap();
            run.wait_for("t/blocker has blocked its thread for more than 5ms");
            open.send(()).unwrap();
        }
        run.stop().unwrap();
    }
}
