//! The runtime's own lock-free code, in every order that threads can bring about.
//!
//! Three source files of the runtime synchronise threads by themselves: the control signal, by an atomic level
//! and two wakers behind a mutex, the way back of a question, by a slot behind a mutex, and the queue of a mailbox, by a ring behind
//! another. All take what they synchronise
//! with from their neighbour `sync`. Here they are included as they are, beside another `sync`, of `loom`'s
//! stand-ins; loom then runs each test once for every interleaving of its threads and every value that a
//! relaxed load may see, and fails where all of them wait, which is what a lost wake-up looks like. Three threads
//! have too many interleavings, so they are preempted a limited number of times.
//!
//! Everything else is built on other crates. A pool's changes are an `event-listener`, which has a loom suite of its
//! own (`tests/loom.rs` there). The turns of a thread are a queue behind a lock that nobody waits at, and the tasks in it
//! `async-task`'s. Both are run by Miri, with its
//! weak memory and its data race detector: `make miri`.

// The sources under test, included from the library.
#[path = "../../src/runtime/tree/control.rs"]
#[allow(dead_code, reason = "the library uses all of it, a model does not")]
mod control;
#[path = "../../src/runtime/mailbox/queue.rs"]
#[allow(dead_code, reason = "the library uses all of it, a model does not")]
mod queue;
#[path = "../../src/runtime/mailbox/reply.rs"]
mod reply;

// Loom's types, under the path by which the sources import them.
pub mod sync;

// The tests of the control signal.
#[path = "control.rs"]
mod of_control;
// The tests of a mailbox's queue.
#[path = "queue.rs"]
mod of_queue;
// The tests of the way back of a question.
#[path = "reply.rs"]
mod of_reply;
