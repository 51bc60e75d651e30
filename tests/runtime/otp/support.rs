//! The suite's test process: an actor that drives the supervisors under test.
//!
//! It is the significant child of a root that allows no restart, so a failed assertion in it ends
//! the run. A supervisor under test is a temporary child of the same root, added when the test
//! starts it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::runtime::{
    Address, AdminError, Child, Clock, Context, Exit, Handle, Outcome, Restart, Shutdown, Strategy,
    Supervisor, SupervisorAddress,
};
use sockactors::testing::{Fault, Simulation};

use super::child::Say;
use super::incarnation_log::{IncarnationLog, Pid};
use super::supervisor_under_test::Sup;

pub const DIED: &str = "failed: died";
pub const KILLED: &str = "killed";
pub const NORMAL: &str = "ended normally";
pub const SHUTDOWN: &str = "stopped as asked";

/// The number of seeds per case.
const SEEDS: u64 = 20;
/// The time limit of a wait. Only a defect reaches it.
const TIMEOUT: Duration = Duration::from_secs(600);
/// The limit of polls per case, since endless restarts need no virtual time.
const MAX_POLLS: u32 = 3_000_000;
const TICK: Duration = Duration::from_millis(1);

/// EndBy a child is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndBy {
    Normal,
    Abnormal,
    Kill,
    /// By its supervisor.
    Supervisor,
}

/// The test process.
#[derive(Clone)]
pub struct Test {
    pub root: SupervisorAddress,
    pub handle: Handle,
    pub clock: Clock,
    log: Arc<Mutex<IncarnationLog>>,
    doomed: Arc<Mutex<HashSet<String>>>,
}

/// Runs a case for each seed.
#[track_caller]
pub fn case<F>(body: impl Fn(Test) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    for seed in 0..SEEDS {
        case_of(seed, body.clone());
    }
}

/// Runs a case for one seed.
#[track_caller]
pub fn case_of<F>(seed: u64, body: impl Fn(Test) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send,
{
    let mut tree = Supervisor::new("otp", Strategy::OneForOne).intensity(0, seconds(1));
    let simulation = Simulation::new(seed);
    let (root, handle, census) = (tree.address(), simulation.handle(), simulation.live_counts());
    let (log, doomed) =
        (Arc::<Mutex<IncarnationLog>>::default(), Arc::<Mutex<HashSet<String>>>::default());
    let (noted, executed) = (log.clone(), doomed.clone());
    let simulation = simulation.observe(move |event| noted.lock().unwrap().note(event));
    let mut turns = 0;
    let simulation = simulation.inject(move |turn| {
        turns += 1;
        assert!(turns < MAX_POLLS, "this goes on for ever: {turn:?}");
        let mut doomed = executed.lock().unwrap();
        (!doomed.is_empty() && doomed.remove(&turn.path.to_string())).then_some(Fault::Kill)
    });
    let told = log.clone();
    tree.child(
        Child::new("test", move || {
            let (root, handle) = (root.clone(), handle.clone());
            let (log, doomed, body) = (log.clone(), doomed.clone(), body.clone());
            async move |ctx: Context<()>| -> Outcome {
                let clock = ctx.clock().clone();
                body(Test { root, handle, clock, log, doomed }).await;
                Ok(())
            }
        })
        .transient()
        .significant(),
    );
    if let Err(exit) = simulation.run(tree) {
        let told = told.lock().unwrap();
        panic!("seed {seed}: {exit}, after\n  {}", told.told.join("\n  "));
    }
    assert_eq!((census.tasks(), census.timers()), (0, 0), "seed {seed}: something is left");
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn within(limit: u64) -> Shutdown {
    Shutdown::Timeout(millis(limit))
}

/// Returns the supervisor under test: its strategy, intensity and period.
pub fn flags(strategy: Strategy, restarts: u32, period: u64) -> Supervisor {
    Supervisor::new("sup", strategy).intensity(restarts, seconds(period))
}

impl Test {
    /// Starts a supervisor, as `start_link` does.
    pub async fn start(&self, mut supervisor: Supervisor) -> Result<Sup, AdminError> {
        let address = supervisor.address();
        self.root.add_supervisor(supervisor.restart(Restart::Temporary)).await?;
        Ok(Sup { test: self.clone(), address })
    }

    /// Ends a supervisor, as a parent's exit signal `shutdown` does.
    pub async fn shut_down(&self, sup: &Sup) {
        let (name, pid) = (sup.path().replace("otp/", ""), sup.pid());
        self.root.terminate(&name).await.unwrap();
        assert_eq!(self.exit(pid).await, SHUTDOWN);
    }

    pub fn log<T>(&self, read: impl FnOnce(&IncarnationLog) -> T) -> T {
        read(&self.log.lock().unwrap())
    }

    /// Returns the incarnation at an address.
    pub fn pid(&self, address: &Address<Say>) -> Pid {
        let path = address.monitor().path().unwrap().to_string();
        self.log(|log| log.alive(&path)).unwrap_or_else(|| panic!("{path} does not live"))
    }

    /// Ends a child, and returns its incarnation.
    pub async fn end(&self, address: &Address<Say>, how: EndBy) -> Pid {
        let (pid, watch) = (self.pid(address), address.monitor());
        let reason = match how {
            EndBy::Normal => {
                address.send(Say::Stop).await.unwrap();
                NORMAL
            }
            EndBy::Abnormal => {
                address.send(Say::Die).await.unwrap();
                DIED
            }
            EndBy::Kill => {
                self.doomed.lock().unwrap().insert(watch.path().unwrap().to_string());
                address.send(Say::Nothing).await.unwrap();
                KILLED
            }
            EndBy::Supervisor => unreachable!("only a supervisor can"),
        };
        let exit = self.clock.timeout(TIMEOUT, watch).await.expect("it does not end").unwrap();
        assert_eq!(exit.to_string(), reason);
        pid
    }

    /// Waits for an incarnation's exit, and returns it as text.
    pub async fn exit(&self, pid: Pid) -> String {
        self.exit_of(pid).await.to_string()
    }

    /// Returns the exit of an ended incarnation.
    pub fn exit_now(&self, pid: Pid) -> Option<String> {
        self.log(|log| log.exit(pid).map(ToString::to_string))
    }

    pub async fn exit_of(&self, pid: Pid) -> Exit {
        let begun = self.clock.now();
        loop {
            if let Some(exit) = self.log(|log| log.exit(pid).cloned()) {
                return exit;
            }
            let path = self.log(|log| log.path(pid).to_owned());
            assert!(self.clock.now() - begun < TIMEOUT, "{path} ({pid}) does not end");
            self.clock.sleep(TICK).await;
        }
    }

    /// Waits until all of these have ended.
    pub async fn exited(&self, pids: impl IntoIterator<Item = Pid>) {
        for pid in pids {
            self.exit_of(pid).await;
        }
    }

    /// Checks that none of these ends within a second.
    pub async fn not_exited(&self, pids: impl IntoIterator<Item = Pid>) {
        self.clock.sleep(seconds(1)).await;
        for pid in pids {
            let end =
                self.log(|log| log.exit(pid).map(|exit| (log.path(pid).to_owned(), exit.clone())));
            assert!(end.is_none(), "{end:?}");
        }
    }

    /// Lets all runnable tasks run.
    pub async fn settle(&self) {
        self.clock.sleep(TICK).await;
    }
}
