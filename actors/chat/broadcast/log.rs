//! The message log of a room: a bounded broadcast channel with history.
//!
//! A message is encoded once and shared. Each member reads the log with a cursor of its own, a
//! [`Subscription`](super::subscription::Subscription), so all members see the same order and a
//! slow reader delays nobody. The log is bounded in bytes and in lines. A subscription that has
//! fallen behind the oldest message learns how many lines it missed.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::SystemTime;

use crate::actors::chat::broadcast::message::{HistoryLine, RoomMessage};
use crate::actors::chat::broadcast::subscribers::Subscribers;
use crate::sync::lock;
use crate::wire::chat::notice::is_presence_notice;

/// Maximum size of a log in bytes, unless [`MessageLog::set_capacity`] lowers it. A slow reader
/// can lag behind by up to this size.
const MAX_BYTES: usize = 1 << 20;

/// Maximum number of lines in a log.
const MAX_LINES: u64 = 4096;

/// Approximate memory per message beyond its text, in bytes.
const MESSAGE_OVERHEAD: usize = 96;

/// The shared log of one room. Cloning it clones the handle.
#[derive(Clone, Default)]
pub(crate) struct MessageLog(Arc<Mutex<LogState>>);

pub(crate) struct LogState {
    /// The messages, each with the number of its first line.
    messages: VecDeque<(u64, Arc<RoomMessage>)>,
    bytes: usize,
    /// Current limit of `bytes`.
    capacity: usize,
    /// The number of the next line.
    end_position: u64,
    /// The members' sessions that wait for the next message.
    pub(crate) subscribers: Subscribers,
}

impl Default for LogState {
    fn default() -> LogState {
        LogState {
            messages: VecDeque::new(),
            bytes: 0,
            capacity: MAX_BYTES,
            end_position: 0,
            subscribers: Subscribers::default(),
        }
    }
}

impl LogState {
    /// Returns the number of the next line.
    pub(crate) fn end_position(&self) -> u64 {
        self.end_position
    }

    /// Returns the number of the oldest line in the log.
    pub(crate) fn start_position(&self) -> u64 {
        self.messages.front().map_or(self.end_position, |(position, _)| *position)
    }

    /// Returns the messages from a position on, each with the position after it.
    pub(crate) fn iter_from(
        &self,
        position: u64,
    ) -> impl Iterator<Item = (u64, &Arc<RoomMessage>)> {
        let skip = self.messages.partition_point(|(first, _)| *first < position);
        self.messages
            .range(skip..)
            .map(|(first, message)| (first + u64::from(message.line_count), message))
    }

    fn trim(&mut self) {
        while self.bytes > self.capacity || self.end_position - self.start_position() > MAX_LINES {
            let Some((_, message)) = self.messages.pop_front() else { return };
            self.bytes -= message.text.len() + MESSAGE_OVERHEAD;
        }
    }
}

impl MessageLog {
    /// Locks the log. Neither wake nor drop a waker while the lock is held: a waker may own the
    /// last handle of a task.
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogState> {
        lock(&self.0)
    }

    /// Publishes a line to every member except its sender, and wakes the waiting sessions.
    pub(crate) fn publish(
        &self,
        sender: Option<u64>,
        line: String,
        sent_at: SystemTime,
    ) -> Arc<RoomMessage> {
        let message = self.append(sender, line, 1, sent_at);
        let wakers = self.lock().subscribers.take_wakers();
        wakers.into_iter().for_each(Waker::wake);
        message
    }

    /// Appends `line_count` lines as one message, for every member except the sender. The caller
    /// must call [`deliver`](MessageLog::deliver) afterwards: this wakes no session.
    pub(crate) fn append(
        &self,
        sender: Option<u64>,
        text: String,
        line_count: u32,
        sent_at: SystemTime,
    ) -> Arc<RoomMessage> {
        let message = Arc::new(RoomMessage { sender, text: text.into(), line_count, sent_at });
        let mut state = self.lock();
        state.bytes += message.text.len() + MESSAGE_OVERHEAD;
        let position = state.end_position;
        state.end_position += u64::from(line_count);
        state.messages.push_back((position, message.clone()));
        state.trim();
        message
    }

