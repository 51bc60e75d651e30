//! Who is not answered, and why.
//!
//! A responder answers whoever is written on a datagram as its sender, and that can be forged. Two responders that
//! answer each other never stop (CVE-2024-2169), and one whose answer is longer than what asked for it serves to flood
//! somebody else with more than the attacker sends. So a responder never answers its own words, nor port 0, nor itself;
//! and beyond this machine it answers with no more bytes than it was sent, and each network only so often.

use std::net::IpAddr;
use std::time::Duration;

use crate::actors::ReplyRate;
use crate::net::{Datagram, DatagramSocket, Peer};
use crate::runtime::Clock;

/// How many answers each network beyond this machine is sent in which time, unless that is set.
pub const REPLY_RATE: (u32, Duration) = (1000, Duration::from_secs(1));

/// What a responder checks before it answers. It belongs to the tree: all responders of a server share its buckets.
#[derive(Debug)]
pub struct ReplyGuard {
    rate: Option<ReplyRate>,
    rate_on_loopback: bool,
    allow_amplification: bool,
}

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Denial {
    OwnReply,
    NoPort,
    Itself,
    Amplifies,
    TooMany,
}

impl Default for ReplyGuard {
    /// Makes a guard with [`REPLY_RATE`] beyond loopback, and no longer answers than what asks for them.
    fn default() -> ReplyGuard {
        ReplyGuard {
            rate: Some(ReplyRate::new(REPLY_RATE)),
            rate_on_loopback: false,
            allow_amplification: false,
        }
    }
}

impl ReplyGuard {
    /// Makes the default guard.
    pub fn new() -> ReplyGuard {
        ReplyGuard::default()
    }

    /// Sets how many answers each network is sent in which time, this machine too; `None` is any number.
    pub fn rate(mut self, rate: Option<(u32, Duration)>) -> ReplyGuard {
        self.rate = rate.map(ReplyRate::new);
        self.rate_on_loopback = true;
        self
    }

    /// Sets whether an answer beyond this machine may be longer than what asked for it.
    pub fn allow_amplification(mut self, allow: bool) -> ReplyGuard {
        self.allow_amplification = allow;
        self
    }

    /// Judges whether `reply` may be sent to the sender of a datagram.
    pub(crate) fn judge(
        &self,
        socket: &DatagramSocket,
        datagram: &Datagram<'_>,
        reply: &[u8],
        clock: &Clock,
    ) -> Result<(), Denial> {
        if datagram.bytes == reply && !datagram.is_truncated() {
            return Err(Denial::OwnReply);
        }
        if socket.is_from_self(datagram) {
            return Err(Denial::Itself);
        }
        // Unix sockets are on this machine, and their senders cannot be forged.
        let Peer::Inet(peer) = datagram.peer else { return Ok(()) };
        let is_loopback = datagram.peer.is_loopback();
        if peer.port() == 0 {
            Err(Denial::NoPort)
        } else if !is_loopback && !self.allow_amplification && reply.len() > datagram.length {
            Err(Denial::Amplifies)
        } else if (!is_loopback || self.rate_on_loopback) && !self.spend(peer.ip(), clock) {
            Err(Denial::TooMany)
        } else {
            Ok(())
        }
    }

    fn spend(&self, ip: IpAddr, clock: &Clock) -> bool {
        self.rate.as_ref().is_none_or(|rate| rate.spend(ip, clock.now()))
    }
}

impl Denial {
    pub(crate) const KINDS: usize = 5;

    /// Says why.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Denial::OwnReply => "it says what the answer says, so it may be an answer itself",
            Denial::NoPort => "it names no port to answer to",
            Denial::Itself => "it claims to come from here",
            Denial::Amplifies => {
                "the answer is longer than the datagram, which can be used to flood a third party"
            }
            Denial::TooMany => "its network has been answered too often",
        }
    }
}
