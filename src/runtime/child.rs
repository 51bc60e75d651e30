//! What a child is: a specification that its supervisor can start again and again.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Sender;
use smol::Task;

use super::guard::Guard;
use super::lifecycle::Observer;
use super::mailbox::Mailbox;
use super::path::Name;
use super::scheduler::Scheduler;
use super::tree::{Kind, Node};
use super::{Actor, Address, Context, Exit, IntoActor, Path};

/// Messages that wait in a child's mailbox at most, unless [`Child::mailbox`] says otherwise.
const MAILBOX: usize = 64;

/// When a child that ended is started again. The words and their meaning are Erlang/OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after an abnormal exit: an error, a panic, a kill.
    Transient,
    /// Never, not even when its group is restarted.
    Temporary,
}

/// How a child is brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It is asked to stop, and dropped if it has not within this time.
    Within(Duration),
    /// It is dropped at once.
    Kill,
    /// It is asked to stop and waited for, however long. For supervisors.
    Forever,
}

/// What a supervisor knows of any child before it starts.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
}

/// The clock and the observer that one system's actors share.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    pub(crate) scheduler: Scheduler,
    pub(crate) observer: Observer,
}

/// How a child's task tells its supervisor to look: which child, and which incarnation of it.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) child: usize,
    pub(crate) incarnation: u32,
    pub(crate) exits: Sender<(usize, u32)>,
}

/// A child of whatever kind, as its supervisor uses it.
pub(crate) trait Spec: Send + Sync {
    fn node(&self) -> &Arc<Node>;
    fn options(&self) -> &Options;
    /// Gives the child its place in the tree, before it is first started.
    fn attach(&self, parent: Option<&Arc<Path>>, env: &Env);
    /// Makes ready what others may use as soon as they learn of the start.
    fn open(&self) {}
    /// Starts an incarnation. The task ends once nothing of the incarnation is left.
    fn launch(&self, env: &Env, notice: Notice) -> Task<Exit>;
    /// Closes what outlives incarnations: the child is over for good.
    fn retire(&self);
}

/// Spawns an incarnation's task, which gives notice to its supervisor at its end.
pub(crate) fn spawn(
    env: &Env,
    life: impl Future<Output = Exit> + Send + 'static,
    notice: Notice,
) -> Task<Exit> {
    env.scheduler.spawn(async move {
        let exit = life.await;
        // A supervisor that is gone takes no notice, and needs none.
        let _ = notice.exits.try_send((notice.child, notice.incarnation));
        exit
    })
}

/// A specification of a child: its name, a factory that makes each incarnation, and how it is kept alive.
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
/// .shutdown(Shutdown::Within(Duration::from_secs(1)))
/// .mailbox(8);
/// assert_eq!(format!("{child:?}"), "Child(clock, Transient)");
/// ```
pub struct Child<A: Actor> {
    name: Name,
    make: Arc<dyn Fn() -> A + Send + Sync>,
    options: Options,
    mailbox: Option<Arc<Mailbox<A::Message>>>,
}

impl<A: Actor> Child<A> {
    /// Specifies a permanent child with a mailbox for 64 messages and 5 seconds to stop in.
    ///
    /// `factory` makes the actor of each incarnation, in the incarnation's own task: a panic in it is a
    /// failed start, which counts as a restart.
    pub fn new<K, I>(
        name: impl Into<Cow<'static, str>>,
        factory: impl Fn() -> I + Send + Sync + 'static,
    ) -> Child<A>
    where
        I: IntoActor<K, Actor = A>,
    {
        Child {
            name: Name::Text(name.into()),
            make: Arc::new(move || factory().into_actor()),
            options: Options {
                restart: Restart::Permanent,
                shutdown: Shutdown::Within(Duration::from_secs(5)),
                significant: false,
            },
            mailbox: None,
        }
    }

    /// Sets when it is started again.
    pub fn restart(mut self, restart: Restart) -> Child<A> {
        self.options.restart = restart;
        self
    }

    /// Starts it again only after an abnormal exit.
    pub fn transient(self) -> Child<A> {
        self.restart(Restart::Transient)
    }

    /// Never starts it again.
    pub fn temporary(self) -> Child<A> {
        self.restart(Restart::Temporary)
    }

    /// Sets how it is brought to its end.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Child<A> {
        self.options.shutdown = shutdown;
        self
    }

    /// Sets how many messages wait in its mailbox at most (at least 1). The memory is taken at once.
    pub fn mailbox(mut self, capacity: usize) -> Child<A> {
        self.mailbox = Some(Mailbox::new(capacity));
        self
    }

    /// Has it read the mailbox of an address that was made before, with [`Address::new`].
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
        self.mailbox = Some(address.mailbox());
        self
    }

    /// Ends the supervisor with the child: when it has ended and is not started again, the supervisor
    /// stops the others in reverse order and exits too, with the child's exit if that was abnormal.
    ///
    /// This is Erlang/OTP's auto-shutdown `any_significant`; beyond it, the reason is kept.
    pub fn significant(mut self) -> Child<A> {
        self.options.significant = true;
        self
    }

    pub(crate) fn build(self) -> (Address<A::Message>, Box<dyn Spec>) {
        let mailbox = self.mailbox.unwrap_or_else(|| Mailbox::new(MAILBOX));
        let node = Node::new(self.name, Kind::Actor, Some(mailbox.clone()));
        let address = Address::of(mailbox.clone());
        (address, Box::new(ActorSpec { make: self.make, options: self.options, node, mailbox }))
    }
}

impl<A: Actor> fmt::Debug for Child<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Child({}, {:?})", self.name, self.options.restart)
    }
}

/// A [`Child`] with its mailbox and its place.
struct ActorSpec<A: Actor> {
    make: Arc<dyn Fn() -> A + Send + Sync>,
    options: Options,
    node: Arc<Node>,
    mailbox: Arc<Mailbox<A::Message>>,
}

impl<A: Actor> Spec for ActorSpec<A> {
    fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn attach(&self, parent: Option<&Arc<Path>>, env: &Env) {
        self.node.attach(parent);
        self.mailbox.attach(&env.scheduler);
    }

    fn launch(&self, env: &Env, notice: Notice) -> Task<Exit> {
        let make = self.make.clone();
        let ctx = Context::new(self.mailbox.clone(), self.node.clone(), env.scheduler.clone());
        let life = async move { make().run(ctx).await };
        spawn(env, Guard::new(self.node.clone(), life), notice)
    }

    fn retire(&self) {
        self.mailbox.close();
    }
}
