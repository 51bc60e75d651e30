//! One run: the library's tree and the model's, side by side.
//!
//! After each step virtual time passes, which it only does when nothing can run any more. Then what was told,
//! what was answered and what can be seen of the tree have to be the same on both sides.

use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use sockactors::runtime::{Context, Handle};

use super::events::Told;
use super::generate::Grower;
use super::observed::Seen;
use super::spec::Plan;
use super::state::{Id, World};

type Answer = Pin<Box<dyn Future<Output = String> + Send>>;

/// Who is to be killed at its next turn: path and incarnation.
pub type Doomed = Arc<Mutex<Vec<(String, u32)>>>;

pub struct Run {
    pub grower: Grower,
    pub world: World,
    pub root: Id,
    pub handle: Handle,
    pub doomed: Doomed,
    seen: Arc<Mutex<Vec<Told>>>,
    /// What was done, for the report.
    pub steps: Vec<String>,
    pub left: u32,
    waiting: Vec<(usize, Answer)>,
    answers: Vec<(usize, String)>,
    pub asked: usize,
    /// Whether the time that passes was drawn to end together with something.
    pub is_edge: bool,
    pub failure: Option<String>,
}

impl Run {
    pub fn new(
        mut grower: Grower,
        root: &Arc<Plan>,
        handle: Handle,
        seen: Arc<Mutex<Vec<Told>>>,
    ) -> Run {
        let mut world = World::default();
        let id = world.place(root, None);
        world.begin_root(id);
        let left = grower.dice.u32(4..16);
        Run {
            grower,
            world,
            root: id,
            handle,
            doomed: Doomed::default(),
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

    /// Notes a request that is to be sent, and returns its number.
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

    /// Compares both sides, which have come to `now`.
    fn compare(&mut self, now: Duration, is_last: bool) {
        let root = self.root;
        self.world.seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let seen = Seen {
            answers: std::mem::take(&mut self.answers),
            tree: self.handle.tree().filter(|_| !is_last),
        };
        let before = self.world.clone();
        self.world.pass(now);
        let faults = seen.faults(&self.world, root);
        if !faults.is_empty() {
            let accept = |world: &World| seen.faults(world, root).is_empty();
            match before.pass_as_seen(now, &accept, &mut 10_000) {
                Some(passed) => {
                    self.world = passed;
                    self.world.tally.count("in another order");
                }
                None if self.failure.is_none() => self.failure = Some(faults.join("\n")),
                None => {}
            }
        }
        self.world.told.clear();
        self.world.answers.clear();
    }

    /// Tells whether anything else happens at the very moment that the driver drew to hit something on.
    fn is_beside_others(&self, now: Duration) -> bool {
        let mut world = self.world.clone();
        world.seen.clone_from(&self.seen.lock().unwrap());
        world.pass(now.saturating_sub(Duration::from_nanos(1)));
        world.next_timer() == Some(now)
    }

    /// Compares, and takes the next step or stops the tree; tells whether there was a step.
    fn go_on(&mut self, now: Duration) -> bool {
        if self.is_edge && self.is_beside_others(now) {
            return true;
        }
        self.compare(now, false);
        let root = self.root;
        let is_over = self.world.nodes[root].desk.iter().all(|desk| desk.children.is_empty());
        if is_over {
            self.world.tally.count("the tree ended by itself");
        }
        if self.failure.is_some() || is_over || self.left == 0 {
            self.steps.push("stop".into());
            self.world.stop_root(root);
            self.handle.stop();
            return false;
        }
        self.left -= 1;
        self.step();
        true
    }

    /// Compares what came to pass until the very end.
    pub fn finish(&mut self) {
        if self.failure.is_none() {
            self.compare(Duration::from_secs(1 << 40), true);
        }
    }

    pub fn report(&self, seed: u64, tree: &Plan) -> Option<String> {
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

/// Awaits `other`, and has the answers come in meanwhile.
async fn answered(run: &Mutex<Run>, other: impl Future<Output = ()>) {
    let mut other = pin!(other);
    poll_fn(|cx| {
        run.lock().unwrap().poll_waiting(cx);
        other.as_mut().poll(cx)
    })
    .await;
}
