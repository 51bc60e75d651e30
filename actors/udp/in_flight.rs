//! The sockets of a [`UdpProbe`](crate::actors::UdpProbe): a lane for each request, which waits for its answer.
//!
//! They are bounded: so many requests are waited for, and so many sockets are kept after their answer, to hear a second
//! one. What many of them have heard is put in the order in which it arrived, and timed by that, however late it is read.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::net::DatagramSocket;
use crate::runtime::Clock;

/// Requests that are waited for at once, at most.
const MAX_IN_FLIGHT: usize = 256;

/// Sockets that are kept after their answer.
const MAX_ANSWERED_SOCKETS: usize = 32;

/// Datagrams that are read from one socket before it is the next one's turn.
const MAX_READS_PER_SOCKET: usize = 16;

/// A request that was sent, and the socket that it was sent from.
#[derive(Debug)]
pub(crate) struct InFlightProbe {
    number: u64,
    socket: DatagramSocket,
    sent_at: Instant,
    answered: bool,
    failed: bool,
}

impl InFlightProbe {
    /// Makes the lane of a request that was sent just now or a moment ago.
    pub(crate) fn new(number: u64, socket: DatagramSocket, sent: Instant) -> InFlightProbe {
        InFlightProbe { number, socket, sent_at: sent, answered: false, failed: false }
    }
}

/// What a lane heard.
#[derive(Debug)]
pub(crate) struct ProbeReply {
    pub(crate) number: u64,
    pub(crate) rtt: Duration,
    /// Whether the request had been answered already.
    pub(crate) duplicate: bool,
    /// The answer, or its beginning.
    pub(crate) result: io::Result<Vec<u8>>,
    arrived_at: Instant,
}

/// The lanes, in the order of their requests.
#[derive(Debug)]
pub(crate) struct InFlight {
    probes: VecDeque<InFlightProbe>,
    pending: usize,
    buffer: Vec<u8>,
    /// What was read, the earliest first.
    replies: VecDeque<ProbeReply>,
}

impl InFlight {
    /// Makes none, and a buffer of so many bytes.
    pub(crate) fn new(buffer_size: usize) -> InFlight {
        let buffer = vec![0; buffer_size];
        InFlight { probes: VecDeque::new(), pending: 0, buffer, replies: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, lane: InFlightProbe) {
        self.probes.push_back(lane);
        self.pending += 1;
    }

    /// Returns how many requests are waited for.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Returns how many requests are waited for that were sent no longer ago than `limit`.
    pub(crate) fn count_younger_than(&self, limit: Duration, now: Instant) -> usize {
        let is_young = |lane: &&InFlightProbe| now.saturating_duration_since(lane.sent_at) <= limit;
        self.probes.iter().filter(|lane| !lane.answered).filter(is_young).count()
    }

    pub(crate) fn has_capacity(&self) -> bool {
        self.pending < MAX_IN_FLIGHT
    }

    /// Returns when the oldest request that is waited for was sent.
    pub(crate) fn oldest_sent_at(&self) -> Option<Instant> {
        self.probes.iter().find(|lane| !lane.answered).map(|lane| lane.sent_at)
    }

    /// Tells whether nothing is waited for, and all that was read was taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.pending == 0 && self.replies.is_empty()
    }

    /// Takes what was read already.
    pub(crate) fn pop(&mut self) -> Option<ProbeReply> {
        self.replies.pop_front()
    }

    /// Gives up what was waited for longer than `limit`, and the sockets that were answered first.
    pub(crate) fn expire(&mut self, now: Instant, limit: Duration) {
        let mut spare = (self.probes.len() - self.pending).saturating_sub(MAX_ANSWERED_SOCKETS);
        let mut given_up = 0;
        self.probes.retain(|lane| match lane.answered {
            true if spare > 0 => {
                spare -= 1;
                false
            }
            true => true,
            false if now.saturating_duration_since(lane.sent_at) >= limit => {
                given_up += 1;
                false
            }
            false => true,
        });
        self.pending -= given_up;
    }

    /// Waits until one of them hears something. May be dropped at any time: what was not returned is returned next.
    pub(crate) async fn next_reply(&mut self, clock: &Clock) -> ProbeReply {
        poll_fn(|cx| {
            if self.replies.is_empty() {
                self.poll_sockets(cx, clock);
            }
            self.pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Reads what has arrived, but no endless stream of it: where more is left, something was read, so it is looked at again.
    fn poll_sockets(&mut self, cx: &mut Context<'_>, clock: &Clock) {
        for lane in &mut self.probes {
            for _ in 0..MAX_READS_PER_SOCKET {
                let Poll::Ready(result) = lane.socket.poll_recv(cx, &mut self.buffer) else {
                    break;
                };
                // In this order, a pause in between makes no round trip shorter than it was.
                let (wall, now) = (clock.system_time(), clock.now());
                let age = match result {
                    Ok((_, Some(stamp))) => wall.duration_since(stamp).unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                // The time of day may have jumped.
                let arrived = now.checked_sub(age).map_or(now, |arrived| arrived.max(lane.sent_at));
                let again = std::mem::replace(&mut lane.answered, true);
                self.pending -= usize::from(!again);
                lane.failed |= result.is_err();
                let rtt = arrived.saturating_duration_since(lane.sent_at);
                let result = result.map(|(length, _)| self.buffer[..length].to_vec());
                self.replies.push_back(ProbeReply {
                    number: lane.number,
                    rtt,
                    duplicate: again,
                    result,
                    arrived_at: arrived,
                });
                if lane.failed {
                    break;
                }
            }
        }
        self.probes.retain(|lane| !lane.failed);
        self.replies.make_contiguous().sort_by_key(|heard| heard.arrived_at);
    }
}
