//! The actor runtime: supervised actors on smol. This page is the whole of it.
//!
//! It knows no socket, no role and no flag. What Erlang/OTP proved is kept, with its words; `docs/otp.md` in
//! the repository holds it against OTP's own test cases, one by one, and says where it differs.
//!
//! | to | there is |
//! |---|---|
//! | write an actor | [`Actor`], or a closure; [`Context`] brings mail, I/O and the stop in one await, [`Context::next`] |
//! | reach an actor | [`Address`]: [`send`](Address::send), [`try_send`](Address::try_send), [`ask`](Address::ask); it outlives every crash |
//! | bound its mail | [`Child::mailbox`], and an [`Overflow`] for what finds it full |
//! | keep actors alive | [`Supervisor`] with a [`Strategy`], an [intensity](Supervisor::intensity), a [backoff](Supervisor::backoff); [`Child`] with a [`Restart`] and a [`Shutdown`] |
//! | have many alike | [`Pool`], a connection each |
//! | start in order | [`Child::ready_within`] and [`Context::ready`] |
//! | end with a child | [`Child::significant`] and [`AutoShutdown`] |
//! | change a tree that runs | [`SupervisorAddress`] |
//! | learn of an end | [`Address::monitor`], [`Context::link`] |
//! | do something later | [`Context::send_after`], [`Context::send_every`], [`Context::sleep`] |
//! | do blocking work | [`JobQueue`] |
//! | run it | [`System`]; [`Handle`] stops it and looks at it from outside |
//! | see it | [`Lifecycle`] events to an [observer](System::observe) or as a [stream](Handle::events); a [`Snapshot`] as a table, [JSON](Snapshot::to_json) or a [graph](Snapshot::to_dot); a [stall limit](System::stall_limit) |
#![cfg_attr(
    feature = "testing",
    doc = "| test it | [`Simulation`](crate::testing::Simulation): a seed, a virtual clock, faults |"
)]
//!
//! # How a life goes
//!
//! A [`Child`] is a specification: a name, a factory, and rules. Its supervisor makes an *incarnation* of it: the
//! factory makes the actor, and a task of its own runs it. The child has started when the factory is through,
//! or when the actor [says so](Child::ready_within); then the next one is started. If one of them fails to
//! start at first, those before it are stopped in reverse, and the supervisor itself has failed to start.
//!
//! An incarnation ends with an [`Exit`]: it returns `Ok` (normal), or it returns an error, panics, is dropped,
//! or a [linked](Context::link) actor ends (abnormal). A permanent child is then started again, a transient
//! one after an abnormal exit only, a temporary one never; with it, by the [`Strategy`], the rest of its
//! group, once they have been stopped in reverse. More restarts than the intensity allows, and the supervisor
//! stops all its children and ends abnormally, for its own supervisor to decide.
//!
//! The mailbox is the child's and not the incarnation's: what waits in it at a crash is handled by the next
//! incarnation. What the actor had in hand is lost, and the event of the exit [says which](LostMessage) message it
//! was.
//!
//! A stop is a level beside the mailbox. [`Context::next`] tells it before anything else, [`Context::recv`]
//! after the messages that waited by then; an actor that has not ended after its [`Shutdown`] is dropped where it is.
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
//!
//! This example shows a queue that rather forgets than waits: of ten readings only the last three are kept.
//!
//! ```
//! use sockactors::runtime::{Child, Context, Outcome, Overflow, Strategy, Supervisor, System};
//!
//! let mut tree = Supervisor::new("example", Strategy::OneForOne);
//! let display = Child::new("display", || async |mut ctx: Context<u32>| -> Outcome {
//!     let mut shown = Vec::new();
//!     while shown.len() < 3 {
//!         shown.extend(ctx.recv().await);
//!     }
//!     assert_eq!(shown, [7, 8, 9]);
//!     Ok(())
//! });
//! let display = display.mailbox(3).overflow(Overflow::DropOldest).transient().significant();
//! let display = tree.child(display);
//! for reading in 0..10 {
//!     display.try_send(reading).unwrap();
//! }
//! System::new().run(tree).unwrap();
//! ```
//!
//! This example shows children that depend on each other: when the store fails, the clerk behind it is started
//! again with it, and not the shop's door before it.
//!
//! ```
//! use sockactors::runtime::{Child, Context, Lifecycle, Outcome, Strategy, Supervisor, System};
//! use std::sync::{Arc, Mutex};
//!
//! async fn live(mut ctx: Context<()>) -> Outcome {
//!     ctx.stopped().await;
//!     Ok(())
//! }
//!
//! let mut tree = Supervisor::new("shop", Strategy::RestForOne);
//! tree.child(Child::new("door", || live));
//! let store = tree.child(Child::new("store", || async |mut ctx: Context<&'static str>| -> Outcome {
//!     match ctx.recv().await {
//!         Some(order) => Err(order.into()),
//!         None => Ok(()),
//!     }
//! }));
//! tree.child(Child::new("clerk", || live));
//! let log = Arc::new(Mutex::new(Vec::new()));
//! let seen = log.clone();
//! let system = System::new();
//! let handle = system.handle();
//! let system = system.observe(move |event: &Lifecycle| {
//!     seen.lock().unwrap().push(event.to_string());
//!     if event.to_string() == "shop/clerk started, incarnation 2" {
//!         handle.stop();
//!     }
//! });
//! store.try_send("out of stock").unwrap();
//! system.run(tree).unwrap();
//! let log = log.lock().unwrap();
//! let again: Vec<_> = log.iter().filter(|event| event.ends_with("incarnation 2")).collect();
//! assert_eq!(again, ["shop/store started, incarnation 2", "shop/clerk started, incarnation 2"]);
//! ```
//!
//! # Inside
//!
//! Time, tasks and chance come through one seam (`scheduler`), control never shares the mailbox (`control`),
//! and what outlives incarnations is in the child's place in the tree (`node`).

mod actor;
mod address;
mod context;
mod executor;
mod job_queue;
pub(crate) mod json;
mod lifecycle;
mod mailbox;
mod pool;
mod sim;
mod supervisor;
mod system;
mod tree;

pub use actor::{Actor, BoxError, Closure, IntoActor, IsActor, IsClosure, Outcome};
pub use address::{Address, AskError, SendError};
pub use context::timers::TimerId;
pub use context::{Context, Event};
pub(crate) use executor::until::wait_until;
pub use executor::{Clock, Sleep};
pub use job_queue::JobQueue;
pub use lifecycle::event::{Lifecycle, LostMessage};
pub use lifecycle::exit::Exit;
pub use lifecycle::observer::Events;
pub use lifecycle::panic::record_backtraces;
pub use mailbox::Overflow;
pub use mailbox::reply::Reply;
pub use pool::children::PoolClosed;
pub use pool::{Pool, PoolAddress};
#[cfg(feature = "testing")]
pub(crate) use sim::executor::SimExecutor;
#[cfg(feature = "testing")]
pub use sim::fault::{Fault, MessageInfo, PollInfo};
pub use supervisor::Supervisor;
pub use supervisor::admin::SupervisorAddress;
pub use supervisor::child::Child;
pub use supervisor::config::{AutoShutdown, Strategy};
pub use supervisor::options::{Restart, Shutdown};
pub use supervisor::request::{AdminError, ChildCounts, ChildInfo};
pub use system::handle::Handle;
pub use system::{StopReason, System};
pub use tree::liveness::{Monitor, NotRunning};
pub use tree::path::Path;
pub use tree::snapshot::{NodeKind, NodeState, Snapshot};
