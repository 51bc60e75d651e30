//! What an actor does with a message, whoever runs it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};

use crate::Peer;

/// What an actor does with its messages.
pub enum Role<P: Peer> {
    /// Adds them up, and says when there were so many.
    Count {
        /// How many are to come.
        left: u64,
        /// The sum.
        sum: u64,
        /// Where it is said.
        done: Gate,
    },
    /// Hands each on to the next one, one less; says when it is none.
    Hand {
        /// The next one in the circle.
        next: Arc<OnceLock<P::Address>>,
        /// Where it is said.
        done: Gate,
    },
    /// Hands each on as it is.
    Stage {
        /// The next stage.
        next: P::Address,
    },
    /// Waits for its end.
    Idle {
        /// Says when the last one is gone.
        _guard: Guard,
    },
}

impl<P: Peer> Role<P> {
    /// Heeds a message.
    pub async fn heed(&mut self, number: u64) {
        match self {
            Role::Count { left, sum, done } => {
                *sum = sum.wrapping_add(number);
                *left -= 1;
                if *left == 0 {
                    done.pass();
                }
            }
            Role::Hand { next, done } => match (number, next.get()) {
                (1.., Some(next)) => P::tell(next, number - 1).await,
                _ => done.pass(),
            },
            Role::Stage { next } => P::tell(next, number).await,
            Role::Idle { .. } => {}
        }
    }

    /// Answers a question.
    pub fn answer(&mut self, number: u64) -> u64 {
        number + 1
    }
}

/// Where somebody waits until so many have passed.
#[derive(Clone)]
pub struct Gate {
    left: Arc<AtomicU64>,
    open: Sender<()>,
}

impl Gate {
    /// Makes a gate for so many, and what waits for the last of them.
    pub fn new(count: u64) -> (Gate, Receiver<()>) {
        let (open, wait) = async_channel::bounded(1);
        (Gate { left: Arc::new(AtomicU64::new(count)), open }, wait)
    }

    /// Passes.
    pub fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Whoever does not wait any more need not know.
            let _ = self.open.try_send(());
        }
    }
}

/// Passes its gate when it is dropped.
pub struct Guard(pub Gate);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.pass();
    }
}
