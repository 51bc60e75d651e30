//! One run: the library's tree and the model's, side by side.
//!
//! After each step virtual time passes, which happens only when no task is runnable. Then events,
//! answers and the visible tree must be equal on both sides.

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use sockactors::runtime::{Context, Handle};

use super::events::ModelEvent;
use super::generate::Generator;
use super::observed::Observed;
use super::spec::Spec;
use super::state::{Id, ModelState};

type Answer = Pin<Box<dyn Future<Output = String> + Send>>;

/// The actors to be killed at their next poll: path and incarnation.
pub type KillList = Arc<Mutex<Vec<(String, u32)>>>;

pub struct Run {
    pub generator: Generator,
    pub state: ModelState,
    pub root: Id,
    pub handle: Handle,
    pub kill_list: KillList,
    seen: Arc<Mutex<Vec<ModelEvent>>>,
    /// The steps, for the report.
    pub steps: Vec<String>,
    pub left: u32,
    waiting: Vec<(usize, Answer)>,
    answers: Vec<(usize, String)>,
    pub asked: usize,
    /// Whether the passing time was drawn to coincide with a timer.
    pub is_edge: bool,
    pub failure: Option<String>,
}

impl Run {
    pub fn new(
        mut generator: Generator,
        root: &Arc<Spec>,
        handle: Handle,
        seen: Arc<Mutex<Vec<ModelEvent>>>,
    ) -> Run {
        let mut state = ModelState::default();
        let id = state.place(root, None);
        state.begin_root(id);
        let left = generator.rng.u32(4..16);
        Run {
            generator,
            state,
            root: id,
            handle,
            kill_list: KillList::default(),
            seen,
            steps: Vec::new(),
            left,
            waiting: Vec::new(),
            answers: Vec::new(),
            asked: 0,
            is_edge: false,
            failure: None,
        }
    }

    /// Registers a request that is to be sent, and returns its number.
    pub fn wait_for(&mut self, answer: impl Future<Output = String> + Send + 'static) -> usize {
        self.asked += 1;
        self.waiting.push((self.asked, Box::pin(answer)));
        self.asked
    }

    fn poll_waiting(&mut self, cx: &mut std::task::Context<'_>) {
        let answers = &mut self.answers;
        self.waiting.retain_mut(|(number, answer)| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                answers.push((*number, answer));
                false
            }
            Poll::Pending => true,
        });
    }

    /// Compares both sides at time `now`.
    fn compare(&mut self, now: Duration, is_last: bool) {
        let root = self.root;
        self.state.seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let seen = Observed {
            answers: std::mem::take(&mut self.answers),
            tree: self.handle.tree().filter(|_| !is_last),
        };
        let before = self.state.clone();
        self.state.pass(now);
        let faults = seen.faults(&self.state, root);
        if !faults.is_empty() {
            let accept = |state: &ModelState| seen.faults(state, root).is_empty();
            match before.pass_as_observed(now, &accept, &mut 10_000) {
                Some(passed) => {
                    self.state = passed;
                    self.state.coverage.count("in another order");
                }
                None if self.failure.is_none() => self.failure = Some(faults.join("\n")),
                None => {}
            }
        }
        self.state.told.clear();
        self.state.answers.clear();
    }

    /// Returns whether another event happens at the very moment that the driver chose.
    fn is_beside_others(&self, now: Duration) -> bool {
        let mut state = self.state.clone();
        state.seen.clone_from(&self.seen.lock().unwrap());
        state.pass(now.saturating_sub(Duration::from_nanos(1)));
        state.next_timer() == Some(now)
    }

    /// Compares, and takes the next step or stops the tree. Returns whether there was a step.
    fn go_on(&mut self, now: Duration) -> bool {
        if self.is_edge && self.is_beside_others(now) {
            return true;
        }
        self.compare(now, false);
        let root = self.root;
        let on_child_ended = self.state.nodes[root]
            .supervisor_state
            .iter()
            .all(|supervisor_state| supervisor_state.children.is_empty());
        if on_child_ended {
            self.state.coverage.count("the tree ended by itself");
        }
        if self.failure.is_some() || on_child_ended || self.left == 0 {
            self.steps.push("stop".into());
            self.state.stop_root(root);
            self.handle.stop();
            return false;
        }
        self.left -= 1;
        self.step();
        true
    }

    /// Compares the events up to the very end.
    pub fn finish(&mut self) {
        if self.failure.is_none() {
            self.compare(Duration::from_secs(1 << 40), true);
        }
    }

    pub fn report(&self, seed: u64, tree: &Spec) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let mut report = format!("seed {seed}: {failure}\nthe tree:\n{tree}\nthe steps:\n");
        for step in &self.steps {
            let _ = writeln!(report, "  {step}");
        }
        Some(report)
    }
}

/// The driver of a run, an actor beside the tree.
pub async fn drive(mut ctx: Context<()>, run: Arc<Mutex<Run>>) {
    let begin = ctx.now();
    loop {
        let gap = run.lock().unwrap().gap();
        answered(&run, ctx.sleep_unless_stopped(gap)).await;
        if ctx.is_stopping() || !run.lock().unwrap().go_on(ctx.now() - begin) {
            break;
        }
    }
    // The tree stops before its driver does.
    answered(&run, ctx.stopped()).await;
}

/// Awaits `other`, and receives answers meanwhile.
async fn answered(run: &Mutex<Run>, other: impl Future<Output = ()>) {
    let mut other = pin!(other);
    poll_fn(|cx| {
        run.lock().unwrap().poll_waiting(cx);
        other.as_mut().poll(cx)
    })
    .await;
}
