//! The actor runtime: supervised actors with bounded mailboxes, on smol.
//!
//! The runtime knows no socket, role or flag. It keeps the rules and the words of Erlang/OTP.
//! `docs/otp.md` in the repository compares it with OTP's own test cases one by one, and lists the
//! differences.
//!
//! # Overview
//!
//! | to | use |
//! |---|---|
//! | write an actor | [`Actor`] or an async closure, with a [`Context`] |
//! | wait for messages, I/O and a stop request at once | [`Context::next`] returns an [`Event`] |
//! | wait for messages only | [`Context::recv`] |
//! | send to an actor | [`Address::send`], [`Address::try_send`] |
//! | ask an actor | [`Address::ask`] with a [`Reply`] in the message |
//! | bound a mailbox | [`Child::mailbox`], and an [`Overflow`] for messages that do not fit |
//! | specify an actor | [`Child`], with a [`Restart`] and a [`Shutdown`] |
//! | restart actors | [`Supervisor`] with a [`Strategy`], an [intensity] and a [backoff] |
//! | run an actor for each connection | [`Pool`] and [`PoolAddress`] |
//! | start the next child when this one is ready | [`Child::ready_within`], [`Context::ready`] |
//! | end a supervisor with a child | [`Child::significant`] and [`AutoShutdown`] |
//! | add and stop children at run time | [`SupervisorAddress`] |
//! | be notified of an exit, share an exit | [`Address::monitor`], [`Context::link`] |
//! | send a message to oneself later | [`Context::send_after`], [`Context::send_every`] |
//! | sleep, limit the time of I/O | [`Context::sleep`], [`Context::timeout`] |
//! | run blocking work in order | [`JobQueue`] |
//! | run a tree | [`System`]; its [`Handle`] stops and inspects it from other threads |
//! | observe a tree | [`Lifecycle`] events, by [`System::observe`] or [`Handle::events`] |
//! | inspect a tree | [`Handle::tree`]: a [`Snapshot`] as a table, JSON or a graph |
//! | find an actor that blocks its thread | [`System::stall_limit`] |
//! | test a tree | `sockactors::testing::Simulation`: a seed, a virtual clock, faults |
//!
//! [intensity]: Supervisor::intensity
//! [backoff]: Supervisor::backoff
//!
//! The names in other systems:
//!
//! | here | Erlang/OTP | tokio |
//! |---|---|---|
//! | [`Actor`], [`Context`] | process, `gen_server` | task with a receive loop |
//! | [`Address`] | pid, registered name | `mpsc::Sender`, but it survives the task |
//! | [`Address::ask`], [`Reply`] | `gen_server:call` | `oneshot` channel in a message |
//! | [`Supervisor`], [`Child`] | `supervisor`, child specification | none |
//! | [`Pool`] | `simple_one_for_one` supervisor | `JoinSet` with a `Semaphore` |
//! | [`Address::monitor`], [`Context::link`] | `monitor`, `link` | `JoinHandle` |
//! | stop request, [`Context::stopped`] | exit signal `shutdown` | `CancellationToken` |
//! | [`System`] | application | `Runtime` |
//!
//! # The life of an actor
//!
//! A [`Child`] is a specification: a name, a factory and options. Its supervisor starts an
//! *incarnation* of it: the factory creates the actor, and a task of its own runs it. The child has
//! started when the factory returns, or when the actor calls [`Context::ready`]. Then the next
//! child is started. If a child fails at the first start, the children before it are stopped in
//! reverse order, and the supervisor itself has failed to start.
//!
//! An incarnation ends with an [`Exit`]. The exit is normal if the actor returns `Ok`. It is
//! abnormal if the actor returns an error, panics or is dropped. The exit of a
//! [linked](Context::link) actor ends it too, unless that actor returned `Ok` by itself.
//!
//! | [`Restart`] | after a normal exit | after an abnormal exit |
//! |---|---|---|
//! | [`Permanent`](Restart::Permanent) | restarted | restarted |
//! | [`Transient`](Restart::Transient) | not restarted | restarted |
//! | [`Temporary`](Restart::Temporary) | not restarted | not restarted |
//!
//! The [`Strategy`] says which other children are restarted too. These are stopped first, in
//! reverse order. If there are more restarts than the intensity allows, the supervisor stops all
//! its children and ends abnormally, and its own supervisor decides.
//!
//! The mailbox belongs to the child, not to the incarnation. The messages that wait in it at a
//! crash are handled by the next incarnation. Only the message that the actor was handling is lost,
//! and the exit's event contains [its number and type](LostMessage).
//!
//! A stop request does not go through the mailbox. [`Context::next`] returns it before anything
//! else. [`Context::recv`] returns the messages that were in the mailbox at that time, and then
//! `None`. An actor that has not ended after its [`Shutdown`] timeout is dropped.
//!
//! # Examples
//!
//! This example shows an actor that crashes at its first message. Its next incarnation handles the
//! second one.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};
//!
//! let incarnations = Arc::new(AtomicU32::new(0));
//! let counter = incarnations.clone();
//! let mut tree = Supervisor::new("example", Strategy::OneForOne);
//! let worker = tree.child(Child::new("worker", move || {
//!     let counter = counter.clone();
//!     async move |mut ctx: Context<&'static str>| -> Outcome {
//!         counter.fetch_add(1, Ordering::Relaxed);
//!         match ctx.recv().await {
//!             Some("crash") => panic!("asked to crash"),
//!             _ => Ok(()),
//!         }
//!     }
//! }).transient().significant());
//! worker.try_send("crash").unwrap();
//! worker.try_send("return").unwrap();
//! System::new().run(tree).unwrap();
//! assert_eq!(incarnations.load(Ordering::Relaxed), 2);
//! ```
//!
//! This example shows a mailbox that drops its oldest messages: of ten readings the last three are
//! kept.
//!
//! ```
//! use sockactors::runtime::{Child, Context, Outcome, Overflow, Strategy, Supervisor, System};
//!
//! let mut tree = Supervisor::new("example", Strategy::OneForOne);
//! let display = Child::new("display", || async |mut ctx: Context<u32>| -> Outcome {
//!     let mut readings = Vec::new();
//!     while readings.len() < 3 {
//!         readings.extend(ctx.recv().await);
//!     }
//!     assert_eq!(readings, [7, 8, 9]);
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
//! This example shows children that depend on each other. When `store` fails, `clerk` is restarted
//! with it, because `clerk` was started after it. The actor `door` was started before and keeps
//! running.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use sockactors::runtime::{Child, Context, Lifecycle, Outcome, Strategy, Supervisor, System};
//!
//! async fn live(mut ctx: Context<()>) -> Outcome {
//!     ctx.stopped().await;
//!     Ok(())
//! }
//!
//! async fn store(mut ctx: Context<&'static str>) -> Outcome {
//!     match ctx.recv().await {
//!         Some(order) => Err(order.into()),
//!         None => Ok(()),
//!     }
//! }
//!
//! let mut tree = Supervisor::new("shop", Strategy::RestForOne);
//! tree.child(Child::new("door", || live));
//! let orders = tree.child(Child::new("store", || store));
//! tree.child(Child::new("clerk", || live));
//!
//! let log = Arc::new(Mutex::new(Vec::new()));
//! let events = log.clone();
//! let system = System::new();
//! let handle = system.handle();
//! let system = system.observe(move |event: &Lifecycle| {
//!     let text = event.to_string();
//!     if text == "shop/clerk started, incarnation 2" {
//!         handle.stop();
//!     }
//!     events.lock().unwrap().push(text);
//! });
//! orders.try_send("out of stock").unwrap();
//! system.run(tree).unwrap();
//!
//! let log = log.lock().unwrap();
//! let restarts: Vec<_> = log.iter().filter(|event| event.ends_with("incarnation 2")).collect();
//! assert_eq!(
//!     restarts,
//!     ["shop/store started, incarnation 2", "shop/clerk started, incarnation 2"]
//! );
//! ```
//!
//! # Inside
//!
//! Roughly from the lowest to the highest. A file imports only files below it, without cycles.
//!
//! | folder | content |
//! |---|---|
//! | `executor` | time, tasks and random numbers: the only place that a simulation replaces |
//! | `tree` | the node of each child, which outlives incarnations: path, state, control signal |
//! | `mailbox` | the bounded queue of each child, and replies |
//! | `address` | the sending half of a mailbox |
//! | `context` | the receiving half of a mailbox, with timers and the stop request |
//! | `lifecycle` | events, exits, panics, and the future that drives an incarnation |
//! | `supervisor`, `pool` | specifications of children; the rules to start and restart them |
//! | `system` | the threads and signals that a tree runs on |
//! | `sim` | the simulated executor and its faults |

mod actor;
mod address;
mod context;
mod executor;
mod job_queue;
pub(crate) mod json;
mod lifecycle;
mod mailbox;
mod monitor;
mod pool;
mod sim;
mod supervisor;
mod system;
mod tree;

pub use actor::{Actor, BoxError, Closure, IntoActor, IsActor, IsClosure, Outcome};
pub use address::Address;
pub use address::error::{AskError, SendError};
pub use context::timers::TimerId;
pub use context::{Context, Event};
pub(crate) use executor::exponential_delay;
pub(crate) use executor::futures::wait_until;
pub use executor::worker::Placement;
pub use executor::{Clock, Sleep};
pub use job_queue::JobQueue;
pub use lifecycle::event::{Lifecycle, LostMessage};
pub use lifecycle::exit::Exit;
pub use lifecycle::observer::Events;
pub use lifecycle::panic::record_backtraces;
pub use mailbox::Overflow;
pub use mailbox::reply::Reply;
pub use monitor::{Monitor, NotRunning};
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
pub use tree::path::Path;
pub use tree::snapshot::{NodeKind, NodeState, Snapshot};
