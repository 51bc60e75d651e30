//! The datagrams: a responder for each socket, and a socket for each thread; a client that asks.

use std::sync::Arc;

use super::{Role, Settings, client_child, numbered_name};
use crate::actors::{
    ClientQuota, ReplyPolicy, Reporter, Schedule, UdpClient, UdpFlood, UdpResponder,
};
use crate::net::{BindError, DatagramSocket, Endpoint};
use crate::runtime::{Child, Supervisor};

/// What the lecture's server answers, and what its client asks.
const DEFAULT_REPLY: &str = "Hello UDP Client";
const DEFAULT_REQUEST: &str = "Hello UDP Server";

/// What a request of a size is made of unless a message is given.
const FILL_PATTERN: &str = "abcdefghijklmnopqrstuvwxyz";

pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    // Where both sides run, the message is the client's.
    let message = settings.message.as_deref().filter(|_| settings.role == Role::Server);
    let reply: Arc<[u8]> = message.unwrap_or(DEFAULT_REPLY).as_bytes().into();
    let admissions = Arc::new(ClientQuota::new(settings.clients));
    let guard = Arc::new(reply_policy(settings));
    let buffer_size = settings.buffer_size;
    // Each of several sockets would hear what is sent to a group.
    let sockets = if settings.groups.is_empty() { settings.threads } else { 1 };
    let mut listening = Vec::new();
    let mut responders = 0;
    for endpoint in settings.listen_endpoints() {
        let sockets = DatagramSocket::bind_reuseport(&endpoint, sockets).await?;
        listening.extend(sockets.first().map(|socket| socket.endpoint().clone()));
        for socket in sockets {
            for group in &settings.groups {
                socket.join_multicast(group)?;
            }
            let (socket, reply, guard) = (Arc::new(socket), reply.clone(), guard.clone());
            let (admissions, reporter) = (admissions.clone(), reporter.clone());
            let responder = Child::new(numbered_name("responder", responders), move || {
                let (socket, reply, admissions) =
                    (socket.clone(), reply.clone(), admissions.clone());
                UdpResponder::new(socket, reply, buffer_size, admissions, reporter.clone())
                    .reply_policy(guard.clone())
            });
            tree.child(settings.server_child(responder));
            responders += 1;
        }
    }
    Ok(listening)
}

fn reply_policy(settings: &Settings) -> ReplyPolicy {
    let guard = ReplyPolicy::new().allow_amplification(settings.allow_amplification);
    match settings.reply_rate {
        Some(rate) => guard.rate_limit(rate),
        None => guard,
    }
}

pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let request = build_request(settings);
    let (pace, buffer_size, reporter) =
        (settings.schedule(), settings.buffer_size, reporter.clone());
    let (max_loss, numbered) = (settings.max_loss.unwrap_or(0.0), settings.size.is_some());
    if let Some((count, within)) = settings.flood {
        let pace = Schedule { interval: within / count.max(1), ..pace };
        let make = move || {
            let (endpoint, request) = (endpoint.clone(), request.clone());
            UdpFlood::new(endpoint, request, buffer_size, pace.clone(), reporter.clone())
                .max_loss(max_loss)
        };
        tree.child(client_child(Child::new("client", make)));
    } else {
        let measures = settings.is_measuring();
        let make = move || {
            let (endpoint, request) = (endpoint.clone(), request.clone());
            UdpClient::new(endpoint, request, buffer_size, pace.clone(), reporter.clone())
                .max_loss(max_loss)
                .report_numbers(numbered)
                .report_stats(measures)
        };
        tree.child(client_child(Child::new("client", make)));
    }
}

/// Returns what a client asks: a text, over and over up to a size where one is given.
fn build_request(settings: &Settings) -> Vec<u8> {
    let text = settings.message.as_deref();
    match settings.size {
        None => text.unwrap_or(DEFAULT_REQUEST).into(),
        Some(size) => {
            let text = text.filter(|text| !text.is_empty()).unwrap_or(FILL_PATTERN);
            text.bytes().cycle().take(size).collect()
        }
    }
}
