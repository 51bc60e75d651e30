//! What must hold of a run, whoever was struck.

use super::run::{LINES, MEMBERS, Notes};

impl Notes {
    /// Whether a member has no session, or none any more.
    fn is_gone(&self, k: usize) -> bool {
        self.sessions[k].is_none_or(|session| self.ended.contains_key(&session))
    }

    fn is_hung(&self, k: usize) -> bool {
        self.sessions[k].is_some_and(|session| self.hung.contains(&session))
    }

    /// Whether a member was there all the time, and heard.
    pub fn is_left(&self, k: usize) -> bool {
        !self.is_gone(k) && !self.is_hung(k) && !self.vanished.contains(&k)
    }

    /// Where in what `to` was sent the lines are that `k` said.
    pub fn said(&self, to: usize, k: usize) -> Vec<usize> {
        let lines = self.heard[to].lines().enumerate();
        let by = format!("m{k}: ");
        let said: Vec<_> = lines.filter(|(_, line)| line.starts_with(&by)).collect();
        for (n, (_, line)) in said.iter().enumerate() {
            let whole = format!("m{k}: {k} says {n}");
            // The line that a peer was saying when it vanished ends there.
            let is_cut = self.vanished.contains(&k) && n + 1 == said.len();
            assert!(*line == whole || (is_cut && whole.starts_with(line)), "m{to} heard {line}");
        }
        said.into_iter().map(|(at, _)| at).collect()
    }
}

/// Judges who is gone, and who is in the hall.
pub fn places(notes: &Notes) {
    for k in 0..MEMBERS {
        let Some(session) = notes.sessions[k] else { continue };
        let must =
            notes.struck.contains(&session) || (notes.vanished.contains(&k) && !notes.is_hung(k));
        assert!(must || notes.tripped || !notes.is_gone(k), "m{k} ended for no reason");
        assert!(!must || notes.is_gone(k), "m{k} is not gone");
        // One that hangs may do so before it comes in.
        assert!(notes.is_hung(k) || notes.free[k] == notes.is_gone(k), "the name of m{k}");
    }
    let here = notes.free.iter().filter(|free| !**free).count();
    assert_eq!(notes.hall, format!("ChatRegistry(1 rooms, {here} members)"));
}

/// Judges what somebody heard who was there all the time.
pub fn heard(notes: &Notes, to: usize) {
    for k in (0..MEMBERS).filter(|k| *k != to) {
        let said = notes.said(to, k);
        assert!(!notes.is_left(k) || said.len() == LINES, "m{to} heard m{k} {} times", said.len());
        let place = |words: &str| {
            let line = format!("* m{k} {words}");
            let lines = notes.heard[to].lines().enumerate();
            let found: Vec<_> = lines.filter(|(_, one)| *one == line).collect();
            assert!(found.len() <= 1, "m{to} was told more than once: {line}");
            found.first().map(|(at, _)| *at)
        };
        let (joined, left) = (place("joined"), place("left"));
        match left {
            Some(_) => assert!(notes.is_gone(k), "m{to} was told that m{k} left"),
            None if notes.is_gone(k) => {
                assert!(joined.is_none() && said.is_empty(), "m{to} was not told that m{k} left");
            }
            None => {}
        }
        assert!(left.is_none() || said.last() < left.as_ref(), "m{k} spoke after it left");
    }
}

/// Judges whether two who were there all the time heard all others in the same order.
pub fn order_of(notes: &Notes, one: usize, other: usize) {
    let spoke = |k: &usize| ![one, other].contains(k) && !notes.said(one, *k).is_empty();
    let others: Vec<_> = (0..MEMBERS).filter(spoke).collect();
    let order = |to: usize| {
        let of = |line: &&str| {
            others
                .iter()
                .any(|k| line.starts_with(&format!("m{k}: ")) || *line == format!("* m{k} left"))
        };
        notes.heard[to].lines().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(order(one), order(other), "m{one} and m{other}");
}
