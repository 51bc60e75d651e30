//! The greeting: a listener, a greeter for each connection; a client that reads the greeting.

use std::sync::Arc;

use super::{Settings, client as ends_the_tree, listeners};
use crate::actors::{Greeter, Reporter, TcpClient};
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
    listeners(settings, tree, &greeters, reporter, Arc::default(), serve).await
}

pub(super) fn client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let (pace, reporter) = (settings.pace(), reporter.clone());
    let make = move || TcpClient::new(endpoint.clone(), pace.clone(), reporter.clone());
    tree.child(ends_the_tree(Child::new("client", make)));
}
