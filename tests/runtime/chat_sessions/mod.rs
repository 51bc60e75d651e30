//! A whole chat in the simulation: the room manager, sessions on in-memory connections, and peers.
//!
//! Any actor may fail at any poll. The manager panics, fails, is dropped or delayed. Sessions do,
//! too, and some hang. Peers vanish. The pool with all its sessions is stopped and restarted. A
//! remaining member receives every line of all remaining members, once and in one order. A
//! departure is announced once, after the member's last line, and no other departure is.
//!
//! A session of a slow reader handles all pipelined commands. The rates of sessions and sources
//! and the delays of wrong passwords hold in the virtual time.
//!
//! `SOCKACTORS_SEEDS` sets the number of seeds.

mod checks;
mod operators;
mod pipelines;
mod rates;
mod run;

use run::{LINES, MEMBERS, Record, run};

const SEEDS: u64 = 10_000;

#[test]
fn chat_faults_keep_messages_and_departures_exact() {
    let seeds = std::env::var("SOCKACTORS_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    // The numbers of members that remained, were cut short, hung, vanished, and saw the pool stop.
    let mut seen = [0; 5];
    for seed in 0..seeds {
        let record = run(seed);
        let told = SeedReport(seed, &record);
        checks::places(&record);
        let left: Vec<_> = (0..MEMBERS).filter(|k| record.is_left(*k)).collect();
        for (n, to) in left.iter().enumerate() {
            checks::heard(&record, *to);
            left[..n].iter().for_each(|other| checks::order_of(&record, *to, *other));
        }
        let cut = |k: &usize| (1..LINES).contains(&record.said(left[0], *k).len());
        let cut = if left.is_empty() { 0 } else { (0..MEMBERS).filter(cut).count() };
        let some =
            [left.len(), cut, record.hung.len(), record.vanished.len(), record.tripped.into()];
        seen.iter_mut().zip(some).for_each(|(all, some)| *all += some);
        drop(told);
    }
    assert!(
        seeds < SEEDS || seen.iter().all(|count| *count > 50),
        "too little was tried: {seen:?}"
    );
}

/// Names the seed when a check fails.
struct SeedReport<'a>(u64, &'a Record);

impl Drop for SeedReport<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}: {:#?}", self.0, self.1);
        }
    }
}
