//! The invariants of a run with faults.

use sockactors::wire::chat::NickList;
use sockactors::wire::chat::notice::{Notice, parse_notice};

use super::run::{LINES, MEMBERS, Record};

/// Returns the members whose departure a line announces, alone or together with others.
fn departed(line: &str) -> Option<NickList<'_>> {
    match parse_notice(line) {
        Notice::MembersLeft(nicks) => Some(nicks),
        _ => None,
    }
}

/// Returns the members whose arrival a line announces.
fn arrived(line: &str) -> Option<NickList<'_>> {
    match parse_notice(line) {
        Notice::MembersJoined(nicks) => Some(nicks),
        _ => None,
    }
}

fn names(nicks: Option<NickList<'_>>, k: usize) -> bool {
    let nick = format!("m{k}");
    nicks.is_some_and(|nicks| nicks.iter().any(|named| named == nick))
}

impl Record {
    /// Returns whether a member has no session, or no longer has one.
    fn is_gone(&self, k: usize) -> bool {
        self.sessions[k].is_none_or(|session| self.ended.contains_key(&session))
    }

    fn is_hung(&self, k: usize) -> bool {
        self.sessions[k].is_some_and(|session| self.hung.contains(&session))
    }

    /// Returns whether a member was present and receiving all the time.
    pub fn is_left(&self, k: usize) -> bool {
        !self.is_gone(k) && !self.is_hung(k) && !self.vanished.contains(&k)
    }

    /// Returns where the lines of `k` are in what `to` received.
    pub fn said(&self, to: usize, k: usize) -> Vec<usize> {
        let lines = self.heard[to].lines().enumerate();
        let by = format!("m{k}: ");
        let said: Vec<_> = lines.filter(|(_, line)| line.starts_with(&by)).collect();
        for (n, (_, line)) in said.iter().enumerate() {
            let whole = format!("m{k}: {k} says {n}");
            // A line that a peer was sending when it vanished ends there.
            let is_cut = self.vanished.contains(&k) && n + 1 == said.len();
            assert!(*line == whole || (is_cut && whole.starts_with(line)), "m{to} heard {line}");
        }
        said.into_iter().map(|(at, _)| at).collect()
    }
}

/// Checks which members have left, and which are in the registry.
pub fn places(record: &Record) {
    for k in 0..MEMBERS {
        let Some(session) = record.sessions[k] else { continue };
        let must = record.struck.contains(&session)
            || (record.vanished.contains(&k) && !record.is_hung(k));
        assert!(must || record.tripped || !record.is_gone(k), "m{k} ended for no reason");
        assert!(!must || record.is_gone(k), "m{k} is not gone");
        // A session may hang before it joins.
        assert!(record.is_hung(k) || record.free[k] == record.is_gone(k), "the name of m{k}");
    }
    let here = record.free.iter().filter(|free| !**free).count();
    assert_eq!(record.registry, format!("ChatRegistry(1 rooms, {here} members)"));
}

/// Checks what a member received that was present all the time.
pub fn heard(record: &Record, to: usize) {
    for k in (0..MEMBERS).filter(|k| *k != to) {
        let said = record.said(to, k);
        assert!(!record.is_left(k) || said.len() == LINES, "m{to} heard m{k} {} times", said.len());
        let place = |nicks: fn(&str) -> Option<NickList<'_>>| {
            let lines = record.heard[to].lines().enumerate();
            let found: Vec<_> = lines.filter(|(_, line)| names(nicks(line), k)).collect();
            assert!(found.len() <= 1, "m{to} was told of m{k} more than once: {found:?}");
            found.first().map(|(at, _)| *at)
        };
        let (joined, left) = (place(arrived), place(departed));
        match left {
            Some(_) => assert!(record.is_gone(k), "m{to} was told that m{k} left"),
            None if record.is_gone(k) => {
                assert!(joined.is_none() && said.is_empty(), "m{to} was not told that m{k} left");
            }
            None => {}
        }
        assert!(left.is_none() || said.last() < left.as_ref(), "m{k} spoke after it left");
    }
}

/// Checks that two members that were present all the time received all others in one order.
pub fn order_of(record: &Record, one: usize, other: usize) {
    let spoke = |k: &usize| ![one, other].contains(k) && !record.said(one, *k).is_empty();
    let others: Vec<_> = (0..MEMBERS).filter(spoke).collect();
    let order = |to: usize| {
        let of = |line: &&str| {
            others.iter().any(|k| line.starts_with(&format!("m{k}: ")) || names(departed(line), *k))
        };
        record.heard[to].lines().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(order(one), order(other), "m{one} and m{other}");
}
