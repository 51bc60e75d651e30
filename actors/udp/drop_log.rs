//! What a responder leaves unanswered, and why, as it tells of it.
//!
//! Whoever floods a responder with what it does not answer, or cannot, is told of once a second and not each time.

use std::io;
use std::time::{Duration, Instant};

use crate::actors::Report;
use crate::actors::support::throttle::ThrottledCounter;
use crate::actors::udp::reply_policy::DenyReason;
use crate::net::Peer;
use crate::runtime::Context;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum DropReason {
    /// The guard objects.
    Denied(DenyReason),
    /// The kernel does not send it.
    SendFailed(io::Error),
    /// The socket cannot be read, or waited for.
    RecvFailed(io::Error),
}

impl DropReason {
    const COUNT: usize = DenyReason::COUNT + 2;

    fn index(&self) -> usize {
        match self {
            DropReason::Denied(denial) => *denial as usize,
            DropReason::SendFailed(_) => DenyReason::COUNT,
            DropReason::RecvFailed(_) => DenyReason::COUNT + 1,
        }
    }
}

/// What has not been answered.
#[derive(Debug, Default)]
pub(crate) struct DropLog(ThrottledCounter<(Option<Peer>, DropReason), { DropReason::COUNT }>);

impl DropLog {
    /// Counts one more.
    pub(crate) fn add(&mut self, trouble: DropReason, peer: Option<&Peer>) {
        self.0.add(trouble.index(), 1, (peer.cloned(), trouble));
    }

    /// Tells whether there is nothing to be told, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how long it is until something is to be told, if there is anything.
    pub(crate) fn next_due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.0.next_due(now)
    }

    /// Returns what is to be told by now.
    pub(crate) fn take_due<M: Send + 'static>(&mut self, ctx: &Context<M>) -> Vec<Report> {
        self.0.take_due(|| ctx.now()).into_iter().map(to_report).collect()
    }

    /// Returns what has not been told.
    pub(crate) fn drain(&mut self) -> Vec<Report> {
        self.0.drain().into_iter().map(to_report).collect()
    }
}

fn to_report((_, count, (peer, trouble)): (usize, u64, (Option<Peer>, DropReason))) -> Report {
    let why = match trouble {
        DropReason::Denied(denial) => {
            format!("a datagram was not answered ({count} so far): {}", denial.as_str())
        }
        DropReason::SendFailed(error) => {
            format!("the answer could not be sent ({count} so far): {error}")
        }
        DropReason::RecvFailed(error) => {
            format!("a datagram could not be read ({count} so far): {error}")
        }
    };
    Report::Rejected { peer, reason: why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drop_log_reports_count_and_last_cause() {
        let mut unanswered = DropLog::default();
        let (gone, here) = (Peer::Unix(Some("gone".into())), Peer::Unix(Some("here".into())));
        for (error, peer) in [("down", &gone), ("full", &here)] {
            unanswered.add(DropReason::SendFailed(io::Error::other(error)), Some(peer));
        }
        unanswered.add(DropReason::RecvFailed(io::Error::other("broken")), None);
        unanswered.add(DropReason::Denied(DenyReason::PortZero), Some(&gone));
        let told = unanswered.drain().into_iter().map(|report| match report {
            Report::Rejected { peer, reason: why } => (peer, why),
            other => panic!("{other:?}"),
        });
        let words = |text: &str| text.to_owned();
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (
                    Some(gone),
                    words("a datagram was not answered (1 so far): it names no port to answer to")
                ),
                (Some(here), words("the answer could not be sent (2 so far): full")),
                (None, words("a datagram could not be read (1 so far): broken")),
            ]
        );
        assert!(unanswered.is_empty());
    }
}
