//! The listeners of a stream server, one per endpoint.

use std::sync::Arc;

use crate::actors::{
    BanList, ClientQuota, Connection, Listener, MemoryBudget, MemoryKeeper, PerIpLimit,
    RejectionMessage, Report, Reporter,
};
use crate::net::{BindError, Endpoint, ListeningSocket};
use crate::runtime::{Child, IntoActor, PoolAddress, Supervisor};
use crate::scenario::children::{numbered_name, server_child};
use crate::scenario::settings::Settings;

/// The addresses that a server rejects, and the text sent to a rejected connection.
#[derive(Debug, Clone, Default)]
pub(super) struct AccessControl {
    pub(super) ban_list: Arc<BanList>,
    pub(super) rejection_message: Option<RejectionMessage>,
}

/// Binds a server's sockets, adds a listener for each, and returns the bound endpoints.
///
/// The tree owns the sockets. While a listener restarts, new connections wait in the kernel.
///
/// # Errors
///
/// Returns an error if an endpoint cannot be bound.
pub(super) async fn add_listeners<F, A, K>(
    settings: &Settings,
    tree: &mut Supervisor,
    pool: &PoolAddress,
    reporter: &Reporter,
    access: AccessControl,
    serve: F,
) -> Result<Vec<Endpoint>, BindError>
where
    F: Fn(Connection) -> A + Clone + Send + Sync + 'static,
    A: IntoActor<K>,
    K: 'static,
{
    let quota = Arc::new(ClientQuota::new(settings.clients));
    let per_ip_limit = match settings.max_per_ip {
        None => Some(PerIpLimit::share_of(settings.connection_limit())),
        Some(limit) => limit.map(PerIpLimit::new),
    };
    let per_ip_limit = per_ip_limit.map(Arc::new);
    let memory_budget = MemoryBudget::new(settings.memory_budget());
    let (budget, keeper_reporter) = (memory_budget.clone(), reporter.clone());
    tree.child(Child::new("memory", move || {
        MemoryKeeper::new(budget.clone(), keeper_reporter.clone())
    }));
    let mut endpoints = Vec::new();
    let mut sockets = Vec::new();
    for address in settings.listen_addresses() {
        let bound = ListeningSocket::bind_all(&address, settings.backlog).await?;
        warn_of_unbound(&bound.errors, reporter);
        sockets.extend(bound.sockets.into_iter().map(Arc::new));
    }
    let buffer_size = settings.socket_buffer();
    for (index, socket) in sockets.into_iter().enumerate() {
        if let Some(bytes) = buffer_size {
            if let Err(error) = socket.set_buffer_size(bytes) {
                let reason = format!("cannot limit the socket buffers to {bytes} bytes: {error}");
                reporter.try_send(|| Report::Warning { reason });
            }
        }
        endpoints.push(socket.endpoint().clone());
        let (pool, quota) = (pool.clone(), quota.clone());
        let (per_ip_limit, memory_budget) = (per_ip_limit.clone(), memory_budget.clone());
        let access = access.clone();
        let (reporter, serve) = (reporter.clone(), serve.clone());
        let listener = Child::new(numbered_name("listener", index), move || {
            Listener::new(socket.clone(), pool.clone(), serve.clone())
                .client_quota(quota.clone())
                .per_ip_limit(per_ip_limit.clone())
                .memory_budget(memory_budget.clone())
                .ban_list(access.ban_list.clone())
                .rejection_message(access.rejection_message)
                .reporter(reporter.clone())
        });
        tree.child(server_child(settings, listener));
    }
    Ok(endpoints)
}

/// Reports the addresses of a name that could not be bound, while others could.
pub(super) fn warn_of_unbound(errors: &[BindError], reporter: &Reporter) {
    for error in errors {
        reporter.try_send(|| Report::Warning { reason: error.to_string() });
    }
}
