//! Snapshots of a tree.

use crate::support::system::{Running, live};
use sockactors::runtime::{
    Child, Context, NodeKind, NodeState, Outcome, Pool, Strategy, Supervisor,
};

#[test]
fn snapshot_shows_paths_states_and_mailboxes() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.child(Child::new("a", || live));
    tree.pool(Pool::new("pool"));
    let waits = || {
        async |mut ctx: Context<u8>| -> Outcome {
            ctx.stopped().await;
            Ok(())
        }
    };
    let full = tree.child(Child::new("full", waits).mailbox(5));
    full.try_send(1).unwrap();
    let mut run = Running::start(tree);
    run.wait_for("t started");

    let tree = run.handle.tree().unwrap();
    assert_eq!((tree.kind, tree.state), (NodeKind::Supervisor, NodeState::Running));
    assert_eq!(tree.children[1].kind, NodeKind::Pool);
    assert_eq!(tree.children[2].mailbox, Some((1, 5)));
    let text = tree.to_string();
    assert!(text.lines().next().unwrap().starts_with("actor "), "{text}");
    assert!(text.contains("├─ a") && text.contains("└─ full") && text.contains("1/5"), "{text}");
    run.stop().unwrap();
}
