//! Administration at run time: the address of a running supervisor.
//!
//! A [`SupervisorAddress`] adds, removes, stops, starts and lists children, with the words, the
//! rules and the errors of Erlang/OTP's `supervisor`: `start_child`, `delete_child`,
//! `terminate_child`, `restart_child`, `which_children` and `count_children`. Requests have a
//! bounded queue of their own. They are answered while a child waits for its restart or takes time
//! to start. They only wait while a child is being stopped.

use std::fmt;
use std::sync::Arc;

use crate::runtime::actor::Actor;
use crate::runtime::address::Address;
use crate::runtime::mailbox::reply::Reply;
use crate::runtime::pool::{Pool, PoolAddress};
use crate::runtime::supervisor::child::Child;
use crate::runtime::supervisor::request::{
    AdminError, ChildCounts, ChildInfo, Request, RequestSender,
};
use crate::runtime::supervisor::spec::ChildSpec;

/// A cheap, cloneable handle that administers the children of a supervisor, made by
/// [`Supervisor::address`](crate::runtime::Supervisor::address).
///
/// The handle stays valid when the supervisor is restarted. A restarted supervisor begins with the
/// children of its specification: children that were added at run time are lost, as in Erlang/OTP.
///
/// Requests wait until the supervisor runs. An actor must not ask its own supervisor to stop it:
/// the answer would come after its end. To stop itself, an actor returns.
///
/// # Examples
///
/// This example shows a child that is added, stopped, started again and removed.
///
/// ```
/// use sockactors::runtime::{
///     AdminError, Child, Context, NodeState, Outcome, Strategy, Supervisor, System,
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
pub struct SupervisorAddress(RequestSender);

impl SupervisorAddress {
    pub(super) fn new(requests: RequestSender) -> SupervisorAddress {
        SupervisorAddress(requests)
    }

    /// Adds a child after the others and starts it. Returns its address once it has started or has
    /// chosen not to run.
    ///
    /// Inside an `async` block the actor's function must have a name: the compiler rejects a
    /// closure there as not general enough.
    ///
    /// # Errors
    ///
    /// There is a child of this name, the specification does not fit the supervisor, or the start
    /// failed. The specification is not kept then.
    pub async fn add<A: Actor>(&self, child: Child<A>) -> Result<Address<A::Message>, AdminError> {
        let (address, spec) = child.build();
        self.add_spec(spec).await?;
        Ok(address)
    }

    /// Adds a pool, as [`SupervisorAddress::add`] adds a child.
    ///
    /// # Errors
    ///
    /// See [`SupervisorAddress::add`].
    pub async fn add_pool(&self, pool: Pool) -> Result<PoolAddress, AdminError> {
        let (address, spec) = pool.build();
        self.add_spec(spec).await?;
        Ok(address)
    }

    /// Adds a child of any kind, and waits until it has started or has chosen not to run.
    pub(super) async fn add_spec(&self, spec: Arc<dyn ChildSpec>) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Add(spec, reply)).await
    }

    /// Removes a child that is not running. Closes its mailbox, unless a restart of the supervisor
    /// can bring the child back.
    ///
    /// # Errors
    ///
    /// There is no such child, or it is running, starting or about to be restarted.
    pub async fn remove(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Remove(name.into(), reply)).await
    }

    /// Stops a child by its shutdown, or cancels its restart and that of its group.
    ///
    /// The specification is kept, unless the child is temporary. A child that is not running is
    /// left as it is.
    ///
    /// # Errors
    ///
    /// There is no such child.
    pub async fn terminate(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Terminate(name.into(), reply)).await
    }

    /// Starts a child that is not running.
    ///
    /// # Errors
    ///
    /// There is no such child, or it is running, starting or about to be restarted, or the start
    /// failed. After a failed start the child stays idle.
    pub async fn restart(&self, name: &str) -> Result<(), AdminError> {
        self.request_change(|reply| Request::Restart(name.into(), reply)).await
    }

    /// Returns the children in the order of their start.
    ///
    /// # Errors
    ///
    /// The supervisor is gone.
    pub async fn children(&self) -> Result<Vec<ChildInfo>, AdminError> {
        self.0.ask(Request::List).await
    }

    /// Returns the child named `name`.
    ///
    /// # Errors
    ///
    /// There is no such child, or the supervisor is gone.
    pub async fn child(&self, name: &str) -> Result<ChildInfo, AdminError> {
        self.0.ask(|reply| Request::Find(name.into(), reply)).await?
    }

    /// Counts the children.
    ///
    /// # Errors
    ///
    /// The supervisor is gone.
    pub async fn count(&self) -> Result<ChildCounts, AdminError> {
        self.0.ask(Request::Count).await
    }

    async fn request_change(
        &self,
        request: impl FnOnce(Reply<Result<(), AdminError>>) -> Request,
    ) -> Result<(), AdminError> {
        self.0.ask(request).await?
    }
}

impl fmt::Debug for SupervisorAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.node() {
            Some(node) => write!(f, "SupervisorAddress({})", node.path()),
            None => f.write_str("SupervisorAddress"),
        }
    }
}
