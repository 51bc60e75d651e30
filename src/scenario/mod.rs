//! The four scenarios. Each adds its roles to one supervision tree.
//!
//! A scenario takes [`Settings`] and a [`Supervisor`] that already holds the receivers of its
//! reports. It binds its sockets and adds its roles in the order of their dependencies. Stopping
//! runs in reverse order. `docs/architecture.md` draws the trees.
//!
//! Everything that must survive a crash is created here and belongs to the tree: the sockets, the
//! members of a room, the number of the next upload.

mod chat;
mod children;
mod error;
mod file;
mod input;
mod listeners;
mod operators;
mod settings;
mod tcp;
mod udp;

use crate::actors::Reporter;
use crate::net::Endpoint;
use crate::runtime::Supervisor;

pub use error::BuildError;
pub use input::InputAddress;
pub use operators::OperatorPasswordFile;
pub use settings::{Role, Scenario, Settings, Side};

/// The receivers of the reports of a scenario's two sides.
#[derive(Debug, Clone, Default)]
pub struct Reporters {
    /// The receiver of the server's reports.
    pub server: Reporter,
    /// The receiver of the client's reports.
    pub client: Reporter,
}

/// The result of [`build`].
#[derive(Debug, Clone, Default)]
pub struct BuiltScenario {
    /// The bound endpoints of the server, with their actual ports. Empty for a client.
    pub endpoints: Vec<Endpoint>,
    /// The receiver of what a person types, if there is one.
    pub input: Option<InputAddress>,
    /// The password of the operators of a chat, if there is one.
    pub operators: Option<OperatorPasswordFile>,
}

/// Binds a scenario's sockets and adds its roles to `tree`.
///
/// # Errors
///
/// Returns an error if an endpoint cannot be bound, or the chat's history or password cannot be
/// read.
///
/// # Examples
///
/// This tree runs a greeting server and one client. It ends when the client has the greeting.
///
/// ```
/// use sockactors::runtime::{StopReason, Strategy, Supervisor, System};
/// use sockactors::scenario::{Reporters, Role, Scenario, Settings, build};
///
/// let mut settings = Settings::new(Scenario::Tcp, Role::Both);
/// settings.listen.push("127.0.0.1:0".parse().unwrap());
/// let mut tree = Supervisor::new("tcp", Strategy::OneForOne);
/// smol::block_on(build(&settings, &mut tree, &Reporters::default())).unwrap();
/// assert_eq!(System::new().run(tree).unwrap(), StopReason::Finished);
/// ```
pub async fn build(
    settings: &Settings,
    tree: &mut Supervisor,
    reporters: &Reporters,
) -> Result<BuiltScenario, BuildError> {
    let mut built = BuiltScenario::default();
    if settings.role.runs(Side::Server) {
        let reporter = &reporters.server;
        built.endpoints = match settings.scenario {
            Scenario::Tcp => tcp::add_server(settings, tree, reporter).await?,
            Scenario::Udp => udp::add_server(settings, tree, reporter).await?,
            Scenario::File => file::add_server(settings, tree, reporter).await?,
            Scenario::Chat => {
                let path = settings.operator_password_file.as_deref();
                built.operators = path.map(OperatorPasswordFile::open).transpose()?;
                let operators = built.operators.as_ref().map(OperatorPasswordFile::auth);
                let (endpoints, console) =
                    chat::add_server(settings, operators, tree, reporter).await?;
                built.input = console;
                endpoints
            }
        };
    }
    if settings.role.runs(Side::Client) {
        // The client of `Role::Both` connects to its own server.
        let own = built.endpoints.first().cloned();
        let endpoint = own
            .or_else(|| settings.connect.clone())
            .unwrap_or_else(|| settings.scenario.default_endpoint());
        let reporter = &reporters.client;
        match settings.scenario {
            Scenario::Tcp => tcp::add_client(settings, tree, endpoint, reporter),
            Scenario::Udp => udp::add_client(settings, tree, endpoint, reporter),
            Scenario::File => built.input = file::add_client(settings, tree, endpoint, reporter),
            Scenario::Chat => {
                built.input = Some(chat::add_client(settings, tree, endpoint, reporter))
            }
        }
    }
    Ok(built)
}
