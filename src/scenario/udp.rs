//! The datagrams: a responder for each socket, and a socket for each thread; a client that asks.

use std::sync::Arc;

use super::{Role, Settings, client as ends_the_tree, numbered};
use crate::actors::{Admissions, ReplyGuard, Reporter, UdpClient, UdpResponder};
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
    let guard = Arc::new(guard(settings));
    let buffer_size = settings.buffer_size;
    // Each of several sockets would hear what is sent to a group.
    let sockets = if settings.groups.is_empty() { settings.threads } else { 1 };
    let mut listening = Vec::new();
    let mut responders = 0;
    for endpoint in settings.endpoints() {
        let sockets = DatagramSocket::bind_many(&endpoint, sockets).await?;
        listening.extend(sockets.first().map(|socket| socket.endpoint().clone()));
        for socket in sockets {
            for group in &settings.groups {
                socket.join(group)?;
            }
            let (socket, reply, guard) = (Arc::new(socket), reply.clone(), guard.clone());
            let (admissions, reporter) = (admissions.clone(), reporter.clone());
            let responder = Child::new(numbered("responder", responders), move || {
                let (socket, reply, admissions) =
                    (socket.clone(), reply.clone(), admissions.clone());
                UdpResponder::new(socket, reply, buffer_size, admissions, reporter.clone())
                    .guard(guard.clone())
            });
            tree.child(settings.serving(responder));
            responders += 1;
        }
    }
    Ok(listening)
}

fn guard(settings: &Settings) -> ReplyGuard {
    let guard = ReplyGuard::new().allow_amplification(settings.allow_amplification);
    match settings.reply_rate {
        Some(rate) => guard.rate(rate),
        None => guard,
    }
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
