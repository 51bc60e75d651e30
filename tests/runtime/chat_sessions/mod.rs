//! A whole chat in simulation: the room's keeper, sessions on connections in memory, and the peers at their ends.
//!
//! Anybody may be struck at any turn: the keeper panics, fails, is dropped or held up; so do sessions, and some hang;
//! peers vanish; the pool with all its sessions is stopped and starts again. Whoever is left hears every line of all
//! who are left, once and in one order. Whoever is gone is seen off once, after its last word, and nobody else is.
//!
//! `SOCKACTORS_SEEDS` sets how many seeds there are.

mod checks;
mod run;

use run::{LINES, MEMBERS, Notes, run};

const SEEDS: u64 = 10_000;

#[test]
fn chat_faults_keep_messages_and_departures_exact() {
    let seeds = std::env::var("SOCKACTORS_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    // So many were left, were cut short in their talk, hung, vanished, and saw the pool stop.
    let mut seen = [0; 5];
    for seed in 0..seeds {
        let notes = run(seed);
        let told = Told(seed, &notes);
        checks::places(&notes);
        let left: Vec<_> = (0..MEMBERS).filter(|k| notes.is_left(*k)).collect();
        for (n, to) in left.iter().enumerate() {
            checks::heard(&notes, *to);
            left[..n].iter().for_each(|other| checks::order_of(&notes, *to, *other));
        }
        let cut = |k: &usize| (1..LINES).contains(&notes.said(left[0], *k).len());
        let cut = if left.is_empty() { 0 } else { (0..MEMBERS).filter(cut).count() };
        let some = [left.len(), cut, notes.hung.len(), notes.vanished.len(), notes.tripped.into()];
        seen.iter_mut().zip(some).for_each(|(all, some)| *all += some);
        drop(told);
    }
    assert!(
        seeds < SEEDS || seen.iter().all(|count| *count > 50),
        "too little was tried: {seen:?}"
    );
}

/// Tells which run it was when a judgement fails.
struct Told<'a>(u64, &'a Notes);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:#?}", self.0, self.1);
        }
    }
}
