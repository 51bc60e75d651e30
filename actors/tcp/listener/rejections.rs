//! Whom a listener refuses, and why, as it tells of it.

use crate::actors::Report;
use crate::actors::support::throttle::Gathered;
use crate::net::Peer;
use crate::runtime::Context;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// As many are in as may be; who comes waits.
    Full,
    /// Its address is banned.
    Banned,
    /// Its address has as many connections as it may.
    TooMany,
    /// Nobody can be accepted.
    Stuck,
}

/// Those who were refused.
#[derive(Debug, Default)]
pub(crate) struct Refused(pub(crate) Gathered<(Option<Peer>, String), 4>);

impl Refused {
    pub(crate) fn add(&mut self, refusal: Refusal, more: u64, peer: Option<Peer>, words: String) {
        self.0.add(refusal as usize, more, (peer, words));
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

fn report((kind, count, (peer, words)): (usize, u64, (Option<Peer>, String))) -> Report {
    let why = match count {
        _ if kind == Refusal::Stuck as usize => {
            let turned_away = match count {
                0 => String::new(),
                count => format!(", {count} turned away so far"),
            };
            format!("no connection can be accepted now: {words}{turned_away}; trying again")
        }
        0 | 1 => words,
        _ => format!("{words} ({count} so far)"),
    };
    Report::Refused { peer, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_were_refused_are_told_with_their_number() {
        let mut refused = Refused::default();
        refused.add(Refusal::Banned, 1, None, "banned".into());
        refused.add(Refusal::Stuck, 0, None, "no room".into());
        let told = |refused: &mut Refused| {
            let told = refused.rest().into_iter().map(|report| match report {
                Report::Refused { why, .. } => why,
                other => panic!("{other:?}"),
            });
            told.collect::<Vec<_>>()
        };
        let stuck = "no connection can be accepted now: no room";
        assert_eq!(told(&mut refused), ["banned", &format!("{stuck}; trying again")]);
        refused.add(Refusal::Banned, 1, None, "banned".into());
        refused.add(Refusal::Stuck, 7, None, "no room".into());
        let stuck = format!("{stuck}, 7 turned away so far; trying again");
        assert_eq!(told(&mut refused), ["banned (2 so far)", &stuck]);
    }
}
