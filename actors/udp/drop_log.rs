//! The datagrams that a responder does not answer, with the reasons.

use std::io;

use crate::actors::support::report::Report;
use crate::actors::support::throttle::{ThrottledEvent, ThrottledReports};
use crate::actors::udp::reply_policy::DenyReason;
use crate::net::Peer;

/// The reason why a datagram is not answered.
#[derive(Debug)]
pub(crate) enum DropReason {
    /// The reply policy denies the reply.
    Denied(DenyReason),
    /// The reply could not be sent.
    SendFailed(io::Error),
    /// Reading the socket, or waiting for it to be readable, failed.
    RecvFailed(io::Error),
}

/// The number of kinds of drops.
const KINDS: usize = DenyReason::COUNT + 2;

/// The drops of a responder, reported at most once per second.
pub(crate) type DropLog = ThrottledReports<DropReason, KINDS>;

impl ThrottledEvent for DropReason {
    fn kind(&self) -> usize {
        match self {
            DropReason::Denied(reason) => *reason as usize,
            DropReason::SendFailed(_) => DenyReason::COUNT,
            DropReason::RecvFailed(_) => DenyReason::COUNT + 1,
        }
    }

    fn into_report(self, peer: Option<Peer>, count: u64) -> Report {
        let reason = match self {
            DropReason::Denied(reason) => {
                format!("datagram not answered ({count} so far): {}", reason.as_str())
            }
            DropReason::SendFailed(error) => {
                format!("cannot send a reply ({count} so far): {error}")
            }
            DropReason::RecvFailed(error) => {
                let reason = format!("cannot read a datagram ({count} so far): {error}");
                return Report::Warning { reason };
            }
        };
        Report::Rejected { peer, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_log_reports_count_and_last_cause() {
        let mut drops = DropLog::default();
        let (gone, here) = (Peer::Unix(Some("gone".into())), Peer::Unix(Some("here".into())));
        for (error, peer) in [("down", &gone), ("full", &here)] {
            drops.add(DropReason::SendFailed(io::Error::other(error)), Some(peer), 1);
        }
        drops.add(DropReason::RecvFailed(io::Error::other("broken")), None, 1);
        drops.add(DropReason::Denied(DenyReason::PortZero), Some(&gone), 1);
        let rejected = |peer, reason: &str| Report::Rejected { peer, reason: reason.to_owned() };
        assert_eq!(
            drops.drain(),
            [
                rejected(Some(gone), "datagram not answered (1 so far): its source port is 0"),
                rejected(Some(here), "cannot send a reply (2 so far): full"),
                Report::Warning { reason: "cannot read a datagram (1 so far): broken".to_owned() },
            ]
        );
        assert!(drops.is_empty());
    }
}