    /// Writes the last message to the sessions that have lent their streams, and wakes the other
    /// waiting sessions.
    pub(crate) fn deliver(&self) {
        let mut state = self.lock();
        let LogState { messages, end_position, subscribers, .. } = &mut *state;
        let wakers = match messages.back() {
            Some((position, message)) => subscribers.deliver(*position, *end_position, message),
            None => Vec::new(),
        };
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns whether `predicate` holds for any message in the log.
    pub(crate) fn any(&self, mut predicate: impl FnMut(&Arc<RoomMessage>) -> bool) -> bool {
        self.lock().messages.iter().any(|(_, message)| predicate(message))
    }

    /// Limits the log to `bytes` bytes, at most [`MAX_BYTES`], and drops the oldest messages
    /// beyond that.
    pub(crate) fn set_capacity(&self, bytes: usize) {
        let mut state = self.lock();
        state.capacity = bytes.min(MAX_BYTES);
        state.trim();
    }

    /// Returns the size of the log in bytes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Returns the last `count` lines, without the announcements of joins, leaves and new nicks.
    pub(crate) fn recent(&self, count: usize) -> Vec<HistoryLine> {
        let state = self.lock();
        let messages = state.messages.iter().rev().map(|(_, message)| message);
        let lines =
            messages.flat_map(|message| message.lines().rev().map(move |line| (message, line)));
        let lines = lines.filter(|(_, line)| !is_presence_notice(line.trim_end())).take(count);
        let line = |(message, line): (&Arc<RoomMessage>, &str)| HistoryLine {
            text: line.into(),
            sent_at: message.sent_at,
        };
        let mut history: Vec<_> = lines.map(line).collect();
        history.reverse();
        history
    }
}

impl fmt::Debug for MessageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let lines = state.end_position - state.start_position();
        write!(f, "MessageLog({lines} lines, {} bytes)", state.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::chat::broadcast::subscription::{Delivery, Subscription};
    use std::task::Context;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn drain_all(subscription: &mut Subscription) -> Vec<String> {
        let mut received = Vec::new();
        subscription.drain(|delivery| {
            received.push(match delivery {
                Delivery::Message(message) => message.text.to_string(),
                Delivery::Lagged(missed) => format!("missed {missed}"),
            });
            true
        });
        received
    }

    fn is_ready(subscription: &mut Subscription) -> bool {
        subscription.poll_ready(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn log_counts_lines_of_batched_message_singly() {
        let log = MessageLog::default();
        let mut subscription = Subscription::new(&log, 1);
        log.publish(None, "one\n".into(), NOW);
        log.append(None, "two\nthree\nfour\n".into(), 3, NOW);
        log.publish(None, "five\n".into(), NOW);
        let last = |count| {
            log.recent(count).into_iter().map(|line| line.text.into()).collect::<Vec<String>>()
        };
        assert_eq!(last(3), ["three\n", "four\n", "five\n"]);
        assert_eq!(last(9), ["one\n", "two\n", "three\n", "four\n", "five\n"]);
        log.set_capacity(2 * MESSAGE_OVERHEAD);
        assert_eq!(last(9), ["five\n"]);
        assert_eq!(drain_all(&mut subscription), ["missed 4", "five\n"]);
    }

    #[test]
    fn joins_do_not_displace_messages_in_recent_lines() {
        let log = MessageLog::default();
        log.publish(Some(1), "ada: one\n".into(), NOW);
        log.append(None, "* eve left\n* bob is now cy\n* dan joined\n".into(), 3, NOW);
        log.publish(None, "* ada set the topic: dan joined\n".into(), NOW);
        for k in 0..100 {
            log.publish(None, format!("* guest{k} joined\n"), NOW);
            log.publish(None, format!("* {k} others changed their names\n"), NOW);
        }
        let lines = log.recent(2).into_iter().map(|line| line.text.into());
        let lines: Vec<String> = lines.collect();
        assert_eq!(lines, ["ada: one\n", "* ada set the topic: dan joined\n"]);
    }

    #[test]
    fn subscription_receives_others_messages_since_joining() {
        let log = MessageLog::default();
        let mut ada = Subscription::new(&log, 1);
        log.publish(Some(1), "one".into(), NOW);
        let mut bob = Subscription::new(&log, 2);
        assert!(is_ready(&mut ada) && !is_ready(&mut bob));
        log.publish(Some(2), "two".into(), NOW);
        log.publish(None, "three".into(), NOW);
        assert_eq!(
            (drain_all(&mut ada), drain_all(&mut bob)),
            (vec!["two".into(), "three".into()], vec!["three".into()])
        );
        assert!(!is_ready(&mut ada) && drain_all(&mut ada).is_empty());
        assert_eq!(log.recent(2).len(), 2);
    }

    #[test]
    fn lagged_subscription_learns_missed_line_count() {
        let log = MessageLog::default();
        let mut slow = Subscription::new(&log, 1);
        for k in 0..MAX_LINES + 5 {
            log.publish(None, k.to_string(), NOW);
        }
        let received = drain_all(&mut slow);
        assert_eq!(received[..2], ["missed 5", "5"]);
        assert_eq!(received.len() as u64, MAX_LINES + 1);
    }

    #[test]
    fn log_size_stays_below_byte_limit() {
        let log = MessageLog::default();
        let line = "x".repeat(100_000);
        for _ in 0..100 {
            log.publish(None, line.clone(), NOW);
        }
        let state = log.lock();
        assert!(
            state.bytes <= MAX_BYTES
                && state.messages.len() == MAX_BYTES / (line.len() + MESSAGE_OVERHEAD)
        );
    }

    #[test]
    fn stopped_drain_resumes_where_it_stopped() {
        let log = MessageLog::default();
        let mut subscription = Subscription::new(&log, 1);
        (0..3).for_each(|k| drop(log.publish(None, k.to_string(), NOW)));
        let mut count = 0;
        subscription.drain(|_| {
            count += 1;
            count < 2
        });
        assert_eq!(drain_all(&mut subscription), ["2"]);
    }
}
