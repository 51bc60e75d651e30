//! The udp scenario: responders, one per socket and thread, and a client that sends requests.

use std::sync::Arc;

use crate::actors::{
    ClientQuota, ReplyPolicy, Reporter, Schedule, UdpClient, UdpFlood, UdpResponder,
};
use crate::net::{BindError, DatagramSocket, Endpoint};
use crate::runtime::{Child, Supervisor};
use crate::scenario::children::{client_child, numbered_name, server_child};
use crate::scenario::listeners::warn_of_unbound;
use crate::scenario::settings::{Role, Settings};

/// The reply of the lecture's server.
const DEFAULT_REPLY: &str = "Hello UDP Client";

/// The request of the lecture's client.
const DEFAULT_REQUEST: &str = "Hello UDP Server";

/// The repeated content of a request with `--size` and without `--message`.
const FILL_PATTERN: &str = "abcdefghijklmnopqrstuvwxyz";

/// Adds the server, and returns its bound endpoints.
pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    // With both sides in one process, `--message` is the client's request.
    let message = settings.message.as_deref().filter(|_| settings.role == Role::Server);
    let reply: Arc<[u8]> = message.unwrap_or(DEFAULT_REPLY).as_bytes().into();
    let quota = Arc::new(ClientQuota::new(settings.clients));
    let policy = Arc::new(reply_policy(settings));
    let buffer_size = settings.buffer_size;
    // With several sockets, each would receive, and answer, every multicast datagram.
    let socket_count = if settings.groups.is_empty() { settings.threads } else { 1 };
    let mut endpoints = Vec::new();
    let mut responder_count = 0;
    for address in settings.listen_addresses() {
        let bound = DatagramSocket::bind_all(&address, socket_count).await?;
        warn_of_unbound(&bound.errors, reporter);
        for socket in bound.sockets {
            // The sockets of the threads share an endpoint.
            if endpoints.last() != Some(socket.endpoint()) {
                endpoints.push(socket.endpoint().clone());
            }
            for group in &settings.groups {
                socket.join_multicast(group)?;
            }
            let (socket, reply, policy) = (Arc::new(socket), reply.clone(), policy.clone());
            let (quota, reporter) = (quota.clone(), reporter.clone());
            let responder = Child::new(numbered_name("responder", responder_count), move || {
                let (socket, reply, quota) = (socket.clone(), reply.clone(), quota.clone());
                UdpResponder::new(socket, reply, buffer_size, quota, reporter.clone())
                    .reply_policy(policy.clone())
            });
            tree.child(server_child(settings, responder));
            responder_count += 1;
        }
    }
    Ok(endpoints)
}

fn reply_policy(settings: &Settings) -> ReplyPolicy {
    let policy = ReplyPolicy::new().allow_amplification(settings.allow_amplification);
    match settings.reply_rate {
        Some(rate) => policy.rate_limit(rate),
        None => policy,
    }
}

/// Adds the client: one that waits for each reply, or one that sends at a fixed rate.
pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) {
    let request = build_request(settings);
    let (schedule, buffer_size) = (settings.schedule(), settings.buffer_size);
    let reporter = reporter.clone();
    let max_loss = settings.max_loss.unwrap_or(0.0);
    let has_numbers = settings.size.is_some();
    if let Some((count, period)) = settings.flood {
        let schedule = Schedule { interval: period / count.max(1), ..schedule };
        let make = move || {
            let (endpoint, request) = (endpoint.clone(), request.clone());
            UdpFlood::new(endpoint, request, buffer_size, schedule.clone(), reporter.clone())
                .max_loss(max_loss)
        };
        tree.child(client_child(Child::new("client", make)));
    } else {
        let is_measuring = settings.is_measuring();
        let make = move || {
            let (endpoint, request) = (endpoint.clone(), request.clone());
            UdpClient::new(endpoint, request, buffer_size, schedule.clone(), reporter.clone())
                .max_loss(max_loss)
                .report_numbers(has_numbers)
                .report_stats(is_measuring)
        };
        tree.child(client_child(Child::new("client", make)));
    }
}

/// Returns the request of a client. With a size, its text is repeated up to that size.
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
