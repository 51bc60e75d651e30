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
const WAITING: usize = 256;

/// Sockets that are kept after their answer.
const ANSWERED: usize = 32;

/// Datagrams that are read from one socket before it is the next one's turn.
const AT_ONCE: usize = 16;

/// A request that was sent, and the socket that it was sent from.
#[derive(Debug)]
pub(crate) struct Lane {
    number: u64,
    socket: DatagramSocket,
    sent: Instant,
    answered: bool,
    failed: bool,
}

impl Lane {
    /// Makes the lane of a request that was sent just now or a moment ago.
    pub(crate) fn new(number: u64, socket: DatagramSocket, sent: Instant) -> Lane {
        Lane { number, socket, sent, answered: false, failed: false }
    }
}

/// What a lane heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) number: u64,
    pub(crate) rtt: Duration,
    /// Whether the request had been answered already.
    pub(crate) again: bool,
    /// The answer, or its beginning.
    pub(crate) result: io::Result<Vec<u8>>,
    arrived: Instant,
}

/// The lanes, in the order of their requests.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: VecDeque<Lane>,
    waiting: usize,
    buffer: Vec<u8>,
    /// What was read, the earliest first.
    heard: VecDeque<Heard>,
}

impl Lanes {
    /// Makes none, and a buffer of so many bytes.
    pub(crate) fn new(buffer_size: usize) -> Lanes {
        let buffer = vec![0; buffer_size];
        Lanes { lanes: VecDeque::new(), waiting: 0, buffer, heard: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, lane: Lane) {
        self.lanes.push_back(lane);
        self.waiting += 1;
    }

    /// Returns how many requests are waited for.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns how many requests are waited for that were sent no longer ago than `limit`.
    pub(crate) fn sent_within(&self, limit: Duration, now: Instant) -> usize {
        let is_young = |lane: &&Lane| now.saturating_duration_since(lane.sent) <= limit;
        self.lanes.iter().filter(|lane| !lane.answered).filter(is_young).count()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting < WAITING
    }

    /// Returns when the oldest request that is waited for was sent.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.lanes.iter().find(|lane| !lane.answered).map(|lane| lane.sent)
    }

    /// Tells whether nothing is waited for, and all that was read was taken.
    pub(crate) fn are_done(&self) -> bool {
        self.waiting == 0 && self.heard.is_empty()
    }

    /// Takes what was read already.
    pub(crate) fn pop(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Gives up what was waited for longer than `limit`, and the sockets that were answered first.
    pub(crate) fn tidy(&mut self, now: Instant, limit: Duration) {
        let mut spare = (self.lanes.len() - self.waiting).saturating_sub(ANSWERED);
        let mut given_up = 0;
        self.lanes.retain(|lane| match lane.answered {
            true if spare > 0 => {
                spare -= 1;
                false
            }
            true => true,
            false if now.saturating_duration_since(lane.sent) >= limit => {
                given_up += 1;
                false
            }
            false => true,
        });
        self.waiting -= given_up;
    }

    /// Waits until one of them hears something. May be dropped at any time: what was not returned is returned next.
    pub(crate) async fn hear(&mut self, clock: &Clock) -> Heard {
        poll_fn(|cx| {
            if self.heard.is_empty() {
                self.read(cx, clock);
            }
            self.pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Reads what has arrived, but no endless stream of it: where more is left, something was read, so it is looked at again.
    fn read(&mut self, cx: &mut Context<'_>, clock: &Clock) {
        for lane in &mut self.lanes {
            for _ in 0..AT_ONCE {
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
                let arrived = now.checked_sub(age).map_or(now, |arrived| arrived.max(lane.sent));
                let again = std::mem::replace(&mut lane.answered, true);
                self.waiting -= usize::from(!again);
                lane.failed |= result.is_err();
                let rtt = arrived.saturating_duration_since(lane.sent);
                let result = result.map(|(length, _)| self.buffer[..length].to_vec());
                self.heard.push_back(Heard { number: lane.number, rtt, again, result, arrived });
                if lane.failed {
                    break;
                }
            }
        }
        self.lanes.retain(|lane| !lane.failed);
        self.heard.make_contiguous().sort_by_key(|heard| heard.arrived);
    }
}
