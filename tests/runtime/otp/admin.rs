//! The suite's cases of administration, `child_adm` first, and of the list of children.

use sockactors::runtime::{Address, AdminError, Strategy, Supervisor};

use super::child::{Say, Start, plain, starting};
use super::start_errors::failed;
use super::supervisor_under_test::At::{Is, Undefined};
use super::support::{EndBy, SHUTDOWN, Test, case, flags, seconds};

/// Asserts that a request is rejected with this error.
macro_rules! refused {
    ($request:expr, $error:pat) => {{
        let answer = $request.await.map(drop);
        assert!(matches!(answer, Err($error)), "{answer:?}");
    }};
}
pub(crate) use refused;

#[test]
fn child_adm() {
    case(async |t: Test| {
        let foo = t.start(Supervisor::new("foo", Strategy::OneForOne)).await.unwrap();
        t.shut_down(&foo).await;
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        let child = supervisor.child(plain("child1"));
        let sup = t.start(supervisor).await.unwrap();
        let c = t.pid(&child);
        assert_eq!(sup.rows_now().await, [("child1", Is(c))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
        refused!(sup.add(plain("child1")), AdminError::AlreadyStarted);

        refused!(sup.terminate("hej"), AdminError::NotFound);
        refused!(foo.terminate("child1"), AdminError::Unavailable);
        sup.terminate("child1").await.unwrap();
        assert_eq!(t.exit(c).await, SHUTDOWN);
        assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
        assert_eq!(sup.counts_now().await, [1, 0, 0, 1]);
        sup.terminate("child1").await.unwrap();
        refused!(sup.add(plain("child1")), AdminError::AlreadyPresent);

        sup.restart("child1").await.unwrap();
        let c2 = t.pid(&child);
        assert_ne!(c, c2);
        assert_eq!(sup.rows_now().await, [("child1", Is(c2))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
        refused!(sup.restart("child1"), AdminError::Running);
        refused!(sup.restart("child2"), AdminError::NotFound);

        refused!(sup.remove("child1"), AdminError::Running);
        refused!(sup.remove("hej"), AdminError::NotFound);
        refused!(foo.remove("child1"), AdminError::Unavailable);
        sup.terminate("child1").await.unwrap();
        sup.remove("child1").await.unwrap();
        refused!(sup.restart("child1"), AdminError::NotFound);
        assert_eq!(sup.rows_now().await, []);
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);

        refused!(foo.add(plain("child1")), AdminError::Unavailable);
        let child = sup.add(plain("child1")).await.unwrap();
        let c3 = t.pid(&child);
        assert_eq!(sup.rows_now().await, [("child1", Is(c3))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
        // A path is not a name, as a pid is not one in OTP.
        refused!(sup.terminate("sup/child1"), AdminError::NotFound);
        assert_eq!(sup.rows_now().await, [("child1", Is(c3))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
        refused!(foo.children(), AdminError::Unavailable);
        refused!(foo.count(), AdminError::Unavailable);
    });
}

/// Requests from a child's address what a start returns beside the pid.
async fn extra(child: &Address<Say>) -> u32 {
    child.ask(seconds(1), Say::Extra).await.unwrap()
}

#[test]
fn extra_return() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        let child = supervisor.child(plain("child1"));
        let sup = t.start(supervisor).await.unwrap();
        let c = t.pid(&child);
        assert_eq!(sup.rows_now().await, [("child1", Is(c))]);
        assert_eq!(extra(&child).await, 0);
        refused!(sup.terminate("hej"), AdminError::NotFound);
        refused!(sup.remove("hej"), AdminError::NotFound);
        refused!(sup.restart("hej"), AdminError::NotFound);
        refused!(sup.remove("child1"), AdminError::Running);
        refused!(sup.restart("child1"), AdminError::Running);
        assert_eq!(sup.rows_now().await, [("child1", Is(c))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);

        sup.terminate("child1").await.unwrap();
        assert_eq!(t.exit(c).await, SHUTDOWN);
        assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
        assert_eq!(sup.counts_now().await, [1, 0, 0, 1]);
        sup.restart("child1").await.unwrap();
        assert_eq!(extra(&child).await, 1);
        assert_eq!(sup.rows_now().await, [("child1", Is(t.pid(&child)))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);

        sup.terminate("child1").await.unwrap();
        sup.terminate("child1").await.unwrap();
        sup.remove("child1").await.unwrap();
        refused!(sup.restart("child1"), AdminError::NotFound);
        assert_eq!(sup.rows_now().await, []);
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);

        let child = sup.add(plain("child1")).await.unwrap();
        assert_eq!(extra(&child).await, 0);
        let c3 = t.end(&child, EndBy::Abnormal).await;
        let rows = sup.rows().await;
        assert_eq!(rows, [("child1", Is(t.pid(&child)))]);
        assert_ne!(c3, t.pid(&child));
        assert_eq!(extra(&child).await, 1);
        assert_eq!(sup.counts().await, [1, 1, 0, 1]);
    });
}

#[derive(Debug, thiserror::Error)]
#[error("the name is taken by {0}")]
struct Taken(usize);

#[test]
fn already_started_outside_supervisor() {
    case(async |t: Test| {
        let elsewhere = t.start(Supervisor::new("elsewhere", Strategy::OneForOne)).await.unwrap();
        let outside = elsewhere.add(plain("outside")).await.unwrap();
        let sup = t.start(flags(Strategy::OneForOne, 1, 5)).await.unwrap();
        let child = starting("child", Start::Fail(|| Box::new(Taken(7)))).transient();
        let exit = failed(sup.add(child).await);
        assert!(matches!(exit, sockactors::runtime::Exit::Failed(_)), "not wrapped: {exit}");
        let taken = exit.error().and_then(|error| error.downcast_ref::<Taken>());
        assert_eq!(taken.map(|taken| taken.0), Some(7));
        assert_eq!(sup.rows_now().await, []);
        t.shut_down(&sup).await;
        t.not_exited([t.pid(&outside)]).await;
        t.end(&outside, EndBy::Normal).await;
    });
}

#[test]
fn which_children() {
    case(async |t: Test| {
        let sup = t.start(Supervisor::new("sup", Strategy::OneForOne)).await.unwrap();
        assert_eq!(sup.rows_now().await, []);
        refused!(sup.child("childx"), AdminError::NotFound);
        let c1 = t.pid(&sup.add(plain("child1")).await.unwrap());
        assert_eq!(sup.rows_now().await, [("child1", Is(c1))]);
        assert_each_is_itself(&sup).await;
        let c2 = t.pid(&sup.add(plain("child2")).await.unwrap());
        assert_eq!(sup.rows_now().await, [("child1", Is(c1)), ("child2", Is(c2))]);
        assert_each_is_itself(&sup).await;
        sup.terminate("child1").await.unwrap();
        assert_eq!(sup.rows_now().await, [("child1", Undefined), ("child2", Is(c2))]);
        assert_each_is_itself(&sup).await;
        sup.remove("child1").await.unwrap();
        assert_eq!(sup.rows_now().await, [("child2", Is(c2))]);
        refused!(sup.child("child1"), AdminError::NotFound);
        assert_each_is_itself(&sup).await;
    });
}

/// Checks that each child alone matches the list.
async fn assert_each_is_itself(sup: &super::supervisor_under_test::Sup) {
    for child in sup.children().await.unwrap() {
        assert_eq!(sup.child(&child.name).await.unwrap(), child);
    }
    refused!(sup.child("childx"), AdminError::NotFound);
}
