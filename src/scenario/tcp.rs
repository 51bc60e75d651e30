//! The greeting: a listener, a greeter for each connection; a client that reads the greeting.

use std::sync::Arc;

use super::{Door, Settings, client as ends_the_tree, listeners, numbered};
use crate::actors::{Greeter, Reporter, TcpClient, TcpFigures, TcpProbe, Tickets};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};

/// What the lecture's server says.
const GREETING: &str = "Thank you for connecting";

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let greeting: Arc<[u8]> = settings.message.as_deref().unwrap_or(GREETING).as_bytes().into();
    let greeters = tree.pool(settings.connection_pool("greeters"));
    let told = reporter.clone();
    let serve = move |connection| Greeter::new(connection, greeting.clone(), told.clone());
    listeners(settings, tree, &greeters, reporter, Door::default(), serve).await
}

pub(super) fn client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let (pace, reporter) = (settings.pace(), reporter.clone());
    if settings.measures() {
        return measure(settings, tree, endpoint, reporter);
    }
    let make = move || TcpClient::new(endpoint.clone(), pace.clone(), reporter.clone());
    tree.child(ends_the_tree(Child::new("client", make)));
}

/// Adds the probes, as many as are at work at once, and the figures before them, since these end the tree.
fn measure(settings: &Settings, tree: &mut Supervisor, endpoint: Endpoint, reporter: Reporter) {
    let pace = settings.pace();
    let (max_loss, shows) = (settings.max_loss.unwrap_or(0.0), settings.concurrency.is_none());
    let adding = pace.clone();
    let figures = Child::new("figures", move || {
        TcpFigures::new(adding.clone(), reporter.clone()).max_loss(max_loss).shows_greetings(shows)
    });
    let figures = tree.child(ends_the_tree(figures));
    let tickets = Arc::new(Tickets::new(pace.count));
    for probe in 0..settings.concurrency.unwrap_or(1) {
        let (endpoint, pace) = (endpoint.clone(), pace.clone());
        let (tickets, figures) = (tickets.clone(), figures.clone());
        let make =
            move || TcpProbe::new(endpoint.clone(), pace.clone(), tickets.clone(), figures.clone());
        tree.child(Child::new(numbered("probe", probe), make).transient());
    }
}
