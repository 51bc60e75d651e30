//! The greeting: a listener, a greeter for each connection; a client that reads the greeting.

use std::sync::Arc;

use super::{AccessControl, Settings, add_listeners, client_child, numbered_name};
use crate::actors::{Greeter, ProbeQuota, Reporter, TcpClient, TcpStatsCollector};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};

/// What the lecture's server says.
const DEFAULT_GREETING: &str = "Thank you for connecting";

pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let greeting: Arc<[u8]> =
        settings.message.as_deref().unwrap_or(DEFAULT_GREETING).as_bytes().into();
    let greeters = tree.pool(settings.connection_pool("greeters"));
    let told = reporter.clone();
    let serve = move |connection| Greeter::new(connection, greeting.clone(), told.clone());
    add_listeners(settings, tree, &greeters, reporter, AccessControl::default(), serve).await
}

pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let (pace, reporter) = (settings.schedule(), reporter.clone());
    if settings.is_measuring() {
        return add_probes(settings, tree, endpoint, reporter);
    }
    let make = move || TcpClient::new(endpoint.clone(), pace.clone(), reporter.clone());
    tree.child(client_child(Child::new("client", make)));
}

/// Adds the probes, as many as are at work at once, and the figures before them, since these end the tree.
fn add_probes(settings: &Settings, tree: &mut Supervisor, endpoint: Endpoint, reporter: Reporter) {
    let pace = settings.schedule();
    let (max_loss, shows) = (settings.max_loss.unwrap_or(0.0), settings.concurrency.is_none());
    let adding = pace.clone();
    let figures = Child::new("figures", move || {
        TcpStatsCollector::new(adding.clone(), reporter.clone())
            .max_loss(max_loss)
            .report_replies(shows)
    });
    let figures = tree.child(client_child(figures));
    let tickets = Arc::new(ProbeQuota::new(pace.count));
    for probe in 0..settings.concurrency.unwrap_or(1) {
        let (endpoint, pace) = (endpoint.clone(), pace.clone());
        let (tickets, figures) = (tickets.clone(), figures.clone());
        let make = move || {
            let (endpoint, pace) = (endpoint.clone(), pace.clone());
            TcpClient::measuring(endpoint, pace, tickets.clone(), figures.clone())
        };
        tree.child(Child::new(numbered_name("probe", probe), make).transient());
    }
}
