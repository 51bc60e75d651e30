//! The tcp scenario: a listener and a pool of greeters, and a client that reads the greeting.

use std::sync::Arc;

use crate::actors::{Greeter, ProbeQuota, Reporter, TcpClient, TcpStatsCollector};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};
use crate::scenario::children::{client_child, connection_pool, numbered_name};
use crate::scenario::listeners::{AccessControl, add_listeners};
use crate::scenario::settings::Settings;

/// The greeting of the lecture's server.
const DEFAULT_GREETING: &str = "Thank you for connecting";

/// Adds the server, and returns its bound endpoints.
pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let greeting: Arc<[u8]> =
        settings.message.as_deref().unwrap_or(DEFAULT_GREETING).as_bytes().into();
    let greeters = tree.pool(connection_pool(settings, "greeters"));
    let greeter_reporter = reporter.clone();
    let serve =
        move |connection| Greeter::new(connection, greeting.clone(), greeter_reporter.clone());
    add_listeners(settings, tree, &greeters, reporter, AccessControl::default(), serve).await
}

/// Adds the client: one that shows the greeting, or the probes of a measurement.
pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let (schedule, reporter) = (settings.schedule(), reporter.clone());
    if settings.is_measuring() {
        return add_probes(settings, tree, endpoint, reporter);
    }
    let make = move || TcpClient::new(endpoint.clone(), schedule.clone(), reporter.clone());
    tree.child(client_child(Child::new("client", make)));
}

/// Adds the statistics collector, then one probe per simultaneous connection.
///
/// The collector is added first. Stopping runs in reverse order, so it stops after the probes.
fn add_probes(settings: &Settings, tree: &mut Supervisor, endpoint: Endpoint, reporter: Reporter) {
    let schedule = settings.schedule();
    let max_loss = settings.max_loss.unwrap_or(0.0);
    let shows_replies = settings.concurrency.is_none();
    let collector_schedule = schedule.clone();
    let collector = Child::new("figures", move || {
        TcpStatsCollector::new(collector_schedule.clone(), reporter.clone())
            .max_loss(max_loss)
            .report_replies(shows_replies)
    });
    let collector = tree.child(client_child(collector));
    let quota = Arc::new(ProbeQuota::new(schedule.count));
    for probe in 0..settings.concurrency.unwrap_or(1) {
        let (endpoint, schedule) = (endpoint.clone(), schedule.clone());
        let (quota, collector) = (quota.clone(), collector.clone());
        let make = move || {
            let (endpoint, schedule) = (endpoint.clone(), schedule.clone());
            TcpClient::measuring(endpoint, schedule, quota.clone(), collector.clone())
        };
        tree.child(Child::new(numbered_name("probe", probe), make).transient());
    }
}
