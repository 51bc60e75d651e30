//! Who is not answered, and why.
//!
//! A responder answers whoever is written on a datagram as its sender, and that can be forged. Two responders that
//! answer each other never stop (CVE-2024-2169), and one whose answer is longer than what asked for it serves to flood
//! somebody else with more than the attacker sends. So a responder never answers its own words, nor port 0, nor itself;
//! and beyond this machine it answers with no more bytes than it was sent, and each network only so often.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::ReplyRate;
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
pub(super) enum Denial {
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
    pub(super) fn judge(
        &self,
        socket: &DatagramSocket,
        datagram: &Datagram<'_>,
        reply: &[u8],
        clock: &Clock,
    ) -> Result<(), Denial> {
        if datagram.length == reply.len() && reply.starts_with(datagram.bytes) {
            return Err(Denial::OwnReply);
        }
        if socket.is_own(datagram) {
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

/// How long one reason after another is gathered before it is told.
const GATHER: Duration = Duration::from_secs(1);

/// Counts denials, and has them told at most once a second, since a flood of datagrams is no reason for a flood of
/// lines.
#[derive(Debug, Default)]
pub(super) struct Denials {
    counts: [u64; Denial::ALL.len()],
    /// Who was denied last, where that has not been told.
    untold: [Option<Peer>; Denial::ALL.len()],
    told: Option<Instant>,
}

impl Denials {
    pub(super) fn count(&mut self, denial: Denial, peer: &Peer) {
        self.counts[denial as usize] += 1;
        self.untold[denial as usize] = Some(peer.clone());
    }

    /// Returns how long it is until something is to be told, if there is anything.
    pub(super) fn due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if self.untold.iter().all(Option::is_none) {
            return None;
        }
        let since = self.told.map(|told| now().saturating_duration_since(told));
        Some(since.map_or(Duration::ZERO, |since| GATHER.saturating_sub(since)))
    }

    /// Returns what is to be told now, each reason with its count since the start.
    pub(super) fn take(&mut self, now: impl Fn() -> Instant) -> Vec<(Peer, String)> {
        if self.due(&now) != Some(Duration::ZERO) {
            return Vec::new();
        }
        self.told = Some(now());
        self.rest()
    }

    /// Returns what has not been told.
    pub(super) fn rest(&mut self) -> Vec<(Peer, String)> {
        let counts = Denial::ALL.into_iter().zip(self.counts);
        let untold = self.untold.iter_mut().zip(counts);
        untold
            .filter_map(|(peer, (denial, count))| Some((peer.take()?, denial.told(count))))
            .collect()
    }
}

impl Denial {
    const ALL: [Denial; 5] =
        [Denial::OwnReply, Denial::NoPort, Denial::Itself, Denial::Amplifies, Denial::TooMany];

    fn told(self, count: u64) -> String {
        let why = match self {
            Denial::OwnReply => "it says what the answer says, so it may be an answer itself",
            Denial::NoPort => "it names no port to answer to",
            Denial::Itself => "it claims to come from here",
            Denial::Amplifies => {
                "the answer is longer than the datagram, which can be used to flood a third party"
            }
            Denial::TooMany => "its network has been answered too often",
        };
        format!("a datagram was not answered ({count} so far): {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_told_once_a_second_with_their_count() {
        let mut denials = Denials::default();
        let (start, peer) = (Instant::now(), Peer::Unix(None));
        let take = |denials: &mut Denials, at: u64| {
            let lines = denials.take(|| start + Duration::from_millis(at));
            lines
                .iter()
                .map(|line| line.1.split(['(', ' ']).nth(6).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert!(take(&mut denials, 0).is_empty());
        denials.count(Denial::Amplifies, &peer);
        assert_eq!(take(&mut denials, 0), ["1"]);
        for _ in 0..5 {
            denials.count(Denial::Amplifies, &peer);
        }
        denials.count(Denial::NoPort, &peer);
        assert!(take(&mut denials, 999).is_empty());
        assert_eq!(take(&mut denials, 1000), ["1", "6"]);
        assert!(take(&mut denials, 5000).is_empty());
        denials.count(Denial::NoPort, &peer);
        assert_eq!(denials.rest().len(), 1);
        assert!(denials.rest().is_empty());
    }
}
