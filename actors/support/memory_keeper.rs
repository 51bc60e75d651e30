//! The memory keeper: disconnects connections when the memory budget is used up.

use std::time::{Duration, Instant};

use crate::actors::support::memory_budget::MemoryBudget;
use crate::actors::support::report::{Report, Reporter};
use crate::runtime::{Actor, Context, Event, Outcome};
use crate::wire::units::format_size;

/// The time between two looks at the holders, while a connection waits for memory.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// An actor that disconnects the connections which hold memory that others wait for.
///
/// It sleeps while nothing waits.
#[derive(Debug)]
pub struct MemoryKeeper {
    budget: MemoryBudget,
    reporter: Reporter,
}

impl MemoryKeeper {
    /// Creates the keeper of a budget.
    pub fn new(budget: MemoryBudget, reporter: Reporter) -> MemoryKeeper {
        MemoryKeeper { budget, reporter }
    }

    /// Warns that connections were disconnected.
    async fn warn(&self, count: usize) {
        let limit = self.budget.limit().unwrap_or_default() as u64;
        let limit = format_size(limit);
        let reason = format!(
            "memory budget of {limit} is used up (--max-memory); connections closed: {count}"
        );
        self.reporter.send(|| Report::Warning { reason }).await;
    }
}

impl Actor for MemoryKeeper {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        let (mut unreported, mut last_warning) = (0, None::<Instant>);
        loop {
            match ctx.next(self.budget.pressure()).await {
                Event::Stop => break,
                Event::Message(()) => continue,
                Event::Io(()) => {}
            }
            unreported += self.budget.evict(ctx.now());
            let is_due = last_warning
                .is_none_or(|last| ctx.now().saturating_duration_since(last) >= WARNING_INTERVAL);
            if unreported > 0 && is_due {
                last_warning = Some(ctx.now());
                self.warn(std::mem::take(&mut unreported)).await;
            }
            ctx.sleep_unless_stopped(CHECK_INTERVAL).await;
        }
        Ok(())
    }
}
