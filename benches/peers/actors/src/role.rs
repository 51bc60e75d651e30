//! The behaviour of actors, the same for all peers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};

use crate::Peer;

/// The behaviour of an actor.
pub enum Role<P: Peer> {
    /// Sums up messages, and passes the gate after `left` of them.
    Count {
        /// The number of messages left.
        left: u64,
        /// The sum.
        sum: u64,
        /// The gate to pass at the end.
        done: Gate,
    },
    /// Forwards each number, decremented, and passes the gate at zero.
    Hand {
        /// The next actor of the ring.
        next: Arc<OnceLock<P::Address>>,
        /// The gate to pass at the end.
        done: Gate,
    },
    /// Forwards each message.
    Stage {
        /// The next stage.
        next: P::Address,
    },
    /// Does nothing until it is stopped.
    Idle {
        /// Passes its gate when the actor is dropped.
        _guard: Guard,
    },
}

impl<P: Peer> Role<P> {
    /// Handles a message.
    pub async fn handle(&mut self, number: u64) {
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

    /// Answers a request.
    pub fn answer(&mut self, number: u64) -> u64 {
        number + 1
    }
}

/// A countdown that notifies a waiter at zero.
#[derive(Clone)]
pub struct Gate {
    left: Arc<AtomicU64>,
    open: Sender<()>,
}

impl Gate {
    /// Creates a gate for `count` passes, and the receiver of the notification.
    pub fn new(count: u64) -> (Gate, Receiver<()>) {
        let (open, wait) = async_channel::bounded(1);
        (Gate { left: Arc::new(AtomicU64::new(count)), open }, wait)
    }

    /// Counts one pass.
    pub fn pass(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The waiter may be gone.
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
