//! Administration at run time: the children of a supervisor that runs.
//!
//! A [`SupervisorAddress`] adds, removes, stops, starts and lists them, with the words, the rules and the
//! errors of Erlang/OTP's `supervisor` (`start_child`, `delete_child`, `terminate_child`, `restart_child`,
//! `which_children`, `count_children`). Requests have a bounded queue of their own. They are answered while a
//! child pauses before its restart or takes its time to start, and wait only while one is being stopped.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_channel::Sender;
use thiserror::Error;

use crate::runtime::mailbox::reply;
use crate::runtime::mailbox::reply::Reply;
use crate::runtime::supervisor::request::Request;
use crate::runtime::tree::node::Node;
use crate::runtime::{
    Actor, Address, Child, Exit, NodeKind, NodeState, Pool, PoolAddress, Restart, Shutdown,
    Supervisor,
};

/// Why a request to a supervisor was refused. Erlang/OTP's word for it is in parentheses.
#[derive(Error, Debug, Clone)]
#[non_exhaustive]
pub enum AdminError {
    /// There is no child of this name (`not_found`).
    #[error("there is no such child")]
    NotFound,
    /// The child runs (`running`).
    #[error("the child is running")]
    Running,
    /// The child is about to be started again, or is being started (`restarting`).
    #[error("the child is being restarted")]
    Restarting,
    /// A child of this name runs already (`already_started`).
    #[error("a child of this name is already started")]
    AlreadyStarted,
    /// A child of this name is there, though it does not run (`already_present`).
    #[error("a child of this name is already present")]
    AlreadyPresent,
    /// The specification contradicts itself or its supervisor (`bad_combination`).
    #[error("{0}")]
    Misconfigured(Arc<str>),
    /// The child did not start: how it ended.
    #[error("the child did not start: {0}")]
    StartFailed(Exit),
    /// The supervisor does not run at the moment, or it or the child came to an end before this was answered
    /// (`noproc`). A supervisor that has not started yet, or is about to be restarted, is waited for.
    #[error("the supervisor is gone")]
    Unavailable,
}

/// A child, as its supervisor has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// What it is doing.
    pub state: NodeState,
    /// How often it was started again.
    pub restarts: u32,
    /// When it is started again.
    pub restart: Restart,
    /// How it is brought to its end.
    pub shutdown: Shutdown,
    /// Whether it is significant.
    pub significant: bool,
}

/// How many children a supervisor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChildCounts {
    /// All, whether they run or not.
    pub specs: usize,
    /// Those that run.
    pub active: usize,
    /// Those that are supervisors or pools.
    pub supervisors: usize,
    /// Those that are actors.
    pub workers: usize,
}

/// Where a supervisor's children are administered: a cheap, cloneable handle, made by
/// [`Supervisor::address`]. It stays valid over restarts of the supervisor, which begin anew with the children
/// of the specification: those that were added are lost, as in Erlang/OTP.
///
/// Requests wait until the supervisor runs. An actor that asks its own supervisor to end it waits for an
/// answer that cannot come while it lives; it had better end by itself.
///
/// # Examples
///
/// This example shows a child that is added, stopped, started again and removed.
///
/// ```
/// use sockactors::runtime::{
///     AdminError, Child, Context, Outcome, NodeState, Strategy, Supervisor, System,
/// };
///
/// async fn live(mut ctx: Context<()>) -> Outcome {
///     ctx.stopped().await;
///     Ok(())
/// }
///
/// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
/// let shop = tree.address();
/// tree.child(Child::new("manager", move || {
///     let shop = shop.clone();
///     async move |_: Context<()>| -> Outcome {
///         let clerk = shop.add(Child::new("clerk", || live)).await?;
///         assert!(!clerk.is_closed());
///         assert!(matches!(shop.restart("clerk").await, Err(AdminError::Running)));
///         assert_eq!(shop.child("clerk").await?.state, NodeState::Running);
///         assert!(matches!(shop.child("cook").await, Err(AdminError::NotFound)));
///         shop.terminate("clerk").await?;
///         let count = shop.count().await?;
///         assert_eq!((count.specs, count.active), (2, 1));
///         shop.restart("clerk").await?;
///         shop.terminate("clerk").await?;
///         shop.remove("clerk").await?;
///         assert!(clerk.is_closed());
///         Ok(())
///     }
/// }).transient().significant());
/// System::new().run(tree).unwrap();
/// ```
#[derive(Clone)]
pub struct SupervisorAddress {
    pub(crate) sender: Sender<Request>,
    pub(crate) node: Arc<OnceLock<Arc<Node>>>,
}

