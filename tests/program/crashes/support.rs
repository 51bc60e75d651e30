//! A scenario inside the test's process, any of whose actors can be made to panic.
//!
//! The system runs on two threads. So the test can hold the supervisor just before a restart while
//! all other actors run, and messages sent meanwhile must wait for the next incarnation.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use smol::Executor;
use sockactors::actors::{Report, Reporter};
use sockactors::runtime::{
    Child, Context, Exit, Handle, Lifecycle, NodeState, Outcome, Snapshot, StopReason, Strategy,
    Supervisor, System,
};
use sockactors::scenario::{Reporters, Role, Scenario, Settings, build};

use crate::support::DEADLINE;

/// The path of the child that the observer holds before its restart, if any.
type Gate = Arc<(Mutex<Option<String>>, Condvar)>;

/// A running scenario with a test actor as its printer.
pub struct InProcessScenario {
    pub handle: Handle,
    /// The server's endpoint. Empty for a client.
    pub endpoint: String,
    gate: Gate,
    events: Receiver<Lifecycle>,
    seen: Vec<Lifecycle>,
    reports: Receiver<Report>,
    end: Receiver<Result<StopReason, Exit>>,
}

/// Returns the settings of a server on a free port.
pub fn server(kind: Scenario) -> Settings {
    server_at(kind, "127.0.0.1:0")
}

/// Returns the settings of a server at this endpoint.
pub fn server_at(kind: Scenario, endpoint: &str) -> Settings {
    let mut settings = Settings::new(kind, Role::Server);
    settings.listen.push(endpoint.parse().unwrap());
    settings
}

/// Polls until a condition holds that no event reports, such as the size of a file.
#[track_caller]
pub fn wait_until(what: &str, came_about: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !came_about() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::yield_now();
    }
}

impl InProcessScenario {
    /// Runs a scenario with the program's restart intensity. Returns once its last child has
    /// started.
    pub fn start(settings: &Settings) -> InProcessScenario {
        InProcessScenario::start_within(settings, 5)
    }

    /// Runs a scenario that allows this many restarts in ten seconds.
    pub fn start_within(settings: &Settings, restarts: u32) -> InProcessScenario {
        let mut tree =
            Supervisor::new("t", Strategy::OneForOne).intensity(restarts, Duration::from_secs(10));
        let (tell, reports) = channel();
        let narrator = tree.child(Child::new("narrator", move || {
            let tell = tell.clone();
            async move |mut ctx: Context<Report>| -> Outcome {
                while let Some(report) = ctx.recv().await {
                    let _ = tell.send(report);
                }
                Ok(())
            }
        }));
        let reporter = Reporter::new(narrator);
        let reporters = Reporters { server: reporter.clone(), client: reporter };
        let composed = smol::block_on(build(settings, &mut tree, &reporters)).unwrap();

        let gate = Gate::default();
        let (held, (see, events)) = (gate.clone(), channel());
        // A supervisor whose restart is held blocks its thread. The others run on another one.
        let executor = Arc::new(Executor::new());
        let system = System::on(executor.clone()).observe(move |event| {
            let _ = see.send(event.clone());
            if let Lifecycle::Restarting { path, .. } = event {
                let (name, opened) = &*held;
                let is_held =
                    |name: &mut Option<String>| name.as_ref().is_some_and(|n| path.matches(n));
                drop(opened.wait_timeout_while(name.lock().unwrap(), DEADLINE, is_held).unwrap());
            }
        });
        let (handle, (ended, end)) = (system.handle(), channel());
        let (running, stopped) = smol::channel::bounded::<()>(1);
        for _ in 0..2 {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::spawn(move || smol::block_on(executor.run(stopped.recv())));
        }
        thread::spawn(move || {
            let _ = ended.send(system.run(tree));
            drop(running);
        });
        let at = composed.endpoints.first().map(ToString::to_string).unwrap_or_default();
        let mut drill = InProcessScenario {
            handle,
            endpoint: at,
            gate,
            events,
            seen: Vec::new(),
            reports,
            end,
        };
        drill.wait_for_start(match (settings.role, settings.scenario) {
            (Role::Client, _) => "client",
            (_, Scenario::Udp) => "responder",
            _ => "listener",
        });
        drill
    }

    /// Waits until the first incarnation of an actor has started.
    #[track_caller]
    pub fn wait_for_start(&mut self, path: &str) {
        self.wait_for_event(path, "begins", |event| {
            matches!(event, Lifecycle::Started { incarnation: 1, .. })
        });
    }

    /// Waits for a lifecycle event of an actor, unless it was seen already, and returns its index.
    #[track_caller]
    fn wait_for_event(
        &mut self,
        path: &str,
        what: &str,
        wanted: impl Fn(&Lifecycle) -> bool,
    ) -> usize {
        let is = |event: &Lifecycle| event.path().matches(path) && wanted(event);
        if let Some(place) = self.seen.iter().position(is) {
            return place;
        }
        loop {
            let Ok(event) = self.events.recv_timeout(DEADLINE) else {
                panic!("timed out waiting until {path} {what}; seen: {:#?}", self.seen);
            };
            self.seen.push(event);
            if is(&self.seen[self.seen.len() - 1]) {
                return self.seen.len() - 1;
            }
        }
    }

