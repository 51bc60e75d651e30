//! The reactor of a worker thread: it sleeps until a descriptor is ready, a timer fires, or another
//! thread notifies it.
//!
//! Each worker of a system has a reactor: an `epoll` (epoll(7)), made when the system starts. On
//! its thread a [`Source`] waits here for a descriptor, and a [`Timer`] for a time. On all other
//! threads both wait in smol's process-wide reactor. A wait that has not ended with its system
//! continues in smol's reactor.
//!
//! ```text
//!   Source --- registry ----.
//!                            +-- epoll --- one epoll_wait(2) for each sleep
//!   Timer ---- timer_queue --+
//!                            |
//!   Waker ---- notifier ----'     an eventfd(2), written only while the thread sleeps
//! ```
//!
//! It exists because it makes fewer system calls. Smol's reactor needs six for each sleep: it
//! disarms a descriptor after each event, and it sets a timer and checks its notifier before and
//! after each sleep. Here a sleep is one system call:
//!
//! - A descriptor that is waited for repeatedly stays armed. It is disarmed only if it is ready, no
//!   task waits for it, and all woken tasks have been polled. The next wait arms it again.
//! - The time of the next timer is the timeout of the sleep, rounded up to whole milliseconds.
//! - A notification by another thread is one write, and none if this thread is awake.
//!
//! See `docs/performance.md`.

mod epoll;
mod notifier;
mod registry;
mod source;
mod timer;
mod timer_queue;

pub(crate) use epoll::Reactor;
pub(crate) use registry::Direction;
pub(crate) use source::Source;
pub(crate) use timer::Timer;

#[cfg(test)]
mod tests;
