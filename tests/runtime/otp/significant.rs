//! The suite's group `significant`: which exits of which children end their supervisor.

use sockactors::runtime::{Address, AutoShutdown, Pool, Restart, Strategy, Supervisor};

use super::child::{End, Say, member, plain};
use super::incarnation_log::Pid;
use super::supervisor_under_test::{At::Is, Rows, Sup};
use super::support::{EndBy, NORMAL, Test, case, seconds};

pub const AUTO: [AutoShutdown; 3] =
    [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];

pub fn auto(auto: AutoShutdown) -> Supervisor {
    let supervisor = Supervisor::new("sup", Strategy::OneForOne).auto_shutdown(auto);
    supervisor.intensity(5, seconds(5))
}

#[test]
fn nonsignificant_temporary() {
    case(async |t: Test| {
        for kind in AUTO {
            let sup = t.start(auto(kind)).await.unwrap();
            for how in [EndBy::Supervisor, EndBy::Kill, EndBy::Abnormal, EndBy::Normal] {
                let child = sup.add(plain("child1").temporary()).await.unwrap();
                let pid = sup.end("child1", &child, how).await;
                t.exited([pid]).await;
                t.not_exited([sup.pid()]).await;
            }
            t.shut_down(&sup).await;
        }
    });
}

#[test]
fn nonsignificant_transient() {
    case(async |t: Test| {
        for kind in AUTO {
            let sup = t.start(auto(kind)).await.unwrap();
            let child = sup.add(plain("child1").transient()).await.unwrap();
            t.exited([sup.end("child1", &child, EndBy::Supervisor).await]).await;
            t.not_exited([sup.pid()]).await;
            sup.restart("child1").await.unwrap();
            for how in [EndBy::Kill, EndBy::Abnormal] {
                t.exited([sup.end("child1", &child, how).await]).await;
                t.not_exited([sup.pid()]).await;
                assert_eq!(sup.rows().await, [("child1", Is(t.pid(&child)))]);
            }
            t.exited([sup.end("child1", &child, EndBy::Normal).await]).await;
            t.not_exited([sup.pid()]).await;
            t.shut_down(&sup).await;
        }
    });
}

/// A supervisor of two significant children and a third one that is not.
struct Three {
    sup: Sup,
    children: [Address<Say>; 3],
    /// The supervisor, and then the children.
    pids: [Pid; 4],
}

const NAMES: [&str; 3] = ["child1", "child2", "child3"];

impl Three {
    async fn start(t: &Test, kind: AutoShutdown, restart: Restart) -> Three {
        let sup = t.start(auto(kind)).await.unwrap();
        let [one, two, three] = NAMES.map(|name| plain(name).restart(restart));
        let children = [
            sup.add(one.significant()).await.unwrap(),
            sup.add(two.significant()).await.unwrap(),
            sup.add(three).await.unwrap(),
        ];
        let [one, two, three] = [0, 1, 2].map(|k| t.pid(&children[k]));
        let rows = sup.rows_now().await;
        assert_eq!(rows, [("child1", Is(one)), ("child2", Is(two)), ("child3", Is(three))]);
        Three { pids: [sup.pid(), one, two, three], sup, children }
    }

    /// Ends a child, after which no other child may have ended.
    async fn end_alone(&self, t: &Test, child: usize, how: EndBy) {
        let pid = self.sup.end(NAMES[child], &self.children[child], how).await;
        t.exited([pid]).await;
        let all = [self.sup.pid()].into_iter().chain(self.pids[1..].iter().copied());
        t.not_exited(all.filter(|other| *other != pid && *other != self.pids[child + 1])).await;
    }

    /// Ends a child, after which all end, the supervisor with `exit`.
    async fn end_with_all(&self, t: &Test, child: usize, how: EndBy, exit: &str) {
        let pid = self.sup.end(NAMES[child], &self.children[child], how).await;
        t.exited([pid].into_iter().chain(self.pids)).await;
        assert_eq!(t.exit(self.pids[0]).await, exit);
    }
}

#[test]
fn significant_temporary() {
    case(async |t: Test| {
        let mut first = Three::start(&t, AutoShutdown::AnySignificant, Restart::Temporary).await;
        first.end_alone(&t, 0, EndBy::Supervisor).await;
        let again = plain("child1").temporary().significant();
        first.children[0] = first.sup.add(again).await.unwrap();
        let [_, _, two, three] = first.pids;
        let one = t.pid(&first.children[0]);
        let rows = first.sup.rows_now().await;
        assert_eq!(rows, [("child2", Is(two)), ("child3", Is(three)), ("child1", Is(one))]);
        // OTP's supervisor always exits with `shutdown`. Ours exits as its child did.
        first.end_with_all(&t, 0, EndBy::Kill, "killed").await;
        let any = AutoShutdown::AnySignificant;
        for (how, exit) in [(EndBy::Abnormal, "failed: died"), (EndBy::Normal, NORMAL)] {
            let three = Three::start(&t, any, Restart::Temporary).await;
            three.end_with_all(&t, 0, how, exit).await;
        }
        let all = Three::start(&t, AutoShutdown::AllSignificant, Restart::Temporary).await;
        all.end_alone(&t, 0, EndBy::Normal).await;
        all.end_with_all(&t, 1, EndBy::Normal, NORMAL).await;
    });
}

/// Returns the names of a list.
fn names(rows: &Rows) -> Vec<&str> {
    rows.0.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn significant_transient() {
    case(async |t: Test| {
        let any = Three::start(&t, AutoShutdown::AnySignificant, Restart::Transient).await;
        any.end_alone(&t, 0, EndBy::Supervisor).await;
        any.sup.restart("child1").await.unwrap();
        for how in [EndBy::Kill, EndBy::Abnormal] {
            any.end_alone(&t, 0, how).await;
            assert_eq!(names(&any.sup.rows().await), NAMES);
        }
        any.end_with_all(&t, 0, EndBy::Normal, NORMAL).await;
        let all = Three::start(&t, AutoShutdown::AllSignificant, Restart::Transient).await;
        all.end_alone(&t, 0, EndBy::Normal).await;
        all.end_with_all(&t, 1, EndBy::Normal, NORMAL).await;
    });
}

#[test]
fn significant_simple() {
    case(async |t: Test| {
        // No child of a pool can be significant, so none ends more than itself, whatever its
        // supervisor's flag.
        for kind in AUTO {
            let sup = t.start(auto(kind)).await.unwrap();
            let pool = sup.add_pool(Pool::new("pool")).await.unwrap();
            let pids = [sup.pid(), sup.pid_of("pool")];
            for how in [EndBy::Kill, EndBy::Abnormal, EndBy::Normal] {
                let child = pool.start(member(End::Well)).await.unwrap();
                t.exited([t.end(&child, how).await]).await;
                t.not_exited(pids).await;
            }
            t.shut_down(&sup).await;
            t.exited(pids).await;
        }
    });
}
