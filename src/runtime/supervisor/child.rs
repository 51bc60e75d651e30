//! The specification of an actor, which its supervisor can start again and again.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use smol::Task;

use crate::runtime::actor::{Actor, IntoActor};
use crate::runtime::address::Address;
use crate::runtime::context::Context;
use crate::runtime::executor::futures::Lazy;
use crate::runtime::executor::worker::Placement;
use crate::runtime::lifecycle::actor_future::ActorFuture;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::mailbox::erased::ErasedMailbox;
use crate::runtime::mailbox::{Mailbox, Overflow};
use crate::runtime::supervisor::options::{ChildOptions, Restart, Shutdown, StartMode};
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv, spawn};
use crate::runtime::tree::node::{Node, NodeBody, ParentRef};
use crate::runtime::tree::path::Name;

/// The number of messages that fit into a child's mailbox, unless [`Child::mailbox`] sets another.
const DEFAULT_MAILBOX_CAPACITY: usize = 64;

/// The time that a child has to stop, unless [`Child::shutdown`] sets another.
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// A specification of an actor: its name, a factory that creates each incarnation, and its options.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sockactors::runtime::{Child, Context, Outcome, Restart, Shutdown};
///
/// let child = Child::new("clock", || async |ctx: Context<()>| -> Outcome {
///     ctx.sleep(Duration::from_millis(1)).await;
///     Ok(())
/// })
/// .restart(Restart::Transient)
/// .shutdown(Shutdown::Timeout(Duration::from_secs(1)))
/// .mailbox(8);
/// assert_eq!(format!("{child:?}"), "Child(clock, Transient)");
/// ```
pub struct Child<A: Actor> {
    name: Name,
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    options: ChildOptions,
    mailbox: Option<Arc<Mailbox<A::Message>>>,
    /// Whether the mailbox belongs to an address that was created before the child.
    has_external_mailbox: bool,
    overflow: Overflow,
}

impl<A: Actor> Child<A> {
    /// Specifies a permanent child with a mailbox for 64 messages and 5 seconds to stop.
    ///
    /// `factory` creates the actor of each incarnation, in the incarnation's own task. The child
    /// has started when the factory returns, and only then is the next child started. A panic in
    /// the factory is a failed start. See [`Child::ready_within`] for a start that takes longer.
    pub fn new<K, I>(
        name: impl Into<Cow<'static, str>>,
        factory: impl Fn() -> I + Send + Sync + 'static,
    ) -> Child<A>
    where
        I: IntoActor<K, Actor = A>,
    {
        Child {
            name: Name::from_text(name),
            factory: Arc::new(move || factory().into_actor()),
            options: ChildOptions {
                restart: Restart::Permanent,
                shutdown: Shutdown::Timeout(DEFAULT_SHUTDOWN_TIMEOUT),
                significant: false,
                start_mode: StartMode::OnCreate,
                placement: Placement::Parent,
            },
            mailbox: None,
            has_external_mailbox: false,
            overflow: Overflow::Wait,
        }
    }