impl SupervisorAddress {
    /// Adds a child behind the others and starts it; returns its address once it has started, or chosen not
    /// to run. Inside an `async` block the compiler wants the actor's function to have a name: a closure there
    /// is not general enough for it.
    ///
    /// # Errors
    ///
    /// There is a child of this name, the specification does not fit the supervisor, or the start failed. The
    /// specification is not kept then.
    pub async fn add<A: Actor>(&self, child: Child<A>) -> Result<Address<A::Message>, AdminError> {
        let (address, spec) = child.build();
        self.request_change(|reply| Request::Add(spec, reply)).await?;
        Ok(address)
    }

    /// Adds a pool; see [`SupervisorAddress::add`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn add_pool(&self, pool: Pool) -> Result<PoolAddress, AdminError> {
        let (address, spec) = pool.build();
        self.request_change(|reply| Request::Add(spec, reply)).await?;
        Ok(address)
    }

    /// Adds a supervisor, which has started when all its children have; see [`SupervisorAddress::add`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn add_supervisor(&self, supervisor: Supervisor) -> Result<(), AdminError> {
        let spec = Arc::new(supervisor.build());
        self.request_change(|reply| Request::Add(spec, reply)).await
    }

    /// Forgets a child that does not run, and closes its mailbox, unless a restart of the supervisor may bring
    /// the child back.
    ///
    /// # Errors
    ///
    /// There is no such child, or it runs, or is about to.
    pub async fn remove(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Remove(name.into(), reply)).await
    }

    /// Stops a child by its shutdown, or calls its restart off, with that of its group, and keeps its
    /// specification unless it is temporary. One that does not run is left as it is.
    ///
    /// # Errors
    ///
    /// There is no such child.
    pub async fn terminate(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Terminate(name.into(), reply)).await
    }

    /// Starts a child again that does not run.
    ///
    /// # Errors
    ///
    /// There is no such child, it runs or is about to, or the start failed: then it is left at rest.
    pub async fn restart(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Restart(name.into(), reply)).await
    }

    /// Lists the children in the order of their start.
    ///
    /// # Errors
    ///
    /// The supervisor is gone.
    pub async fn children(&self) -> Result<Vec<ChildInfo>, AdminError> {
        self.ask(Request::List).await
    }

    /// Returns one child.
    ///
    /// # Errors
    ///
    /// There is no such child.
    pub async fn child(&self, name: &str) -> Result<ChildInfo, AdminError> {
        self.ask(|reply| Request::Find(name.into(), reply)).await?
    }

    /// Counts the children.
    ///
    /// # Errors
    ///
    /// The supervisor is gone.
    pub async fn count(&self) -> Result<ChildCounts, AdminError> {
        self.ask(Request::Count).await
    }

    async fn request_change(
        &self,
        request: impl FnOnce(Reply<Result<(), AdminError>>) -> Request,
    ) -> Result<(), AdminError> {
        self.ask(request).await?
    }

    async fn ask<R>(&self, request: impl FnOnce(Reply<R>) -> Request) -> Result<R, AdminError> {
        let is_gone = || {
            let node = self.node.get();
            node.is_some_and(|node| node.state() == NodeState::Idle && node.incarnation() > 0)
        };
        if is_gone() {
            return Err(AdminError::Unavailable);
        }
        let (reply, answer) = reply::channel();
        self.sender.send(request(reply)).await.map_err(|_| AdminError::Unavailable)?;
        // It may have come to rest, and refused what waited, just before.
        if is_gone() {
            return Err(AdminError::Unavailable);
        }
        answer.recv().await.ok_or(AdminError::Unavailable)
    }
}

impl fmt::Debug for SupervisorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node.get() {
            Some(node) => write!(f, "SupervisorAddress({})", node.path()),
            None => f.write_str("SupervisorAddress"),
        }
    }
}
