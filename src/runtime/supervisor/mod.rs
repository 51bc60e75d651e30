//! Supervisors, as they are composed.
//!
//! A [`Supervisor`] is an ordered list of children and the rules by which they are kept alive. Adding a
//! child hands out its address before anything runs, so that any wiring, a circle too, is plain code. How
//! the rules are carried out is in `supervise`.

pub(crate) mod admin;
pub(crate) mod administer;
pub(crate) mod child;
pub(crate) mod entries;
pub(crate) mod intensity;
pub(crate) mod options;
pub(crate) mod request;
pub(crate) mod restart;
pub(crate) mod run;
pub(crate) mod shutdown;
pub(crate) mod spec;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use smol::Task;

use super::lifecycle::notifier::ParentNotifier;
use super::lifecycle::panic;
use super::tree::below::NodeBody;
use super::tree::node::Node;
use super::tree::path::Name;
use super::tree::place::ParentRef;
use super::tree::snapshot::NodeState;
use super::{Actor, Address, Child, Exit, Pool, PoolAddress};
use admin::SupervisorAddress;
use options::{ChildOptions, Restart, Shutdown, StartMode};
use request::RequestReceiver;
use run::supervise;
use spec::{ChildSpec, SystemEnv};

/// Who is restarted when one child is. The words and their meaning are Erlang/OTP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// That child alone.
    OneForOne,
    /// All children: the others are stopped in reverse order, then all are started in order.
    OneForAll,
    /// That child and those that were started after it.
    RestForOne,
}

/// Whether a supervisor ends with its significant children. The words and their meaning are Erlang/OTP's.
///
/// Only a significant child's own end counts, when it is not started again: not one that the supervisor, or
/// somebody through its [`SupervisorAddress`], brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoShutdown {
    /// Never; then no child may be significant.
    Never,
    /// With the first of them. The default: a child is only significant where somebody says so.
    AnySignificant,
    /// With the last of them.
    AllSignificant,
}

/// An ordered list of children and the rules by which they are kept alive.
///
/// # Examples
///
/// This example shows a tree with a nested supervisor and a pool, which ends once its door is closed.
///
/// ```
/// use std::time::Duration;
/// use sockactors::runtime::{Child, Context, Outcome, Pool, Strategy, Supervisor, System};
///
/// async fn live(mut ctx: Context<()>) -> Outcome {
///     ctx.stopped().await;
///     Ok(())
/// }
///
/// async fn visit(_: Context<()>) -> Outcome {
///     Ok(())
/// }
///
/// let mut back = Supervisor::new("back", Strategy::OneForAll).intensity(1, Duration::from_secs(5));
/// back.child(Child::new("store", || live));
///
/// let mut tree = Supervisor::new("shop", Strategy::RestForOne);
/// tree.supervisor(back);
/// let visitors = tree.pool(Pool::new("visitors").limit(10));
/// tree.child(Child::new("door", move || {
///     let visitors = visitors.clone();
///     async move |_: Context<()>| -> Outcome {
///         visitors.start(visit).await?;
///         visitors.wait_idle().await;
///         Ok(())
///     }
/// }).transient().significant());
/// System::new().run(tree).unwrap();
/// ```
pub struct Supervisor {
    name: Name,
    strategy: Strategy,
    intensity: (u32, Duration),
    backoff: Option<(Duration, Duration)>,
    auto_shutdown: AutoShutdown,
    options: ChildOptions,
    children: Vec<Arc<dyn ChildSpec>>,
    request_channel: Option<(SupervisorAddress, RequestReceiver)>,
}

impl Supervisor {
    /// Makes a supervisor without children that takes 3 restarts within 5 seconds.
    pub fn new(name: impl Into<Cow<'static, str>>, strategy: Strategy) -> Supervisor {
        Supervisor {
            name: Name::from_text(name),
            strategy,
            intensity: (3, Duration::from_secs(5)),
            backoff: None,
            auto_shutdown: AutoShutdown::AnySignificant,
            options: ChildOptions {
                restart: Restart::Permanent,
                shutdown: Shutdown::Infinity,
                significant: false,
                start_mode: StartMode::OnReady(None),
            },
            children: Vec::new(),
            request_channel: None,
        }
    }

    /// Sets how many restarts `within` a sliding window are taken; one more, and the supervisor stops all
    /// its children in reverse and exits abnormally. A restart of a group counts once. A supervisor whose
    /// window is no time at all does not start, as in Erlang/OTP.
    pub fn intensity(mut self, restarts: u32, within: Duration) -> Supervisor {
        self.intensity = (restarts, within);
        self
    }

    /// Pauses before a restart: `first`, then twice as long for each restart in the intensity's window, up
    /// to `most`; each pause is shortened at random by up to a half. Without this there is no pause.
    pub fn backoff(mut self, first: Duration, most: Duration) -> Supervisor {
        self.backoff = Some((first, most));
        self
    }

