//! The runtime's own lock-free code, in every order that threads can bring about.
//!
//! Two source files of the runtime synchronise threads by themselves: the control signal, by an atomic level
//! and two wakers, and the way back of a question, by a slot behind a mutex. Both take what they synchronise
//! with from their neighbour `sync`. Here they are included as they are, beside another `sync`, of `loom`'s
//! stand-ins; loom then runs each test once for every interleaving of its threads and every value that a
//! relaxed load may see, and fails where all of them wait, which is what a lost wake-up looks like. Three threads
//! have too many interleavings, so they are preempted a limited number of times.
//!
//! Everything else is built on other crates. A mailbox is an `async-channel`, which is made of a
//! `concurrent-queue` and of `event-listener`s, a pool's changes are an `event-listener` too, and those two
//! crates have loom suites of their own (`tests/loom.rs` in each). Two of what is below have none:
//! `async-channel` itself, and `atomic-waker`, for which loom has a stand-in of its own, used here. Both are run
//! by Miri, with its weak memory and its data race detector: `make miri`.

#[path = "../src/runtime/control.rs"]
#[allow(dead_code, reason = "the library uses all of it, a model does not")]
mod control;
#[path = "loom/control.rs"]
mod of_control;
#[path = "loom/reply.rs"]
mod of_reply;
#[path = "../src/runtime/reply.rs"]
mod reply;
#[path = "loom/sync.rs"]
mod sync;
