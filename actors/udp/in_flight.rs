//! The requests of a [`UdpClient`](crate::actors::UdpClient) that wait for replies, each with its
//! own socket.
//!
//! Both the requests and the answered sockets that are kept to receive duplicates are limited.
//! Replies are ordered and timed by their arrival in the kernel, even if they are read late.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::net::DatagramSocket;
use crate::runtime::Clock;

/// The maximum number of unanswered requests.
const MAX_IN_FLIGHT: usize = 256;

/// The maximum number of sockets that are kept after their reply.
const MAX_ANSWERED_SOCKETS: usize = 32;

/// The number of datagrams that are read from a socket before the next one is read.
const MAX_READS_PER_SOCKET: usize = 16;

/// A request that was sent, and its socket.
#[derive(Debug)]
pub(crate) struct InFlightProbe {
    number: u64,
    socket: DatagramSocket,
    sent_at: Instant,
    answered: bool,
    failed: bool,
}

impl InFlightProbe {
    /// Creates an unanswered request.
    pub(crate) fn new(number: u64, socket: DatagramSocket, sent_at: Instant) -> InFlightProbe {
        InFlightProbe { number, socket, sent_at, answered: false, failed: false }
    }
}

/// A reply, or an error of the request's socket.
#[derive(Debug)]
pub(crate) struct ProbeReply {
    /// The number of the request.
    pub(crate) number: u64,
    pub(crate) rtt: Duration,
    /// Whether an earlier reply has answered the request.
    pub(crate) duplicate: bool,
    /// The reply, truncated to the buffer size.
    pub(crate) result: io::Result<Vec<u8>>,
    arrived_at: Instant,
}

/// The requests in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct InFlight {
    probes: VecDeque<InFlightProbe>,
    /// The number of unanswered requests.
    pending: usize,
    buffer: Vec<u8>,
    /// The replies that were read, in the order of their arrival.
    replies: VecDeque<ProbeReply>,
}

impl InFlight {
    /// Creates an empty queue. At most `buffer_size` bytes of a reply are read.
    pub(crate) fn new(buffer_size: usize) -> InFlight {
        let buffer = vec![0; buffer_size];
        InFlight { probes: VecDeque::new(), pending: 0, buffer, replies: VecDeque::new() }
    }

    /// Adds a request that was sent.
    pub(crate) fn push(&mut self, probe: InFlightProbe) {
        self.probes.push_back(probe);
        self.pending += 1;
    }

    /// Returns the number of unanswered requests.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Returns the number of unanswered requests that were sent at most `age` ago.
    pub(crate) fn count_younger_than(&self, age: Duration, now: Instant) -> usize {
        let is_young = |probe: &&InFlightProbe| now.saturating_duration_since(probe.sent_at) <= age;
        self.probes.iter().filter(|probe| !probe.answered).filter(is_young).count()
    }

    /// Returns whether one more request may be sent.
    pub(crate) fn has_capacity(&self) -> bool {
        self.pending < MAX_IN_FLIGHT
    }

    /// Returns the time at which the oldest unanswered request was sent.
    pub(crate) fn oldest_sent_at(&self) -> Option<Instant> {
        self.probes.iter().find(|probe| !probe.answered).map(|probe| probe.sent_at)
    }

    /// Returns whether no request is unanswered and all replies were taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.pending == 0 && self.replies.is_empty()
    }

    /// Takes the next reply that was already read.
    pub(crate) fn pop(&mut self) -> Option<ProbeReply> {
        self.replies.pop_front()
    }

    /// Removes the requests that have been unanswered for `timeout`, and the oldest answered
    /// sockets beyond the limit.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) {
        let mut excess = (self.probes.len() - self.pending).saturating_sub(MAX_ANSWERED_SOCKETS);
        let mut timed_out = 0;
        self.probes.retain(|probe| match probe.answered {
            true if excess > 0 => {
                excess -= 1;
                false
            }
            true => true,
            false if now.saturating_duration_since(probe.sent_at) >= timeout => {
                timed_out += 1;
                false
            }
            false => true,
        });
        self.pending -= timed_out;
    }

    /// Waits for the next reply. Cancel-safe.
    pub(crate) async fn next_reply(&mut self, clock: &Clock) -> ProbeReply {
        poll_fn(|cx| {
            if self.replies.is_empty() {
                self.poll_sockets(cx, clock);
            }
            self.pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Reads the pending datagrams, a limited number from each socket. A socket with more of them
    /// has no registered waker, but then there are replies, and the sockets are polled again.
    fn poll_sockets(&mut self, cx: &mut Context<'_>, clock: &Clock) {
        for probe in &mut self.probes {
            for _ in 0..MAX_READS_PER_SOCKET {
                let Poll::Ready(result) = probe.socket.poll_recv(cx, &mut self.buffer) else {
                    break;
                };
                // The clocks are read in this order, so that a pause in between makes the round
                // trip longer, not shorter.
                let (wall_time, now) = (clock.system_time(), clock.now());
                let age = match result {
                    Ok((_, Some(timestamp))) => {
                        wall_time.duration_since(timestamp).unwrap_or_default()
                    }
                    _ => Duration::ZERO,
                };
                // The wall clock may have been set in the meantime, so the age may be wrong.
                let arrived_at = now.checked_sub(age).map_or(now, |at| at.max(probe.sent_at));
                let duplicate = std::mem::replace(&mut probe.answered, true);
                self.pending -= usize::from(!duplicate);
                probe.failed |= result.is_err();
                let rtt = arrived_at.saturating_duration_since(probe.sent_at);
                let result = result.map(|(length, _)| self.buffer[..length].to_vec());
                let number = probe.number;
                self.replies.push_back(ProbeReply { number, rtt, duplicate, result, arrived_at });
                if probe.failed {
                    break;
                }
            }
        }
        self.probes.retain(|probe| !probe.failed);
        self.replies.make_contiguous().sort_by_key(|reply| reply.arrived_at);
    }
}