    /// Sets whether it ends with its significant children; with any of them, unless said.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Supervisor {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Sets when its own supervisor starts it again.
    pub fn restart(mut self, restart: Restart) -> Supervisor {
        self.options.restart = restart;
        self
    }

    /// Sets how its own supervisor brings it to its end; [`Shutdown::Infinity`] unless said.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Supervisor {
        self.options.shutdown = shutdown;
        self
    }

    /// Ends its own supervisor with it; see [`Child::significant`].
    pub fn significant(mut self) -> Supervisor {
        self.options.significant = true;
        self
    }

    /// Returns where its children are administered while it runs.
    pub fn address(&mut self) -> SupervisorAddress {
        self.request_channel.get_or_insert_with(request::channel).0.clone()
    }

    /// Adds a child and returns its address. Children start in the order in which they are added.
    pub fn child<A: Actor>(&mut self, child: Child<A>) -> Address<A::Message> {
        let (address, spec) = child.build();
        self.children.push(spec);
        address
    }

    /// Adds a pool and returns where its children are started.
    pub fn pool(&mut self, pool: Pool) -> PoolAddress {
        let (address, spec) = pool.build();
        self.children.push(spec);
        address
    }

    /// Adds a supervisor below this one.
    pub fn supervisor(&mut self, supervisor: Supervisor) {
        self.children.push(Arc::new(supervisor.build()));
    }

    pub(crate) fn build(self) -> SupervisorSpec {
        let node = Node::new(self.name, NodeBody::supervisor());
        node.update_children(|below| {
            below.extend((0..).zip(self.children.iter().map(|child| child.node().clone())));
        });
        if let Some((_, requests)) = &self.request_channel {
            requests.set_node(&node);
        }
        SupervisorSpec {
            options: self.options,
            config: Arc::new(SupervisorConfig {
                node,
                strategy: self.strategy,
                intensity: self.intensity,
                backoff: self.backoff,
                auto_shutdown: self.auto_shutdown,
                children: self.children,
                requests: self.request_channel.map(|(_, requests)| requests),
            }),
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Supervisor({}, {:?}, {} children)",
            self.name,
            self.strategy,
            self.children.len()
        )
    }
}

/// What an incarnation of a supervisor works from.
pub(crate) struct SupervisorConfig {
    pub(crate) node: Arc<Node>,
    pub(crate) strategy: Strategy,
    pub(crate) intensity: (u32, Duration),
    pub(crate) backoff: Option<(Duration, Duration)>,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) children: Vec<Arc<dyn ChildSpec>>,
    /// What its address brings; none where nobody has the address.
    pub(crate) requests: Option<RequestReceiver>,
}

impl SupervisorConfig {
    /// Tells whether a child fits in.
    ///
    /// # Errors
    ///
    /// What contradicts itself, as Erlang/OTP's `bad_combination`.
    pub(crate) fn validate(&self, child: &dyn ChildSpec) -> Result<(), String> {
        child.check()?;
        let (name, options) = (child.node().name(), child.options());
        if options.significant && self.auto_shutdown == AutoShutdown::Never {
            return Err(format!(
                "{name} is significant, but the supervisor never shuts down for it"
            ));
        }
        if options.significant && options.restart == Restart::Permanent {
            return Err(format!(
                "{name} is significant, but a permanent child never ends for good"
            ));
        }
        Ok(())
    }
}

/// A [`Supervisor`] with its place.
pub(crate) struct SupervisorSpec {
    options: ChildOptions,
    pub(crate) config: Arc<SupervisorConfig>,
}

impl ChildSpec for SupervisorSpec {
    fn node(&self) -> &Arc<Node> {
        &self.config.node
    }

    fn options(&self) -> &ChildOptions {
        &self.options
    }

    fn attach(&self, place: &Arc<ParentRef>, env: &SystemEnv) {
        self.config.node.attach(place);
        let below = ParentRef::new(self.config.node.path(), &env.scheduler);
        for child in &self.config.children {
            child.attach(&below, env);
        }
    }

    fn launch(&self, env: &SystemEnv, notice: ParentNotifier) -> Task<Exit> {
        let life = supervise(self.config.clone(), env.clone(), notice.clone());
        spec::spawn(env, panic::catch_runtime_panic(life), notice)
    }

    fn set_idle(&self) {
        self.config.node.set_state(NodeState::Idle);
        if let Some(requests) = &self.config.requests {
            requests.reject_all();
        }
    }

    fn close(&self) {
        if let Some(requests) = &self.config.requests {
            requests.close();
        }
        for child in &self.config.children {
            child.close();
        }
    }
}
