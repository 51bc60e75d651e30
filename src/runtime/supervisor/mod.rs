//! Supervisors: the specification of an ordered list of children, and of the rules to restart them.
//!
//! Adding a child returns its address before anything runs, so any wiring, including a cycle, is
//! plain code. The modules, lowest first:
//!
//! | module | content |
//! |---|---|
//! | [`options`] | when a child is restarted and how it is stopped |
//! | [`spec`] | what a supervisor needs of a child of any kind |
//! | [`child`] | the specification of an actor |
//! | [`request`] | the requests at run time, and their queue |
//! | [`config`], [`intensity`] | strategy and limits, with their defaults |
//! | [`run`], [`restart`], [`shutdown`] | one incarnation of a supervisor |
//! | [`admin`] | the address of a running supervisor |

pub(crate) mod admin;
pub(crate) mod child;
pub(crate) mod config;
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

use crate::runtime::actor::Actor;
use crate::runtime::address::Address;
use crate::runtime::executor::worker::Placement;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::lifecycle::panic;
use crate::runtime::pool::{Pool, PoolAddress};
use crate::runtime::supervisor::admin::SupervisorAddress;
use crate::runtime::supervisor::child::Child;
use crate::runtime::supervisor::config::{AutoShutdown, Strategy, SupervisorConfig};
use crate::runtime::supervisor::intensity::{DEFAULT_MAX_RESTARTS, DEFAULT_RESTART_WINDOW};
use crate::runtime::supervisor::options::{ChildOptions, Restart, Shutdown, StartMode};
use crate::runtime::supervisor::request::{AdminError, RequestReceiver, RequestSender};
use crate::runtime::supervisor::run::supervise;
use crate::runtime::supervisor::spec::{ChildSpec, SystemEnv};
use crate::runtime::tree::node::{Node, NodeBody, ParentRef};
use crate::runtime::tree::path::Name;
use crate::runtime::tree::snapshot::{NodeKind, NodeState};

/// An ordered list of children and the rules to restart them.
///
/// # Examples
///
/// This example shows a tree with a nested supervisor and a pool. It ends when the actor `door`
/// ends.
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
/// let mut back = Supervisor::new("back", Strategy::OneForAll);
/// back = back.intensity(1, Duration::from_secs(5));
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
    request_channel: Option<(RequestSender, RequestReceiver)>,
}

impl Supervisor {
    /// Creates a supervisor without children that allows 3 restarts within 5 seconds.
    pub fn new(name: impl Into<Cow<'static, str>>, strategy: Strategy) -> Supervisor {
        Supervisor {
            name: Name::from_text(name),
            strategy,
            intensity: (DEFAULT_MAX_RESTARTS, DEFAULT_RESTART_WINDOW),
            backoff: None,
            auto_shutdown: AutoShutdown::AnySignificant,
            options: ChildOptions {
                restart: Restart::Permanent,
                shutdown: Shutdown::Infinity,
                significant: false,
                start_mode: StartMode::OnReady(None),
                placement: Placement::Parent,
            },
            children: Vec::new(),
            request_channel: None,
        }
    }

    /// Sets the number of restarts that are allowed within a sliding window. Default: 3 within 5
    /// seconds.
    ///
    /// Beyond that the supervisor gives up: it stops all its children in reverse order and
    /// ends abnormally. A restart of a group counts once. A supervisor whose `window` is zero does
    /// not start, as in Erlang/OTP.
    pub fn intensity(mut self, max_restarts: u32, window: Duration) -> Supervisor {
        self.intensity = (max_restarts, window);
        self
    }

    /// Sets an exponential backoff before each restart. Default: no pause.
    ///
    /// The pause is `initial`, doubled for each further restart in the intensity's window, up to
    /// `max`. It is then shortened at random by up to a half.
    pub fn backoff(mut self, initial: Duration, max: Duration) -> Supervisor {
        self.backoff = Some((initial, max));
        self
    }

