//! The suite's cases of invalid specifications and flags, as far as they compile.

use std::time::Duration;

use sockactors::runtime::{
    AdminError, AutoShutdown, Child, Exit, Pool, Restart, Shutdown, Strategy, Supervisor,
};

use super::admin::refused;
use super::child::{Scripted, plain};
use super::start_errors::failed;
use super::support::{EndBy, Test, case, case_of, flags, millis, within};

const RESTARTS: [Restart; 3] = [Restart::Permanent, Restart::Transient, Restart::Temporary];

fn shutdowns() -> [Shutdown; 4] {
    [within(0), within(1000), Shutdown::Infinity, Shutdown::Kill]
}

#[test]
fn child_specs() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        refused!(sup.add(plain("bad").significant()), AdminError::Misconfigured(_));
        let mut count = 0;
        for restart in RESTARTS {
            for shutdown in shutdowns() {
                let name = format!("{restart:?} {shutdown:?}");
                sup.add(plain(&name).restart(restart).shutdown(shutdown)).await.unwrap();
                let nested = Supervisor::new(name + "s", Strategy::OneForOne);
                let nested = nested.restart(restart).shutdown(shutdown);
                sup.add_supervisor(nested).await.unwrap();
                count += 1;
                assert_eq!(sup.counts_now().await, [2 * count, 2 * count, count, count]);
            }
        }
        // Duplicate names, of any kind of child.
        let nested = Supervisor::new("child", Strategy::OneForOne);
        sup.add_supervisor(nested.shutdown(Shutdown::Infinity)).await.unwrap();
        let second = Supervisor::new("child", Strategy::OneForOne).shutdown(within(1000));
        refused!(sup.add_supervisor(second), AdminError::AlreadyStarted);
        refused!(sup.add_pool(Pool::new("child")), AdminError::AlreadyStarted);
        refused!(sup.add(plain("child")), AdminError::AlreadyStarted);
        t.shut_down(&sup).await;

        for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
            let mut supervisor = flags(strategy, 2, 3600);
            supervisor.supervisor(Supervisor::new("child", strategy));
            supervisor.pool(Pool::new("child"));
            let exit = failed(t.start(supervisor).await);
            assert_eq!(exit.to_string(), "could not start: there are two children named child");
        }
    });
}

/// The error in a supervisor's child, checked in OTP's order.
fn bad_combination(
    auto: AutoShutdown,
    restart: Restart,
    significant: bool,
) -> Option<&'static str> {
    match (significant, auto, restart) {
        (false, ..) => None,
        (true, AutoShutdown::Never, _) => {
            Some("child is significant, but the supervisor never shuts down for it")
        }
        (true, _, Restart::Permanent) => {
            Some("child is significant, but a permanent child never ends for good")
        }
        (true, ..) => None,
    }
}

/// A supervisor for one child, nested or not, with these options.
struct Product {
    auto: Option<AutoShutdown>,
    restart: Restart,
    shutdown: Shutdown,
    significant: bool,
    nested: bool,
}

impl Product {
    fn supervisor(&self) -> Supervisor {
        let supervisor = flags(Strategy::OneForOne, 1, 5);
        match self.auto {
            Some(auto) => supervisor.auto_shutdown(auto),
            None => supervisor,
        }
    }

    fn child(&self) -> Child<Scripted> {
        let child = plain("child").restart(self.restart).shutdown(self.shutdown);
        if self.significant { child.significant() } else { child }
    }

    fn inner(&self) -> Supervisor {
        let inner = Supervisor::new("child", Strategy::OneForOne);
        let inner = inner.restart(self.restart).shutdown(self.shutdown);
        if self.significant { inner.significant() } else { inner }
    }

    /// Checks that it is valid or invalid both at a start and when it is added.
    async fn check(&self, t: &Test) {
        let auto = self.auto.unwrap_or(AutoShutdown::AnySignificant);
        let wrong = bad_combination(auto, self.restart, self.significant);
        let mut supervisor = self.supervisor();
        match self.nested {
            true => supervisor.supervisor(self.inner()),
            false => drop(supervisor.child(self.child())),
        }
        match (t.start(supervisor).await, wrong) {
            (Ok(sup), None) => t.shut_down(&sup).await,
            (started, Some(wrong)) => {
                let exit = failed(started);
                assert!(matches!(&exit, Exit::Misconfigured(text) if &**text == wrong), "{exit}");
            }
            (Err(error), None) => panic!("{error}"),
        }
        let sup = t.start(self.supervisor()).await.unwrap();
        let added = match self.nested {
            true => sup.add_supervisor(self.inner()).await,
            false => sup.add(self.child()).await.map(drop),
        };
        match (added, wrong) {
            (Ok(()), None) => assert_eq!(sup.counts_now().await[1], 1),
            (Err(AdminError::Misconfigured(text)), Some(wrong)) => {
                assert_eq!(&*text, wrong);
                assert_eq!(sup.counts_now().await[0], 0);
            }
            (added, _) => panic!("{added:?}, but {wrong:?}"),
        }
        t.shut_down(&sup).await;
    }
}

#[test]
fn child_specs_map() {
    let autos = [AutoShutdown::Never, AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];
    case_of(1, move |t: Test| async move {
        let mut count = 0;
        for auto in [None, Some(autos[0]), Some(autos[1]), Some(autos[2])] {
            for (restart, shutdown) in
                RESTARTS.into_iter().flat_map(|r| shutdowns().map(|shutdown| (r, shutdown)))
            {
                for (significant, nested) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    count += 1;
                    Product { auto, restart, shutdown, significant, nested }.check(&t).await;
                }
            }
        }
        assert_eq!(count, 4 * 3 * 4 * 2 * 2);
    });
}

#[test]
fn sup_flags() {
    case(async |t: Test| {
        for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
            for restarts in [0, 1, u32::MAX] {
                // The parent of a nested one rejects it.
                let no_time = || flags(strategy, restarts, 0);
                let exit = failed(t.start(no_time()).await);
                assert!(matches!(exit, Exit::Misconfigured(_)), "{exit}");
                let mut outer = Supervisor::new("outer", strategy);
                outer.supervisor(no_time());
                let exit = failed(t.start(outer).await);
                assert!(matches!(exit, Exit::StartFailed(_)), "{exit}");
                for period in [Duration::from_nanos(1), Duration::MAX] {
                    let supervisor = Supervisor::new("sup", strategy).intensity(restarts, period);
                    let sup = t.start(supervisor).await.unwrap();
                    t.shut_down(&sup).await;
                }
            }
        }
    });
}

#[test]
fn multiple_restarts() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 1, 1)).await.unwrap();
        let child = sup.add(plain("child1").shutdown(Shutdown::Kill)).await.unwrap();
        t.end(&child, EndBy::Abnormal).await;
        for _ in 0..3 {
            t.clock.sleep(millis(2100)).await;
            t.end(&child, EndBy::Abnormal).await;
        }
        sup.terminate("child1").await.unwrap();
        sup.remove("child1").await.unwrap();
        t.not_exited([sup.pid()]).await;
    });
}
