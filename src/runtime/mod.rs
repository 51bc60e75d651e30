//! The actor runtime: supervised actors on a smol executor.
//!
//! It knows no socket, no role and no flag. What Erlang/OTP proved is kept, with its words:
//!
//! - An [`Actor`] is a value with private state and a `run` loop. It is started by its supervisor, with a
//!   [`Context`] that brings messages, I/O and the stop in one await ([`Context::next`]).
//! - An [`Address`] sends to a bounded mailbox, which belongs to the tree and outlives each incarnation.
//! - A [`Supervisor`] starts its [`Child`]ren in order, restarts them by a [`Strategy`] within an
//!   intensity, and stops them in reverse, each within its [`Shutdown`].
//! - A [`Pool`] supervises many alike, short-lived children, a connection each.
//! - A [`System`] runs a tree until it ends or a signal asks for the end, and tells each [`Lifecycle`]
//!   event on the way.
//!
//! Time, tasks and chance come through one seam (`scheduler`), and control never shares the mailbox
//! (`control`).
//!
//! # Examples
//!
//! This example shows an actor that crashes at its first message, and is there for the second.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use std::sync::Arc;
//! use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};
//!
//! let lives = Arc::new(AtomicU32::new(0));
//! let counted = lives.clone();
//! let mut tree = Supervisor::new("example", Strategy::OneForOne);
//! let brittle = tree.child(Child::new("brittle", move || {
//!     let counted = counted.clone();
//!     async move |mut ctx: Context<&'static str>| -> Outcome {
//!         counted.fetch_add(1, Ordering::Relaxed);
//!         match ctx.recv().await {
//!             Some("crash") => panic!("as you say"),
//!             _ => Ok(()),
//!         }
//!     }
//! }).transient().significant());
//! brittle.try_send("crash").unwrap();
//! brittle.try_send("be well").unwrap();
//! System::new().run(tree).unwrap();
//! assert_eq!(lives.load(Ordering::Relaxed), 2);
//! ```

mod actor;
mod address;
mod admin;
mod administer;
mod child;
mod context;
mod control;
#[cfg(test)]
#[path = "control/tests.rs"]
mod control_tests;
mod desk;
mod exit;
#[cfg(feature = "testing")]
mod fault;
mod guard;
mod handle;
mod intensity;
mod lifecycle;
mod mailbox;
mod node;
mod observer;
mod path;
mod pool;
mod pool_children;
mod render;
mod reply;
#[cfg(test)]
#[path = "reply/tests.rs"]
mod reply_tests;
mod request;
mod restart;
mod scheduler;
mod spec;
mod stall;
mod stopping;
mod supervise;
mod supervisor;
mod sync;
mod system;
mod timers;
mod tree;
mod until;
mod vitals;
#[cfg(feature = "testing")]
mod world;

pub use actor::{Actor, BoxError, Closure, IntoActor, IsActor, IsClosure, Outcome};
pub use address::{Address, AskError, SendError};
pub use admin::{AdminError, ChildInfo, Counts, SupervisorAddress};
pub use child::{Child, Restart, Shutdown};
pub use context::{Context, Event};
pub use desk::Desk;
pub use exit::Exit;
#[cfg(feature = "testing")]
pub use fault::{Edge, Fault, Turn};
pub use guard::record_backtraces;
pub use handle::Handle;
pub use lifecycle::{Lifecycle, Lost};
pub use mailbox::Overflow;
pub use observer::Events;
pub use path::Path;
pub use pool::{Pool, PoolAddress, PoolClosed};
pub use reply::Reply;
pub use scheduler::{Clock, Sleep};
pub use supervisor::{AutoShutdown, Strategy, Supervisor};
pub use system::{Ended, System};
pub use timers::TimerId;
pub use tree::{Kind, Snapshot, State};
pub(crate) use until::until;
pub use vitals::{NotAlive, Watch};
#[cfg(feature = "testing")]
pub(crate) use world::World;