    /// Sets when the child is restarted. Default: [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Child<A> {
        self.options.restart = restart;
        self
    }

    /// Restarts the child only after an abnormal exit: [`Restart::Transient`].
    pub fn transient(self) -> Child<A> {
        self.restart(Restart::Transient)
    }

    /// Never restarts the child: [`Restart::Temporary`].
    pub fn temporary(self) -> Child<A> {
        self.restart(Restart::Temporary)
    }

    /// Sets how the child is stopped. Default: [`Shutdown::Timeout`] of 5 seconds.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Child<A> {
        self.options.shutdown = shutdown;
        self
    }

    /// Makes the child count as started when the actor calls [`Context::ready`], within `limit` if
    /// there is one.
    ///
    /// The children after it wait for that. An actor that fails before it is ready, or is late, has
    /// failed to start. An actor that ends normally before it is ready chose not to run, and stays
    /// idle. This is the `init` of Erlang's `gen_server` with its `{stop, Reason}` and `ignore`.
    ///
    /// # Examples
    ///
    /// This example shows a tree that does not start, since one of its children cannot.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor, System};
    ///
    /// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
    /// tree.child(Child::new("store", || async |mut ctx: Context<()>| -> Outcome {
    ///     let stock: u32 = "many".parse()?;
    ///     ctx.ready();
    ///     while ctx.recv().await.is_some() {}
    ///     assert!(stock > 0);
    ///     Ok(())
    /// }).ready_within(Duration::from_secs(1)));
    /// let exit = System::new().run(tree).unwrap_err();
    /// assert_eq!(
    ///     exit.to_string(),
    ///     "could not start: shop/store failed: invalid digit found in string"
    /// );
    /// ```
    pub fn ready_within(mut self, limit: impl Into<Option<Duration>>) -> Child<A> {
        self.options.start_mode = StartMode::OnReady(limit.into());
        self
    }

    /// Sets what happens to a message that is sent to a full mailbox. Default: [`Overflow::Wait`].
    pub fn overflow(mut self, overflow: Overflow) -> Child<A> {
        self.overflow = overflow;
        self
    }

    /// Sets the capacity of the mailbox in messages (at least 1). Default: 64. The memory is
    /// allocated when it is first used.
    pub fn mailbox(mut self, capacity: usize) -> Child<A> {
        (self.mailbox, self.has_external_mailbox) = (Some(Mailbox::new(capacity)), false);
        self
    }

    /// Makes the child receive from the mailbox of an address that was created with
    /// [`Address::new`].
    ///
    /// An address belongs to one child: a second child with it is rejected as misconfigured.
    ///
    /// # Examples
    ///
    /// This example shows two actors that know each other.
    ///
    /// ```
    /// use sockactors::runtime::{Address, Child, Context, Outcome, Strategy, Supervisor, System};
    ///
    /// async fn player(mut ctx: Context<u32>, other: Address<u32>) -> Outcome {
    ///     while let Some(ball) = ctx.recv().await {
    ///         if ball == 0 {
    ///             break;
    ///         }
    ///         other.send(ball - 1).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let mut tree = Supervisor::new("game", Strategy::OneForOne);
    /// let ping = Address::new(1);
    /// let to_ping = ping.clone();
    /// let pong = tree.child(Child::new("pong", move || {
    ///     let ping = to_ping.clone();
    ///     move |ctx| player(ctx, ping)
    /// }));
    /// let to_pong = pong.clone();
    /// tree.child(Child::new("ping", move || {
    ///     let pong = to_pong.clone();
    ///     move |ctx| player(ctx, pong)
    /// }).address(&ping).transient().significant());
    /// pong.try_send(9).unwrap();
    /// System::new().run(tree).unwrap();
    /// ```
    pub fn address(mut self, address: &Address<A::Message>) -> Child<A> {
        (self.mailbox, self.has_external_mailbox) = (Some(address.mailbox()), true);
        self
    }

    /// Sets the worker thread on which the child runs. Default: [`Placement::Parent`].
    ///
    /// An incarnation stays on its worker. With [`Placement::Spread`] the next one may start on
    /// another.
    pub fn on(mut self, placement: Placement) -> Child<A> {
        self.options.placement = placement;
        self
    }

    /// Makes the child significant: its supervisor ends when the child has ended and is not
    /// restarted.
    ///
    /// The supervisor ends by its [`AutoShutdown`](crate::runtime::AutoShutdown), with the child's
    /// exit if that was abnormal. A permanent child is always restarted, so it cannot be
    /// significant, as in Erlang/OTP. A supervisor with such a child does not start.
    pub fn significant(mut self) -> Child<A> {
        self.options.significant = true;
        self
    }

    pub(crate) fn build(self) -> (Address<A::Message>, Arc<dyn ChildSpec>) {
        let mailbox = self.mailbox.unwrap_or_else(|| Mailbox::new(DEFAULT_MAILBOX_CAPACITY));
        mailbox.set_overflow(self.overflow);
        let weak_mailbox: Weak<dyn ErasedMailbox> =
            Arc::downgrade(&(mailbox.clone() as Arc<dyn ErasedMailbox>));
        let node = Node::new(self.name, NodeBody::Actor(weak_mailbox));
        if !self.has_external_mailbox {
            mailbox.set_owner(&node);
        }
        let address = Address::from_mailbox(mailbox.clone());
        (
            address,
            Arc::new(ActorSpec { factory: self.factory, options: self.options, node, mailbox }),
        )
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({}, {:?})", self.name, self.options.restart)
    }
}

/// A [`Child`] with its mailbox and its node.
struct ActorSpec<A: Actor> {
    factory: Arc<dyn Fn() -> A + Send + Sync>,
    options: ChildOptions,
    node: Arc<Node>,
    mailbox: Arc<Mailbox<A::Message>>,
}

impl<A: Actor> ChildSpec for ActorSpec<A> {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn options(&self) -> &ChildOptions {
        &self.options
    }

    fn check(&self) -> Result<(), String> {
        match self.mailbox.can_be_owned_by(&self.node) {
            true => Ok(()),
            false => Err(format!(
                "the address of {} belongs to another child or is closed",
                self.node.name()
            )),
        }
    }

    fn attach(&self, parent: &Arc<ParentRef>, _env: &SystemEnv) {
        self.node.attach(parent);
        // An address that was created before belongs to the child only now: until here the child
        // could be rejected.
        self.mailbox.set_owner(&self.node);
    }

    fn launch(&self, env: &SystemEnv, notifier: ParentNotifier) -> Task<Exit> {
        let factory = self.factory.clone();
        let (mailbox, node) = (self.mailbox.clone(), self.node.clone());
        let (start_mode, ctx_notifier) = (self.options.start_mode, notifier.clone());
        let incarnation = Lazy::new(move || {
            let actor = factory();
            let mut ctx = Context::new(mailbox, node, Some(ctx_notifier));
            if start_mode == StartMode::OnCreate {
                ctx.ready();
            }
            actor.run(ctx)
        });
        let incarnation = ActorFuture::new(self.node.clone(), incarnation);
        spawn(env, self.options.placement, incarnation, notifier)
    }

    fn close(&self) {
        self.mailbox.close();
    }
}
