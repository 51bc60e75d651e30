//! The suite's group `sup_start_map`: the defaults of a child.

use sockactors::runtime::{
    AdminError, Child, ChildInfo, Context, Exit, NodeKind, NodeState, Outcome, Restart, Shutdown,
    Strategy, Supervisor,
};

use super::child::plain;
use super::start_errors::failed;
use super::support::{Test, case, flags, seconds};

async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}

fn assert_is(info: &ChildInfo, kind: NodeKind, restart: Restart, shutdown: Shutdown) {
    assert_eq!((info.kind, info.state, info.restarts), (kind, NodeState::Running, 0));
    assert_eq!((info.restart, info.shutdown, info.significant), (restart, shutdown, false));
}

#[test]
fn sup_start_map() {
    case(async |t: Test| {
        let mut supervisor = Supervisor::new("sup", Strategy::OneForOne);
        supervisor.child(Child::new("child1", || live));
        supervisor.child(Child::new("child2", || live).shutdown(Shutdown::Kill));
        supervisor.supervisor(Supervisor::new("child3", Strategy::OneForOne));
        let sup = t.start(supervisor).await.unwrap();
        let five = Shutdown::Timeout(seconds(5));
        let child1 = sup.child("child1").await.unwrap();
        assert_is(&child1, NodeKind::Actor, Restart::Permanent, five);
        let child2 = sup.child("child2").await.unwrap();
        assert_is(&child2, NodeKind::Actor, Restart::Permanent, Shutdown::Kill);
        let child3 = sup.child("child3").await.unwrap();
        assert_is(&child3, NodeKind::Supervisor, Restart::Permanent, Shutdown::Infinity);
        assert!(matches!(sup.child("child4").await, Err(AdminError::NotFound)));
        t.shut_down(&sup).await;
    });
}

#[test]
fn sup_start_map_simple() {
    case(async |t: Test| {
        let sup = t.start(Supervisor::new("sup", Strategy::OneForOne)).await.unwrap();
        for name in ["1", "2", "3"] {
            sup.address.add(Child::new(name, || live).temporary()).await.unwrap();
        }
        for name in ["1", "2", "3"] {
            let info = sup.child(name).await.unwrap();
            assert_eq!(info.name, name);
            let five = Shutdown::Timeout(seconds(5));
            assert_is(&info, NodeKind::Actor, Restart::Temporary, five);
        }
        // The test runs, but elsewhere in the tree.
        assert!(matches!(sup.child("test").await, Err(AdminError::NotFound)));
        t.shut_down(&sup).await;
    });
}

#[test]
fn sup_start_map_faulty_specs() {
    case(async |t: Test| {
        let mut twice = flags(Strategy::OneForOne, 2, 3600);
        twice.child(plain("child1"));
        twice.supervisor(Supervisor::new("child1", Strategy::OneForOne));
        let mut contradictory = flags(Strategy::OneForOne, 2, 3600);
        contradictory.child(plain("child4").significant());
        for supervisor in [twice, contradictory] {
            let exit = failed(t.start(supervisor).await);
            assert!(matches!(exit, Exit::Misconfigured(_)), "{exit}");
        }
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        t.shut_down(&sup).await;
        let started = t.log(|log| log.told.iter().any(|told| told.contains("sup/child")));
        assert!(!started, "no child of a faulty supervisor starts");
    });
}
