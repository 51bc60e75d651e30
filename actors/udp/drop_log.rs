//! What a responder leaves unanswered, and why, as it tells of it.
//!
//! Whoever floods a responder with what it does not answer, or cannot, is told of once a second and not each time.

use std::io;
use std::time::{Duration, Instant};

use crate::actors::Report;
use crate::actors::support::throttle::Gathered;
use crate::actors::udp::reply_policy::Denial;
use crate::net::Peer;
use crate::runtime::Context;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The guard objects.
    Denied(Denial),
    /// The kernel does not send it.
    Unsent(io::Error),
    /// The socket cannot be read, or waited for.
    Unread(io::Error),
}

impl Trouble {
    const KINDS: usize = Denial::KINDS + 2;

    fn kind(&self) -> usize {
        match self {
            Trouble::Denied(denial) => *denial as usize,
            Trouble::Unsent(_) => Denial::KINDS,
            Trouble::Unread(_) => Denial::KINDS + 1,
        }
    }
}

/// What has not been answered.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(Gathered<(Option<Peer>, Trouble), { Trouble::KINDS }>);

impl Unanswered {
    /// Counts one more.
    pub(crate) fn add(&mut self, trouble: Trouble, peer: Option<&Peer>) {
        self.0.add(trouble.kind(), 1, (peer.cloned(), trouble));
    }

    /// Tells whether there is nothing to be told, now or later.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.is_quiet()
    }

    /// Returns how long it is until something is to be told, if there is anything.
    pub(crate) fn due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.0.due(now)
    }

    /// Returns what is to be told by now.
    pub(crate) fn due_now<M: Send + 'static>(&mut self, ctx: &Context<M>) -> Vec<Report> {
        self.0.take(|| ctx.now()).into_iter().map(report).collect()
    }

    /// Returns what has not been told.
    pub(crate) fn rest(&mut self) -> Vec<Report> {
        self.0.rest().into_iter().map(report).collect()
    }
}

fn report((_, count, (peer, trouble)): (usize, u64, (Option<Peer>, Trouble))) -> Report {
    let why = match trouble {
        Trouble::Denied(denial) => {
            format!("a datagram was not answered ({count} so far): {}", denial.why())
        }
        Trouble::Unsent(error) => format!("the answer could not be sent ({count} so far): {error}"),
        Trouble::Unread(error) => format!("a datagram could not be read ({count} so far): {error}"),
    };
    Report::Refused { peer, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_with_its_number_and_its_last_cause() {
        let mut unanswered = Unanswered::default();
        let (gone, here) = (Peer::Unix(Some("gone".into())), Peer::Unix(Some("here".into())));
        for (error, peer) in [("down", &gone), ("full", &here)] {
            unanswered.add(Trouble::Unsent(io::Error::other(error)), Some(peer));
        }
        unanswered.add(Trouble::Unread(io::Error::other("broken")), None);
        unanswered.add(Trouble::Denied(Denial::NoPort), Some(&gone));
        let told = unanswered.rest().into_iter().map(|report| match report {
            Report::Refused { peer, why } => (peer, why),
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
        assert!(unanswered.is_quiet());
    }
}
