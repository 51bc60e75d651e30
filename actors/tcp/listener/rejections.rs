//! The connections that a listener rejects, with the reasons.

use std::fmt;
use std::io;

use crate::actors::support::ip_limit::PerIpExcess;
use crate::actors::support::report::Report;
use crate::actors::support::throttle::{ThrottledEvent, ThrottledReports};
use crate::net::Peer;
use crate::wire::units::format_size;

/// A function that formats the line sent to a rejected connection, given the reason.
pub type RejectionMessage = fn(&str) -> String;

/// The reason why a connection is not accepted.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// The pool has this many children, which is its limit. New connections wait in the backlog.
    PoolFull(usize),
    /// The address is banned.
    Banned,
    /// The address or its network has as many connections as its limit.
    PerIpLimit(PerIpExcess),
    /// The memory budget of this many bytes is used up.
    OutOfMemory(usize),
    /// No connection can be accepted.
    AcceptError(io::Error),
}

/// The rejections of a listener, reported at most once per second.
pub(crate) type Rejections = ThrottledReports<Rejection, 5>;

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::PoolFull(limit) => {
                write!(f, "connection limit of {limit} reached (--max-conns); new ones wait")
            }
            Rejection::Banned => f.write_str("this address is banned"),
            Rejection::PerIpLimit(excess) => excess.fmt(f),
            Rejection::OutOfMemory(limit) => {
                let limit = format_size(*limit as u64);
                write!(f, "memory budget of {limit} is used up (--max-memory)")
            }
            Rejection::AcceptError(error) => write!(f, "cannot accept connections: {error}"),
        }
    }
}

impl ThrottledEvent for Rejection {
    fn kind(&self) -> usize {
        match self {
            Rejection::PoolFull(_) => 0,
            Rejection::Banned => 1,
            Rejection::PerIpLimit(_) => 2,
            Rejection::AcceptError(_) => 3,
            Rejection::OutOfMemory(_) => 4,
        }
    }

    fn into_report(self, peer: Option<Peer>, count: u64) -> Report {
        let reason = match (&self, count) {
            (Rejection::AcceptError(_), 0) => format!("{self}; retrying"),
            (Rejection::AcceptError(_), count) => {
                format!("{self}, {count} rejected so far; retrying")
            }
            (_, 0 | 1) => self.to_string(),
            (_, count) => format!("{self} ({count} so far)"),
        };
        match self {
            Rejection::Banned | Rejection::PerIpLimit(_) | Rejection::OutOfMemory(_) => {
                Report::Rejected { peer, reason }
            }
            Rejection::PoolFull(_) | Rejection::AcceptError(_) => Report::Warning { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(rejections: &mut Rejections) -> Vec<String> {
        let reasons = rejections.drain().into_iter().map(|report| match report {
            Report::Rejected { reason, .. } | Report::Warning { reason } => reason,
            other => panic!("{other:?}"),
        });
        reasons.collect()
    }

    #[test]
    fn rejections_are_reported_with_count() {
        let mut rejections = Rejections::default();
        let accept_error = || Rejection::AcceptError(io::Error::other("no memory"));
        rejections.add(Rejection::Banned, None, 1);
        rejections.add(accept_error(), None, 0);
        let expected = ["this address is banned", "cannot accept connections: no memory; retrying"];
        assert_eq!(reasons(&mut rejections), expected);
        rejections.add(Rejection::Banned, None, 1);
        rejections.add(accept_error(), None, 7);
        let expected = [
            "this address is banned (2 so far)",
            "cannot accept connections: no memory, 7 rejected so far; retrying",
        ];
        assert_eq!(reasons(&mut rejections), expected);
    }
}
