//! Lines that are written at once, lines that are not, and what a session finds then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::SystemTime;

use crate::actors::chat::broadcast::log::Ring;
use crate::actors::chat::broadcast::subscribers::*;
use crate::actors::chat::broadcast::subscription::{Ear, Lines};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A member whose session waits.
struct Guest {
    ear: Ear,
    ours: Stream,
    theirs: Stream,
    bell: Arc<Bell>,
}

impl Guest {
    fn come(ring: &Ring, member: u64) -> Guest {
        let (ours, theirs) = Stream::duplex(8);
        Guest { ear: ring.ear(member), ours, theirs, bell: Arc::default() }
    }

    fn lend(&mut self) -> bool {
        let waker = self.bell.clone().into();
        self.ear.lend(&self.ours, &Context::from_waker(&waker))
    }

    /// What its peer was sent.
    fn sent(&self) -> String {
        let mut sent = Vec::new();
        let _ = self.theirs.try_read_with(|bytes| sent.extend_from_slice(bytes));
        String::from_utf8(sent).unwrap()
    }

    /// What is left to hear.
    fn unheard(&self) -> usize {
        let mut lines = Lines::new();
        self.ear.gather(&mut lines, usize::MAX);
        lines.ends.len()
    }

    fn woken(&self) -> usize {
        self.bell.0.swap(0, Ordering::Relaxed)
    }
}

fn guests(ring: &Ring) -> [Guest; 3] {
    let mut guests = [1, 2, 3].map(|member| Guest::come(ring, member));
    assert!(guests.iter_mut().all(Guest::lend));
    guests
}

fn say(ring: &Ring, from: u64, line: &str) {
    ring.add(Some(from), line.into(), 1, SystemTime::UNIX_EPOCH);
    ring.tell();
}

#[test]
fn a_line_is_written_to_all_who_wait_and_one_of_them_is_woken() {
    let ring = Ring::default();
    let mut guests = guests(&ring);
    say(&ring, 9, "hello\n");
    assert!(guests.iter().all(|guest| guest.sent() == "hello\n"));
    assert_eq!(guests.iter().map(Guest::woken).sum::<usize>(), 1);
    for guest in &mut guests {
        assert!(guest.ear.take_back().is_none() && guest.unheard() == 0);
    }
}

#[test]
fn nobody_is_sent_its_own_line_or_anything_during_its_turn() {
    let ring = Ring::default();
    let [mut own, mut busy, other] = guests(&ring);
    assert!(busy.ear.take_back().is_none());
    say(&ring, 1, "hello\n");
    assert_eq!([own.sent(), busy.sent(), other.sent()], ["", "", "hello\n"]);
    assert_eq!(own.woken() + busy.woken(), 0);
    assert!(own.ear.take_back().is_none() && own.unheard() == 0);
    assert_eq!(busy.unheard(), 1);
    assert!(!busy.lend(), "there is something to hear");
}

#[test]
fn what_a_peer_does_not_take_is_left_to_its_session() {
    let ring = Ring::default();
    let [mut slow, mut full, mut gone] = guests(&ring);
    slow.ours.try_write_vectored(&[io::IoSlice::new(b"....")]).unwrap();
    full.ours.try_write_vectored(&[io::IoSlice::new(b"........")]).unwrap();
    gone.theirs = Stream::duplex(1).0;
    say(&ring, 9, "hello\n");
    assert_eq!([slow.woken(), full.woken(), gone.woken()], [1, 1, 1]);
    assert!(
        matches!(slow.ear.take_back(), Some(Left::Rest(rest)) if *rest == *b"o\n")
            && slow.unheard() == 0
    );
    assert!(full.ear.take_back().is_none() && full.unheard() == 1);
    assert!(matches!(gone.ear.take_back(), Some(Left::Failed(_))));
    assert_eq!([slow.sent(), full.sent()], ["....hell", "........"]);
}

#[test]
fn lines_that_follow_at_once_wake_everybody_until_somebody_had_a_turn() {
    let ring = Ring::default();
    let mut guests = guests(&ring);
    say(&ring, 9, "one\n");
    let witness = guests.iter().position(|guest| guest.woken() == 1).unwrap();
    say(&ring, 9, "two\n");
    say(&ring, 9, "three\n");
    for (at, guest) in guests.iter_mut().enumerate() {
        assert_eq!((guest.sent(), guest.woken()), ("one\n".into(), usize::from(at != witness)));
        assert!(guest.ear.take_back().is_none() && guest.unheard() == 2);
        guest.ear.hear(|_| true);
        assert!(guest.lend());
    }
    say(&ring, 9, "four\n");
    assert!(guests.iter().all(|guest| guest.sent() == "four\n"));
}

#[test]
fn when_the_one_who_was_to_have_a_turn_is_gone_lines_are_written_at_once_again() {
    let ring = Ring::default();
    let mut guests = Vec::from(guests(&ring));
    say(&ring, 9, "one\n");
    let witness = guests.iter().position(|guest| guest.woken() == 1).unwrap();
    drop(guests.swap_remove(witness));
    assert!(guests.iter().all(|guest| guest.sent() == "one\n"));
    say(&ring, 9, "two\n");
    assert!(guests.iter().all(|guest| guest.sent() == "two\n"));
}

#[test]
fn a_long_line_wakes_everybody() {
    let ring = Ring::default();
    let guests = guests(&ring);
    say(&ring, 9, &"x".repeat(SHARED));
    assert!(guests.iter().all(|guest| guest.sent().is_empty() && guest.woken() == 1));
}

#[test]
fn in_a_large_room_all_are_woken_and_in_one_that_has_become_small_again_they_are_written_to() {
    let ring = Ring::default();
    let mut crowd: Vec<_> = (0..=MOST as u64).map(|member| Guest::come(&ring, member)).collect();
    assert!(crowd.iter_mut().all(Guest::lend));
    say(&ring, 999, "hello\n");
    assert!(crowd.iter().all(|guest| guest.sent().is_empty() && guest.woken() == 1));
    crowd.pop();
    for guest in &mut crowd {
        assert!(guest.ear.take_back().is_none() && guest.unheard() == 1);
        guest.ear.hear(|_| true);
        assert!(guest.lend());
    }
    say(&ring, 999, "again\n");
    assert!(crowd.iter().all(|guest| guest.sent() == "again\n"));
}
