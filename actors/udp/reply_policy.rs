//! The rules for which datagrams are answered.
//!
//! The source address of a datagram can be forged. Two responders that answer each other never stop
//! (CVE-2024-2169). A responder whose reply is longer than the request can be used to flood a third
//! party with more bytes than the attacker sends. So a responder never answers its own reply text,
//! port 0 or itself. Beyond loopback a reply is not longer than the request, and the replies to
//! each network are rate limited. On loopback a source that is in a loop with the server is slowed.

use std::net::IpAddr;
use std::time::Duration;

use crate::actors::udp::loop_detector::{LoopCriteria, LoopDetector};
use crate::actors::udp::network_rate_limit::{DEFAULT_REPLY_RATE, NetworkRateLimiter};
use crate::net::{Datagram, DatagramSocket, Peer};
use crate::runtime::Clock;

/// The rules that a responder checks before it replies. All responders of a server share them, and
/// with them the buckets of the rate limit.
#[derive(Debug)]
pub struct ReplyPolicy {
    rate_limit: Option<NetworkRateLimiter>,
    rate_on_loopback: bool,
    allow_amplification: bool,
    loop_criteria: LoopCriteria,
}

/// The rule that denies a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum DenyReason {
    OwnReply,
    PortZero,
    SelfAddressed,
    Amplification,
    RateLimited,
}

impl Default for ReplyPolicy {
    /// Creates a policy with [`DEFAULT_REPLY_RATE`] and no amplification beyond loopback.
    fn default() -> ReplyPolicy {
        ReplyPolicy {
            rate_limit: Some(NetworkRateLimiter::new(DEFAULT_REPLY_RATE)),
            rate_on_loopback: false,
            allow_amplification: false,
            loop_criteria: LoopCriteria::default(),
        }
    }
}

impl ReplyPolicy {
    /// Creates the default policy.
    pub fn new() -> ReplyPolicy {
        ReplyPolicy::default()
    }

    /// Sets the limit of replies to each network, loopback included: a count per period. With
    /// `None` there is no limit, and a loop with another server is not slowed.
    pub fn rate_limit(mut self, rate: Option<(u32, Duration)>) -> ReplyPolicy {
        self.rate_limit = rate.map(NetworkRateLimiter::new);
        self.rate_on_loopback = true;
        self
    }

    /// Sets whether a reply beyond loopback may be longer than the request.
    pub fn allow_amplification(mut self, allow: bool) -> ReplyPolicy {
        self.allow_amplification = allow;
        self
    }

    /// Sets the criteria of a loop, for a test that cannot take as long.
    #[cfg(test)]
    pub(crate) fn loop_criteria(mut self, loop_criteria: LoopCriteria) -> ReplyPolicy {
        self.loop_criteria = loop_criteria;
        self
    }

    /// Creates a detector of loops, unless the replies are not limited.
    pub(crate) fn loop_detector(&self) -> Option<LoopDetector> {
        self.rate_limit.as_ref().map(|_| LoopDetector::new(self.loop_criteria))
    }

    /// Checks whether `reply` may be sent to the sender of a datagram.
    pub(crate) fn check(
        &self,
        socket: &DatagramSocket,
        datagram: &Datagram<'_>,
        reply: &[u8],
        clock: &Clock,
    ) -> Result<(), DenyReason> {
        if datagram.bytes == reply && !datagram.is_truncated() {
            return Err(DenyReason::OwnReply);
        }
        if socket.is_from_self(datagram) {
            return Err(DenyReason::SelfAddressed);
        }
        // The peers of a Unix socket are local, and their addresses cannot be forged.
        let Peer::Inet(peer) = datagram.peer else { return Ok(()) };
        let is_loopback = datagram.peer.is_loopback();
        if peer.port() == 0 {
            Err(DenyReason::PortZero)
        } else if !is_loopback && !self.allow_amplification && reply.len() > datagram.length {
            Err(DenyReason::Amplification)
        } else if (!is_loopback || self.rate_on_loopback) && !self.try_acquire(peer.ip(), clock) {
            Err(DenyReason::RateLimited)
        } else {
            Ok(())
        }
    }

    fn try_acquire(&self, ip: IpAddr, clock: &Clock) -> bool {
        self.rate_limit.as_ref().is_none_or(|limiter| limiter.try_acquire(ip, clock.now()))
    }
}

impl DenyReason {
    /// The number of reasons.
    pub(crate) const COUNT: usize = 5;

    /// Returns the reason as a phrase about the datagram.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            DenyReason::OwnReply => {
                "it equals the server's reply, and may come from another server"
            }
            DenyReason::PortZero => "its source port is 0",
            DenyReason::SelfAddressed => "its source address is the server's own",
            DenyReason::Amplification => {
                "the reply is longer than the datagram, and could flood a forged source \
                 (--allow-amplification)"
            }
            DenyReason::RateLimited => "its network exceeds the reply limit (--reply-rate)",
        }
    }
}
