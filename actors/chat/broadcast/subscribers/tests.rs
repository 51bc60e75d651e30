//! Tests of direct writes, wake-ups, and what a session finds when it reclaims its stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::SystemTime;

use crate::actors::chat::broadcast::log::MessageLog;
use crate::actors::chat::broadcast::subscribers::*;
use crate::actors::chat::broadcast::subscription::{Subscription, WriteBatch};

/// A waker that counts its wake-ups.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A member with both ends of its connection.
struct TestMember {
    subscription: Subscription,
    ours: Stream,
    theirs: Stream,
    waker: Arc<CountingWaker>,
}

impl TestMember {
    fn join(log: &MessageLog, member_id: u64) -> TestMember {
        let (ours, theirs) = Stream::duplex(8);
        let subscription = Subscription::new(log, member_id);
        TestMember { subscription, ours, theirs, waker: Arc::default() }
    }

    fn lend_stream(&mut self) -> bool {
        let waker = self.waker.clone().into();
        self.subscription.lend_stream(&self.ours, &Context::from_waker(&waker))
    }

    /// Returns what the peer received since the last call.
    fn peer_received(&self) -> String {
        let mut received = Vec::new();
        let _ = self.theirs.try_read_with(|bytes| received.extend_from_slice(bytes));
        String::from_utf8(received).unwrap()
    }

    /// Returns the number of unread messages.
    fn pending_count(&self) -> usize {
        let mut batch = WriteBatch::new();
        self.subscription.collect_into(&mut batch, usize::MAX);
        batch.message_ends.len()
    }

    fn take_wake_count(&self) -> usize {
        self.waker.0.swap(0, Ordering::Relaxed)
    }
}

fn waiting_members(log: &MessageLog) -> [TestMember; 3] {
    let mut members = [1, 2, 3].map(|member_id| TestMember::join(log, member_id));
    assert!(members.iter_mut().all(TestMember::lend_stream));
    members
}

fn publish(log: &MessageLog, sender: u64, line: &str) {
    log.append(Some(sender), line.into(), 1, SystemTime::UNIX_EPOCH);
    log.deliver();
}

#[test]
fn message_is_written_to_all_and_wakes_one() {
    let log = MessageLog::default();
    let mut members = waiting_members(&log);
    publish(&log, 9, "hello\n");
    assert!(members.iter().all(|member| member.peer_received() == "hello\n"));
    assert_eq!(members.iter().map(TestMember::take_wake_count).sum::<usize>(), 1);
    for member in &mut members {
        assert!(member.subscription.reclaim_stream().is_none() && member.pending_count() == 0);
    }
}

#[test]
fn direct_write_skips_sender_and_running_session() {
    let log = MessageLog::default();
    let [mut sender, mut running, other] = waiting_members(&log);
    assert!(running.subscription.reclaim_stream().is_none());
    publish(&log, 1, "hello\n");
    assert_eq!(
        [sender.peer_received(), running.peer_received(), other.peer_received()],
        ["", "", "hello\n"]
    );
    assert_eq!(sender.take_wake_count() + running.take_wake_count(), 0);
    assert!(sender.subscription.reclaim_stream().is_none() && sender.pending_count() == 0);
    assert_eq!(running.pending_count(), 1);
    assert!(!running.lend_stream(), "a message is unread");
}

#[test]
fn unfinished_direct_write_returns_to_session() {
    let log = MessageLog::default();
    let [mut slow, mut full, mut gone] = waiting_members(&log);
    slow.ours.try_write_vectored(&[io::IoSlice::new(b"....")]).unwrap();
    full.ours.try_write_vectored(&[io::IoSlice::new(b"........")]).unwrap();
    gone.theirs = Stream::duplex(1).0;
    publish(&log, 9, "hello\n");
    assert_eq!([slow.take_wake_count(), full.take_wake_count(), gone.take_wake_count()], [1, 1, 1]);
    let unfinished = slow.subscription.reclaim_stream();
    assert!(
        matches!(unfinished, Some(UnfinishedWrite::Remainder(rest)) if *rest == *b"o\n")
            && slow.pending_count() == 0
    );
    assert!(full.subscription.reclaim_stream().is_none() && full.pending_count() == 1);
    assert!(matches!(gone.subscription.reclaim_stream(), Some(UnfinishedWrite::Failed(_))));
    assert_eq!([slow.peer_received(), full.peer_received()], ["....hell", "........"]);
}

#[test]
fn messages_wake_sessions_until_probe_has_run() {
    let log = MessageLog::default();
    let mut members = waiting_members(&log);
    publish(&log, 9, "one\n");
    let probe = members.iter().position(|member| member.take_wake_count() == 1).unwrap();
    publish(&log, 9, "two\n");
    publish(&log, 9, "three\n");
    for (at, member) in members.iter_mut().enumerate() {
        assert_eq!(
            (member.peer_received(), member.take_wake_count()),
            ("one\n".into(), usize::from(at != probe))
        );
        assert!(member.subscription.reclaim_stream().is_none() && member.pending_count() == 2);
        member.subscription.drain(|_| true);
        assert!(member.lend_stream());
    }
    publish(&log, 9, "four\n");
    assert!(members.iter().all(|member| member.peer_received() == "four\n"));
}

#[test]
fn direct_writes_resume_when_probe_leaves() {
    let log = MessageLog::default();
    let mut members = Vec::from(waiting_members(&log));
    publish(&log, 9, "one\n");
    let probe = members.iter().position(|member| member.take_wake_count() == 1).unwrap();
    drop(members.swap_remove(probe));
    assert!(members.iter().all(|member| member.peer_received() == "one\n"));
    publish(&log, 9, "two\n");
    assert!(members.iter().all(|member| member.peer_received() == "two\n"));
}

#[test]
fn long_message_wakes_all_sessions() {
    let log = MessageLog::default();
    let members = waiting_members(&log);
    publish(&log, 9, &"x".repeat(COPY_LIMIT));
    let is_woken =
        |member: &TestMember| member.peer_received().is_empty() && member.take_wake_count() == 1;
    assert!(members.iter().all(is_woken));
}

#[test]
fn large_room_wakes_and_smaller_room_writes_directly() {
    let log = MessageLog::default();
    let mut members: Vec<_> =
        (0..=MAX_DIRECT_WRITES as u64).map(|id| TestMember::join(&log, id)).collect();
    assert!(members.iter_mut().all(TestMember::lend_stream));
    publish(&log, 999, "hello\n");
    let is_woken =
        |member: &TestMember| member.peer_received().is_empty() && member.take_wake_count() == 1;
    assert!(members.iter().all(is_woken));
    members.pop();
    for member in &mut members {
        assert!(member.subscription.reclaim_stream().is_none() && member.pending_count() == 1);
        member.subscription.drain(|_| true);
        assert!(member.lend_stream());
    }
    publish(&log, 999, "again\n");
    assert!(members.iter().all(|member| member.peer_received() == "again\n"));
}