    /// Returns the number of restarts seen of an actor.
    pub fn restarts(&self, path: &str) -> u32 {
        let restarted = |event: &&Lifecycle| match event {
            Lifecycle::Restarting { path: restarted, .. } => restarted.matches(path),
            _ => false,
        };
        self.seen.iter().filter(restarted).count() as u32
    }

    /// Crashes a child, and waits for its restart.
    #[track_caller]
    pub fn crash(&mut self, path: &str) {
        let next = self.restarts(path) + 1;
        assert!(self.handle.crash(path), "there is no actor {path}");
        self.wait_for_restarting(path, next);
        self.wait_for_restart(path, next);
    }

    /// Crashes a child, and holds its supervisor before the restart until
    /// [`InProcessScenario::release_restart`].
    #[track_caller]
    pub fn crash_and_hold(&mut self, path: &str) {
        *self.gate.0.lock().unwrap() = Some(path.to_owned());
        let next = self.restarts(path) + 1;
        assert!(self.handle.crash(path), "there is no actor {path}");
        self.wait_for_restarting(path, next);
        assert_eq!(self.node(path).state, NodeState::Restarting);
    }

    /// Releases the restart that [`InProcessScenario::crash_and_hold`] holds, and waits for it.
    #[track_caller]
    pub fn release_restart(&mut self, path: &str) {
        self.open_gates();
        let restarts = self.restarts(path);
        self.wait_for_restart(path, restarts);
    }

    fn open_gates(&self) {
        *self.gate.0.lock().unwrap() = None;
        self.gate.1.notify_all();
    }

    /// Waits for a child's panic and the announcement of its restart number `next`.
    #[track_caller]
    fn wait_for_restarting(&mut self, path: &str, next: u32) {
        let place = self.wait_for_event(
            path,
            "is about to be restarted",
            |event| matches!(event, Lifecycle::Restarting { restarts, .. } if *restarts == next),
        );
        let mut before = self.seen[..place].iter().rev().filter(|event| event.path().matches(path));
        let Some(Lifecycle::Exited { exit, .. }) = before.next() else {
            panic!("{path} is restarted without an exit: {:#?}", self.seen);
        };
        assert_panicked(exit);
    }

    #[track_caller]
    fn wait_for_restart(&mut self, path: &str, restarts: u32) {
        let next = restarts + 1;
        self.wait_for_event(
            path,
            "begins anew",
            |event| matches!(event, Lifecycle::Started { incarnation, .. } if *incarnation == next),
        );
    }

    /// Crashes a child of a pool, and waits for its end.
    #[track_caller]
    pub fn crash_until_given_up(&mut self, path: &str) {
        assert!(self.handle.crash(path), "there is no actor {path}");
        let place =
            self.wait_for_event(path, "ends", |event| !matches!(event, Lifecycle::Started { .. }));
        let Lifecycle::Exited { exit, .. } = &self.seen[place] else {
            panic!("{:?} is not an exit", self.seen[place]);
        };
        assert_panicked(exit);
    }

    /// Waits for `count` reports that `pick` accepts, and returns its results in order.
    #[track_caller]
    pub fn reports<T>(&self, count: usize, pick: impl Fn(&Report) -> Option<T>) -> Vec<T> {
        let mut picked = Vec::new();
        while picked.len() < count {
            match self.reports.recv_timeout(DEADLINE) {
                Ok(report) => picked.extend(pick(&report)),
                Err(_) => {
                    panic!("timed out waiting for {count} reports; there are {}", picked.len())
                }
            }
        }
        picked
    }

    /// Waits for the end of the tree.
    #[track_caller]
    pub fn end(&mut self) -> Result<StopReason, Exit> {
        let end = self.end.recv_timeout(DEADLINE);
        self.seen.extend(self.events.try_iter());
        end.expect("the tree ends")
    }

    /// Stops the tree, and asserts the number of restarts of each actor. All others have none.
    #[track_caller]
    pub fn stop(mut self, restarted: &[(&str, u32)]) {
        self.handle.stop();
        assert_eq!(self.end().unwrap(), StopReason::Finished);
        let all = self.seen.iter().filter(|event| matches!(event, Lifecycle::Restarting { .. }));
        let named = restarted.iter().map(|(path, times)| {
            assert_eq!(self.restarts(path), *times, "restarts of {path}: {:#?}", self.seen);
            *times as usize
        });
        assert_eq!(all.count(), named.sum(), "restarts of others: {:#?}", self.seen);
    }

    /// Returns an actor's node from the snapshot of the tree.
    #[track_caller]
    pub fn node(&self, path: &str) -> Snapshot {
        let tree = self.handle.tree().expect("the tree runs");
        tree.children.into_iter().find(|node| node.path.matches(path)).expect("a child of the root")
    }

    /// Returns the number of messages queued for an actor.
    pub fn queued_messages(&self, path: &str) -> usize {
        self.node(path).mailbox.expect("it has a mailbox").0
    }
}

impl Drop for InProcessScenario {
    fn drop(&mut self) {
        self.open_gates();
        self.handle.kill();
    }
}

#[track_caller]
pub fn assert_panicked(exit: &Exit) {
    let Exit::Panicked { text, .. } = exit else { panic!("{exit:?} is not a panic") };
    assert_eq!(&**text, "crashed on request");
}