    /// Sets whether the supervisor ends with its significant children. Default:
    /// [`AutoShutdown::AnySignificant`].
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Supervisor {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Sets when the parent supervisor restarts this supervisor. Default: [`Restart::Permanent`].
    pub fn restart(mut self, restart: Restart) -> Supervisor {
        self.options.restart = restart;
        self
    }

    /// Sets how the parent supervisor stops this supervisor. Default: [`Shutdown::Infinity`].
    pub fn shutdown(mut self, shutdown: Shutdown) -> Supervisor {
        self.options.shutdown = shutdown;
        self
    }

    /// Sets the worker thread on which the supervisor runs, and its children with it unless they
    /// have a placement of their own. Default: [`Placement::Parent`].
    pub fn on(mut self, placement: Placement) -> Supervisor {
        self.options.placement = placement;
        self
    }

    /// Makes this supervisor a significant child of its parent; see [`Child::significant`].
    pub fn significant(mut self) -> Supervisor {
        self.options.significant = true;
        self
    }

    /// Returns the name.
    pub fn name(&self) -> String {
        self.name.to_string()
    }

    /// Returns the path below this supervisor and the kind of each child, nested ones included, in
    /// the order in which they were added. Pools have no children yet.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::runtime::{NodeKind, Pool, Strategy, Supervisor};
    ///
    /// let mut back = Supervisor::new("back", Strategy::OneForOne);
    /// back.pool(Pool::new("visitors"));
    /// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
    /// tree.supervisor(back);
    /// let paths = [("back", NodeKind::Supervisor), ("back/visitors", NodeKind::Pool)];
    /// assert_eq!(tree.descendants(), paths.map(|(path, kind)| (path.to_owned(), kind)));
    /// ```
    pub fn descendants(&self) -> Vec<(String, NodeKind)> {
        let mut found = Vec::new();
        for child in &self.children {
            push_paths(child.node(), "", &mut found);
        }
        found
    }

    /// Returns the address that administers the children at run time.
    pub fn address(&mut self) -> SupervisorAddress {
        let (sender, _) = self.request_channel.get_or_insert_with(request::channel);
        SupervisorAddress::new(sender.clone())
    }

    /// Adds a child and returns its address. Children start in the order in which they are added.
    pub fn child<A: Actor>(&mut self, child: Child<A>) -> Address<A::Message> {
        let (address, spec) = child.build();
        self.children.push(spec);
        address
    }

    /// Adds a pool and returns its address, which starts the pool's children.
    pub fn pool(&mut self, pool: Pool) -> PoolAddress {
        let (address, spec) = pool.build();
        self.children.push(spec);
        address
    }

    /// Adds a supervisor as a child.
    pub fn supervisor(&mut self, supervisor: Supervisor) {
        self.children.push(Arc::new(supervisor.build()));
    }

    pub(crate) fn build(self) -> SupervisorSpec {
        let node = Node::new(self.name, NodeBody::supervisor());
        node.update_children(|nodes| {
            nodes.extend((0..).zip(self.children.iter().map(|child| child.node().clone())));
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

/// Adds the path of a node below `parent`, and the paths of its descendants.
fn push_paths(node: &Arc<Node>, parent: &str, found: &mut Vec<(String, NodeKind)>) {
    let path = format!("{parent}{}", node.name());
    found.push((path.clone(), node.kind()));
    let parent = path + "/";
    node.child_nodes().iter().for_each(|child| push_paths(child, &parent, found));
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

// Defined here and not in `admin`, which is below this file and cannot import `Supervisor`.
impl SupervisorAddress {
    /// Adds a supervisor, as [`SupervisorAddress::add`] adds a child. The supervisor has started
    /// when all its children have.
    ///
    /// # Errors
    ///
    /// See [`SupervisorAddress::add`].
    pub async fn add_supervisor(&self, supervisor: Supervisor) -> Result<(), AdminError> {
        self.add_spec(Arc::new(supervisor.build())).await
    }
}

/// A [`Supervisor`] with its node.
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

    fn attach(&self, parent: &Arc<ParentRef>, env: &SystemEnv) {
        self.config.node.attach(parent);
        let as_parent = ParentRef::new(self.config.node.path(), &env.scheduler);
        for child in &self.config.children {
            child.attach(&as_parent, env);
        }
    }

    fn launch(&self, env: &SystemEnv, notifier: ParentNotifier) -> Task<Exit> {
        let env = env.place(self.options.placement);
        let incarnation = supervise(self.config.clone(), env.clone(), notifier.clone());
        spec::spawn(&env, Placement::Parent, panic::catch_runtime_panic(incarnation), notifier)
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
