//! A scenario in the test's own process, any of whose actors can be made to panic.
//!
//! The system runs on two threads, so that the test can hold the supervisor just before a restart while all
//! other actors go on: whatever is sent meanwhile provably waits for the next incarnation.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sockactors::actors::{Report, Reporter};
use sockactors::runtime::{
    Child, Context, Exit, Handle, Lifecycle, NodeState, Outcome, Snapshot, StopReason, Strategy,
    Supervisor, System,
};
use sockactors::scenario::{Reporters, Role, Scenario, Settings, build};

use crate::support::DEADLINE;

/// The path of the child that the observer holds before its restart, if any.
type Gate = Arc<(Mutex<Option<String>>, Condvar)>;

/// A running scenario with a user's actor as its narrator.
pub struct InProcessScenario {
    pub handle: Handle,
    /// Where the server listens; empty for a client.
    pub endpoint: String,
    gate: Gate,
    events: Receiver<Lifecycle>,
    seen: Vec<Lifecycle>,
    reports: Receiver<Report>,
    end: Receiver<Result<StopReason, Exit>>,
}

/// Settings of a server on a free port.
pub fn server(kind: Scenario) -> Settings {
    server_at(kind, "127.0.0.1:0")
}

/// Settings of a server at this endpoint.
pub fn server_at(kind: Scenario, endpoint: &str) -> Settings {
    let mut settings = Settings::new(kind, Role::Server);
    settings.listen.push(endpoint.parse().unwrap());
    settings
}

/// Watches until something that tells no event has come about, such as the size of a file.
#[track_caller]
pub fn wait_until(what: &str, came_about: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !came_about() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
    }
}

impl InProcessScenario {
    /// Runs a scenario within the intensity of the program, and returns once its last child has started.
    pub fn start(settings: &Settings) -> InProcessScenario {
        InProcessScenario::start_within(settings, 5)
    }

    /// Runs a scenario that bears so many restarts in ten seconds.
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
        let system = System::new().threads(2).observe(move |event| {
            let _ = see.send(event.clone());
            if let Lifecycle::Restarting { path, .. } = event {
                let (name, opened) = &*held;
                let is_held =
                    |name: &mut Option<String>| name.as_ref().is_some_and(|n| path.matches(n));
                drop(opened.wait_timeout_while(name.lock().unwrap(), DEADLINE, is_held).unwrap());
            }
        });
        let (handle, (ended, end)) = (system.handle(), channel());
        thread::spawn(move || ended.send(system.run(tree)));
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

    /// Waits until the first incarnation of an actor has begun.
    #[track_caller]
    pub fn wait_for_start(&mut self, path: &str) {
        self.wait_for_event(path, "begins", |event| {
            matches!(event, Lifecycle::Started { incarnation: 1, .. })
        });
    }

    /// Waits for an event of an actor's life, unless it has been seen already, and returns its place.
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
                panic!("waited in vain until {path} {what}; seen: {:#?}", self.seen);
            };
            self.seen.push(event);
            if is(&self.seen[self.seen.len() - 1]) {
                return self.seen.len() - 1;
            }
        }
    }

    /// Tells how often an actor was seen to be restarted.
    pub fn restarts(&self, path: &str) -> u32 {
        let restarted = |event: &&Lifecycle| matches!(event, Lifecycle::Restarting { path: p, .. } if p.matches(path));
        self.seen.iter().filter(restarted).count() as u32
    }

    /// Crashes a child and sees its supervisor restart it.
    #[track_caller]
    pub fn crash(&mut self, path: &str) {
        let next = self.restarts(path) + 1;
        assert!(self.handle.crash(path), "there is no actor {path}");
        self.wait_for_restarting(path, next);
        self.wait_for_restart(path, next);
    }

    /// Crashes a child, and holds its supervisor before the restart until [`Drill::release`].
    #[track_caller]
    pub fn crash_and_hold(&mut self, path: &str) {
        *self.gate.0.lock().unwrap() = Some(path.to_owned());
        let next = self.restarts(path) + 1;
        assert!(self.handle.crash(path), "there is no actor {path}");
        self.wait_for_restarting(path, next);
        assert_eq!(self.node(path).state, NodeState::Restarting);
    }

    /// Lets the restart go on that [`Drill::crash_and_hold`] holds, and sees it.
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

    /// Sees that a child panicked, and that it is going to be restarted for the `next` time.
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

    /// Crashes a child of a pool, and sees that it ends.
    #[track_caller]
    pub fn crash_until_given_up(&mut self, path: &str) {
        assert!(self.handle.crash(path), "there is no actor {path}");
        let place =
            self.wait_for_event(path, "ends", |event| !matches!(event, Lifecycle::Started { .. }));
        let Lifecycle::Exited { exit, .. } = &self.seen[place] else {
            panic!("{:?} is no exit", self.seen[place]);
        };
        assert_panicked(exit);
    }

    /// Waits until so many reports were told that `pick` takes, and returns what it took, in their order.
    #[track_caller]
    pub fn reports<T>(&self, count: usize, pick: impl Fn(&Report) -> Option<T>) -> Vec<T> {
        let mut picked = Vec::new();
        while picked.len() < count {
            match self.reports.recv_timeout(DEADLINE) {
                Ok(report) => picked.extend(pick(&report)),
                Err(_) => panic!("waited in vain for {count} reports; there are {}", picked.len()),
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

    /// Stops the tree, and asserts that nothing was ever restarted but what is named here, so often.
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

    /// Returns an actor as the snapshot of the tree shows it.
    #[track_caller]
    pub fn node(&self, path: &str) -> Snapshot {
        let tree = self.handle.tree().expect("the tree runs");
        tree.children.into_iter().find(|node| node.path.matches(path)).expect("a child of the root")
    }

    /// Returns how many messages wait for an actor.
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
    let Exit::Panicked { text, .. } = exit else { panic!("{exit:?} is no panic") };
    assert_eq!(&**text, "crashed on request");
}
