//! The runtime's lock-free code, in every interleaving of its threads.
//!
//! Three source files of the runtime synchronise threads by themselves: the control signal, the
//! mailbox queue and the reply channel. They take their atomics and locks from a module `sync`.
//! Here the files are included as they are, with loom's replacements in place of that module. Loom
//! runs each test once for every interleaving and for every value that a relaxed load may return. A
//! lost wake-up shows as a deadlock. Three threads have too many interleavings, so their number of
//! preemptions is limited.
//!
//! Everything else is built on other crates. A pool's changes use `event-listener`, which has its
//! own loom tests. A worker's run queue is a queue behind a lock, and its tasks are `async-task`'s.
//! Miri checks both with its weak memory model and its data race detector: `make miri`.

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
mod control_tests;
// The tests of the mailbox queue.
#[path = "queue.rs"]
mod queue_tests;
// The tests of the reply channel.
#[path = "reply.rs"]
mod reply_tests;
