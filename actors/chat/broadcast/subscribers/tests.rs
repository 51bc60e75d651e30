//! Lines that are written at once, lines that are not, and what a session finds then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::SystemTime;

use crate::actors::chat::broadcast::log::MessageLog;
use crate::actors::chat::broadcast::subscribers::*;
use crate::actors::chat::broadcast::subscription::{Subscription, WriteBatch};

/// Counts how often it is woken.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A member whose session waits.
struct TestMember {
    subscription: Subscription,
    ours: Stream,
    theirs: Stream,
    waker: Arc<CountingWaker>,
}

impl TestMember {
    fn join(ring: &MessageLog, member: u64) -> TestMember {
        let (ours, theirs) = Stream::duplex(8);
        TestMember { subscription: ring.subscribe(member), ours, theirs, waker: Arc::default() }
    }

    fn lend_stream(&mut self) -> bool {
        let waker = self.waker.clone().into();
        self.subscription.lend_stream(&self.ours, &Context::from_waker(&waker))
    }

    /// What its peer was sent.
    fn peer_received(&self) -> String {
        let mut sent = Vec::new();
        let _ = self.theirs.try_read_with(|bytes| sent.extend_from_slice(bytes));
        String::from_utf8(sent).unwrap()
    }

    /// What is left to hear.
    fn pending_count(&self) -> usize {
        let mut lines = WriteBatch::new();
        self.subscription.collect_into(&mut lines, usize::MAX);
        lines.message_ends.len()
    }

    fn take_wake_count(&self) -> usize {
        self.waker.0.swap(0, Ordering::Relaxed)
    }
}

fn waiting_members(ring: &MessageLog) -> [TestMember; 3] {
    let mut guests = [1, 2, 3].map(|member| TestMember::join(ring, member));
    assert!(guests.iter_mut().all(TestMember::lend_stream));
    guests
}

fn publish(ring: &MessageLog, from: u64, line: &str) {
    ring.append(Some(from), line.into(), 1, SystemTime::UNIX_EPOCH);
    ring.deliver();
}

#[test]
fn a_line_is_written_to_all_who_wait_and_one_of_them_is_woken() {
    let ring = MessageLog::default();
    let mut guests = waiting_members(&ring);
    publish(&ring, 9, "hello\n");
    assert!(guests.iter().all(|guest| guest.peer_received() == "hello\n"));
    assert_eq!(guests.iter().map(TestMember::take_wake_count).sum::<usize>(), 1);
    for guest in &mut guests {
        assert!(guest.subscription.reclaim_stream().is_none() && guest.pending_count() == 0);
    }
}

#[test]
fn nobody_is_sent_its_own_line_or_anything_during_its_turn() {
    let ring = MessageLog::default();
    let [mut own, mut busy, other] = waiting_members(&ring);
    assert!(busy.subscription.reclaim_stream().is_none());
    publish(&ring, 1, "hello\n");
    assert_eq!(
        [own.peer_received(), busy.peer_received(), other.peer_received()],
        ["", "", "hello\n"]
    );
    assert_eq!(own.take_wake_count() + busy.take_wake_count(), 0);
    assert!(own.subscription.reclaim_stream().is_none() && own.pending_count() == 0);
    assert_eq!(busy.pending_count(), 1);
    assert!(!busy.lend_stream(), "there is something to hear");
}

#[test]
fn what_a_peer_does_not_take_is_left_to_its_session() {
    let ring = MessageLog::default();
    let [mut slow, mut full, mut gone] = waiting_members(&ring);
    slow.ours.try_write_vectored(&[io::IoSlice::new(b"....")]).unwrap();
    full.ours.try_write_vectored(&[io::IoSlice::new(b"........")]).unwrap();
    gone.theirs = Stream::duplex(1).0;
    publish(&ring, 9, "hello\n");
    assert_eq!([slow.take_wake_count(), full.take_wake_count(), gone.take_wake_count()], [1, 1, 1]);
    assert!(
        matches!(slow.subscription.reclaim_stream(), Some(UnfinishedWrite::Remainder(rest)) if *rest == *b"o\n")
            && slow.pending_count() == 0
    );
    assert!(full.subscription.reclaim_stream().is_none() && full.pending_count() == 1);
    assert!(matches!(gone.subscription.reclaim_stream(), Some(UnfinishedWrite::Failed(_))));
    assert_eq!([slow.peer_received(), full.peer_received()], ["....hell", "........"]);
}

#[test]
fn lines_that_follow_at_once_wake_everybody_until_somebody_had_a_turn() {
    let ring = MessageLog::default();
    let mut guests = waiting_members(&ring);
    publish(&ring, 9, "one\n");
    let witness = guests.iter().position(|guest| guest.take_wake_count() == 1).unwrap();
    publish(&ring, 9, "two\n");
    publish(&ring, 9, "three\n");
    for (at, guest) in guests.iter_mut().enumerate() {
        assert_eq!(
            (guest.peer_received(), guest.take_wake_count()),
            ("one\n".into(), usize::from(at != witness))
        );
        assert!(guest.subscription.reclaim_stream().is_none() && guest.pending_count() == 2);
        guest.subscription.drain(|_| true);
        assert!(guest.lend_stream());
    }
    publish(&ring, 9, "four\n");
    assert!(guests.iter().all(|guest| guest.peer_received() == "four\n"));
}

#[test]
fn when_the_one_who_was_to_have_a_turn_is_gone_lines_are_written_at_once_again() {
    let ring = MessageLog::default();
    let mut guests = Vec::from(waiting_members(&ring));
    publish(&ring, 9, "one\n");
    let witness = guests.iter().position(|guest| guest.take_wake_count() == 1).unwrap();
    drop(guests.swap_remove(witness));
    assert!(guests.iter().all(|guest| guest.peer_received() == "one\n"));
    publish(&ring, 9, "two\n");
    assert!(guests.iter().all(|guest| guest.peer_received() == "two\n"));
}

#[test]
fn a_long_line_wakes_everybody() {
    let ring = MessageLog::default();
    let guests = waiting_members(&ring);
    publish(&ring, 9, &"x".repeat(COPY_LIMIT));
    assert!(
        guests.iter().all(|guest| guest.peer_received().is_empty() && guest.take_wake_count() == 1)
    );
}

#[test]
fn in_a_large_room_all_are_woken_and_in_one_that_has_become_small_again_they_are_written_to() {
    let ring = MessageLog::default();
    let mut crowd: Vec<_> =
        (0..=MAX_DIRECT_WRITES as u64).map(|member| TestMember::join(&ring, member)).collect();
    assert!(crowd.iter_mut().all(TestMember::lend_stream));
    publish(&ring, 999, "hello\n");
    assert!(
        crowd.iter().all(|guest| guest.peer_received().is_empty() && guest.take_wake_count() == 1)
    );
    crowd.pop();
    for guest in &mut crowd {
        assert!(guest.subscription.reclaim_stream().is_none() && guest.pending_count() == 1);
        guest.subscription.drain(|_| true);
        assert!(guest.lend_stream());
    }
    publish(&ring, 999, "again\n");
    assert!(crowd.iter().all(|guest| guest.peer_received() == "again\n"));
}
