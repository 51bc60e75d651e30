//! The suite's group `sup_start`, continued: starts that fail.

use sockactors::runtime::{AdminError, Exit, Strategy};
use sockactors::testing::Simulation;

use super::child::{Start, plain, starting};
use super::supervisor_under_test::At::Undefined;
use super::support::{Test, case, flags, millis};

/// Returns the exit of a failed start.
pub fn failed<T>(start: Result<T, AdminError>) -> Exit {
    match start {
        Err(AdminError::StartFailed(exit)) => exit,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it started"),
    }
}

#[test]
fn sup_start_error_return() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        supervisor.child(plain("invalid"));
        supervisor.child(plain("invalid"));
        let exit = failed(t.start(supervisor).await);
        assert!(matches!(&exit, Exit::Misconfigured(_)), "{exit}");
        assert_eq!(exit.to_string(), "could not start: there are two children named invalid");
        assert_no_exit(&t).await;
    });
}

#[test]
fn sup_start_fail() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        supervisor.child(starting("child1", Start::Panic));
        let exit = failed(t.start(supervisor).await);
        let Exit::StartFailed(child) = &exit else { panic!("{exit}") };
        assert_eq!(child.0.to_string(), "otp/sup/child1");
        assert!(matches!(&child.1, Exit::Panicked { text, .. } if &**text == "fail"), "{exit}");
        assert_no_exit(&t).await;
    });
}

/// Checks that no child exits for a while.
async fn assert_no_exit(t: &Test) {
    t.clock.sleep(millis(100)).await;
    let told = t.log(|log| log.told.join("\n"));
    assert!(
        t.log(|log| log
            .turns
            .iter()
            .all(|turn| matches!(turn, super::incarnation_log::LogEntry::Began(_)))),
        "{told}"
    );
    assert_eq!(t.root.count().await.unwrap().specs, 1, "only the test is left");
}

#[test]
fn sup_start_child_returns_error() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(starting("child1", Start::Fail(|| "reason".into()))).await;
        assert_eq!(failed(child1).to_string(), "failed: reason");
        let child2 = sup.add(starting("child2", Start::Panic)).await;
        assert!(matches!(failed(child2), Exit::Panicked { .. }));
        assert_eq!(sup.rows_now().await, []);
    });
}

#[test]
fn sup_start_restart_child_returns_error() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        supervisor.child(starting("child1", Start::FailLater));
        let sup = t.start(supervisor).await.unwrap();
        sup.terminate("child1").await.unwrap();
        let exit = failed(sup.restart("child1").await);
        assert_eq!(exit.to_string(), "failed: no clause", "not wrapped");
        assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
    });
}

#[test]
fn sup_start_child_returns_error_simple() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        for name in ["1", "2"] {
            let child = sup.add(starting(name, Start::Fail(|| "reason".into()))).await;
            assert_eq!(failed(child).to_string(), "failed: reason");
        }
        assert_eq!(sup.rows_now().await, []);
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
    });
}

#[test]
fn faulty_application_shutdown() {
    for seed in 0..20 {
        let mut application = flags(Strategy::OneForOne, 2, 3600);
        application.child(plain("app_well"));
        application.child(starting("app_faulty", Start::Panic));
        let exit = Simulation::new(seed).run(application).unwrap_err();
        let Exit::StartFailed(child) = &exit else { panic!("{exit}") };
        assert_eq!(child.0.to_string(), "sup/app_faulty");
        let Exit::Panicked { text, location: place } = &child.1 else { panic!("{exit}") };
        assert_eq!(&**text, "fail");
        assert!(place.contains("otp/child.rs:"), "the place of the fault: {place}");
    }
}
