//! Whom a listener refuses, and why, as it tells of it.

use crate::actors::Report;
use crate::actors::support::throttle::ThrottledCounter;
use crate::net::Peer;
use crate::runtime::Context;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectReason {
    /// As many are in as may be; who comes waits.
    PoolFull,
    /// Its address is banned.
    Banned,
    /// Its address has as many connections as it may.
    PerIpLimit,
    /// Nobody can be accepted.
    AcceptError,
}

/// Those who were refused.
#[derive(Debug, Default)]
pub(crate) struct Rejections(pub(crate) ThrottledCounter<(Option<Peer>, String), 4>);

impl Rejections {
    pub(crate) fn add(
        &mut self,
        refusal: RejectReason,
        more: u64,
        peer: Option<Peer>,
        words: String,
    ) {
        self.0.add(refusal as usize, more, (peer, words));
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

fn to_report((kind, count, (peer, words)): (usize, u64, (Option<Peer>, String))) -> Report {
    let why = match count {
        _ if kind == RejectReason::AcceptError as usize => {
            let turned_away = match count {
                0 => String::new(),
                count => format!(", {count} turned away so far"),
            };
            format!("no connection can be accepted now: {words}{turned_away}; trying again")
        }
        0 | 1 => words,
        _ => format!("{words} ({count} so far)"),
    };
    Report::Rejected { peer, reason: why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_are_reported_with_count() {
        let mut refused = Rejections::default();
        refused.add(RejectReason::Banned, 1, None, "banned".into());
        refused.add(RejectReason::AcceptError, 0, None, "no room".into());
        let told = |refused: &mut Rejections| {
            let told = refused.drain().into_iter().map(|report| match report {
                Report::Rejected { reason: why, .. } => why,
                other => panic!("{other:?}"),
            });
            told.collect::<Vec<_>>()
        };
        let stuck = "no connection can be accepted now: no room";
        assert_eq!(told(&mut refused), ["banned", &format!("{stuck}; trying again")]);
        refused.add(RejectReason::Banned, 1, None, "banned".into());
        refused.add(RejectReason::AcceptError, 7, None, "no room".into());
        let stuck = format!("{stuck}, 7 turned away so far; trying again");
        assert_eq!(told(&mut refused), ["banned (2 so far)", &stuck]);
    }
}
