//! The datagrams: a responder for each socket; a client that asks.

use std::sync::Arc;

use super::{Role, Settings, client as ends_the_tree, numbered};
use crate::actors::{Admissions, Reporter, UdpClient, UdpResponder};
use crate::net::{BindError, DatagramSocket, Endpoint};
use crate::runtime::{Child, Supervisor};

/// What the lecture's server answers, and what its client asks.
const ANSWER: &str = "Hello UDP Client";
const REQUEST: &str = "Hello UDP Server";

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    // Where both sides run, the message is the client's.
    let message = settings.message.as_deref().filter(|_| settings.role == Role::Server);
    let reply: Arc<[u8]> = message.unwrap_or(ANSWER).as_bytes().into();
    let admissions = Arc::new(Admissions::new(settings.clients));
    let buffer_size = settings.buffer_size;
    let mut listening = Vec::new();
    for (index, endpoint) in settings.endpoints().iter().enumerate() {
        let socket = Arc::new(DatagramSocket::bind(endpoint).await?);
        listening.push(socket.endpoint().clone());
        let (reply, admissions, reporter) = (reply.clone(), admissions.clone(), reporter.clone());
        let responder = Child::new(numbered("responder", index), move || {
            let (socket, reply) = (socket.clone(), reply.clone());
            UdpResponder::new(socket, reply, buffer_size, admissions.clone(), reporter.clone())
        });
        tree.child(settings.serving(responder));
    }
    Ok(listening)
}

pub(super) fn client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let message = settings.message.clone().unwrap_or_else(|| REQUEST.into()).into_bytes();
    let (pace, buffer_size, reporter) = (settings.pace(), settings.buffer_size, reporter.clone());
    let make = move || {
        let (endpoint, message) = (endpoint.clone(), message.clone());
        UdpClient::new(endpoint, message, buffer_size, pace.clone(), reporter.clone())
    };
    tree.child(ends_the_tree(Child::new("client", make)));
}
