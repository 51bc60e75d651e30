//! Who is not answered, and why.
//!
//! A responder answers whoever is written on a datagram as its sender, and that can be forged. Two responders that
//! answer each other never stop (CVE-2024-2169), and one whose answer is longer than what asked for it serves to flood
//! somebody else with more than the attacker sends. So a responder never answers its own words, nor port 0, nor itself;
//! and beyond this machine it answers with no more bytes than it was sent, and each network only so often.

use std::net::IpAddr;
use std::time::Duration;

use crate::actors::NetworkRateLimiter;
use crate::net::{Datagram, DatagramSocket, Peer};
use crate::runtime::Clock;

/// How many answers each network beyond this machine is sent in which time, unless that is set.
pub const DEFAULT_REPLY_RATE: (u32, Duration) = (1000, Duration::from_secs(1));

/// What a responder checks before it answers. It belongs to the tree: all responders of a server share its buckets.
#[derive(Debug)]
pub struct ReplyPolicy {
    rate_limit: Option<NetworkRateLimiter>,
    rate_on_loopback: bool,
    allow_amplification: bool,
}

/// Why a datagram is not answered.
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
    /// Makes a guard with [`DEFAULT_REPLY_RATE`] beyond loopback, and no longer answers than what asks for them.
    fn default() -> ReplyPolicy {
        ReplyPolicy {
            rate_limit: Some(NetworkRateLimiter::new(DEFAULT_REPLY_RATE)),
            rate_on_loopback: false,
            allow_amplification: false,
        }
    }
}

impl ReplyPolicy {
    /// Makes the default guard.
    pub fn new() -> ReplyPolicy {
        ReplyPolicy::default()
    }

    /// Sets how many answers each network is sent in which time, this machine too; `None` is any number.
    pub fn rate_limit(mut self, rate: Option<(u32, Duration)>) -> ReplyPolicy {
        self.rate_limit = rate.map(NetworkRateLimiter::new);
        self.rate_on_loopback = true;
        self
    }

    /// Sets whether an answer beyond this machine may be longer than what asked for it.
    pub fn allow_amplification(mut self, allow: bool) -> ReplyPolicy {
        self.allow_amplification = allow;
        self
    }

    /// Judges whether `reply` may be sent to the sender of a datagram.
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
        // Unix sockets are on this machine, and their senders cannot be forged.
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
        self.rate_limit.as_ref().is_none_or(|rate| rate.try_acquire(ip, clock.now()))
    }
}

impl DenyReason {
    pub(crate) const COUNT: usize = 5;

    /// Says why.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            DenyReason::OwnReply => "it says what the answer says, so it may be an answer itself",
            DenyReason::PortZero => "it names no port to answer to",
            DenyReason::SelfAddressed => "it claims to come from here",
            DenyReason::Amplification => {
                "the answer is longer than the datagram, which can be used to flood a third party"
            }
            DenyReason::RateLimited => "its network has been answered too often",
        }
    }
}
