//! A room's ring: what was said there lately, for all its members to read.
//!
//! A line is encoded once and shared. Each member reads with a cursor of its own, an [`Subscription`](crate::actors::chat::broadcast::subscription::Subscription), so all hear the
//! same order and nobody waits for a slow reader: the ring goes on, and an ear that it has overtaken learns how
//! many lines it missed. The ring is bounded in bytes and in lines.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::SystemTime;

use crate::actors::chat::broadcast::subscribers::Subscribers;
use crate::actors::chat::broadcast::subscription::Subscription;
use crate::sync::lock;

/// How many bytes of lines a ring holds at most, unless it is told to hold less; a slow reader may lag as much
/// behind.
const MAX_BYTES: usize = 1 << 20;

/// How many lines a ring holds at most.
const MAX_LINES: u64 = 4096;

/// What a line costs beside its text, about.
const MESSAGE_OVERHEAD: usize = 96;

/// A line that was said in a room, or several that were said together.
#[derive(Debug)]
pub struct RoomMessage {
    /// The member who said it, and is not sent it; none for the room itself.
    pub(crate) sender: Option<u64>,
    /// The lines as they go to the members, safe for a terminal, each with its newline.
    pub text: Box<str>,
    /// How many lines that are.
    pub(crate) line_count: u32,
    /// When.
    pub sent_at: SystemTime,
}

impl RoomMessage {
    /// Returns the lines, each with its newline.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split_inclusive('\n')
    }
}

/// A line that was said a while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The line as it went to the members, with its newline.
    pub text: Box<str>,
    /// When it was said.
    pub sent_at: SystemTime,
}

/// What was said lately.
#[derive(Clone, Default)]
pub(crate) struct MessageLog(Arc<Mutex<LogState>>);

pub(crate) struct LogState {
    /// Each with the number of its first line.
    messages: VecDeque<(u64, Arc<RoomMessage>)>,
    bytes: usize,
    /// How many bytes there may be.
    capacity: usize,
    /// The number of the next line.
    end_position: u64,
    /// Where the members wait for the next line.
    pub(crate) subscribers: Subscribers,
}

impl Default for LogState {
    fn default() -> LogState {
        let (said, seats) = (VecDeque::new(), Subscribers::default());
        LogState {
            messages: said,
            bytes: 0,
            capacity: MAX_BYTES,
            end_position: 0,
            subscribers: seats,
        }
    }
}

impl LogState {
    pub(crate) fn end_position(&self) -> u64 {
        self.end_position
    }

    /// Returns the number of the first line in the ring.
    pub(crate) fn start_position(&self) -> u64 {
        self.messages.front().map_or(self.end_position, |(number, _)| *number)
    }

    /// Returns what was said from a line on, each with the number of the line after it.
    pub(crate) fn iter_from(&self, number: u64) -> impl Iterator<Item = (u64, &Arc<RoomMessage>)> {
        let skip = self.messages.partition_point(|(first, _)| *first < number);
        self.messages.range(skip..).map(|(first, said)| (first + u64::from(said.line_count), said))
    }

    fn trim(&mut self) {
        while self.bytes > self.capacity || self.end_position - self.start_position() > MAX_LINES {
            let Some((_, said)) = self.messages.pop_front() else { return };
            self.bytes -= said.text.len() + MESSAGE_OVERHEAD;
        }
    }
}

impl MessageLog {
    pub(crate) fn lock(&self) -> MutexGuard<'_, LogState> {
        lock(&self.0)
    }

    /// Has everybody hear a line but its own member.
    pub(crate) fn publish(
        &self,
        from: Option<u64>,
        line: String,
        at: SystemTime,
    ) -> Arc<RoomMessage> {
        let said = self.append(from, line, 1, at);
        let wakers = self.lock().subscribers.take_wakers();
        wakers.into_iter().for_each(Waker::wake);
        said
    }

    /// Adds `line_count` lines for everybody but their own member to hear, who are to be [told](MessageLog::deliver) of them.
    pub(crate) fn append(
        &self,
        from: Option<u64>,
        lines: String,
        count: u32,
        at: SystemTime,
    ) -> Arc<RoomMessage> {
        let said = Arc::new(RoomMessage {
            sender: from,
            text: lines.into(),
            line_count: count,
            sent_at: at,
        });
        let mut state = self.lock();
        state.bytes += said.text.len() + MESSAGE_OVERHEAD;
        let number = state.end_position;
        state.end_position += u64::from(count);
        state.messages.push_back((number, said.clone()));
        state.trim();
        said
    }

    /// Writes the last lines to those who wait for them, or wakes them.
    pub(crate) fn deliver(&self) {
        let mut state = self.lock();
        let LogState { messages: said, end_position: end, subscribers: seats, .. } = &mut *state;
        let wakers = match said.back() {
            Some((number, said)) => seats.deliver(*number, *end, said),
            None => Vec::new(),
        };
        drop(state);
        // Outside of the lock: a waker may hold the last handle of a task.
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Tells whether it holds a line of which `is` is true.
    pub(crate) fn any(&self, mut is: impl FnMut(&Arc<RoomMessage>) -> bool) -> bool {
        self.lock().messages.iter().any(|(_, said)| is(said))
    }

    /// Has the ring hold at most so many bytes from now on.
    pub(crate) fn set_capacity(&self, bytes: usize) {
        let mut state = self.lock();
        state.capacity = bytes.min(MAX_BYTES);
        state.trim();
    }

    /// Returns how many bytes it holds.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Makes the ear of a member, which hears from now on.
    pub(crate) fn subscribe(&self, member: u64) -> Subscription {
        let mut state = self.lock();
        let (at, key) = (state.end_position(), state.subscribers.add(member));
        drop(state);
        Subscription::new(self.clone(), at, key)
    }

    /// Returns the last `line_count` lines.
    pub(crate) fn recent(&self, count: usize) -> Vec<HistoryLine> {
        let state = self.lock();
        let first = state.end_position.saturating_sub(count as u64);
        let said = state
            .messages
            .iter()
            .filter(|(number, said)| number + u64::from(said.line_count) > first);
        let mut last = Vec::new();
        for (number, said) in said {
            let skip = usize::try_from(first.saturating_sub(*number)).unwrap_or(usize::MAX);
            let lines = said.lines().skip(skip);
            last.extend(lines.map(|line| HistoryLine { text: line.into(), sent_at: said.sent_at }));
        }
        last
    }
}

impl fmt::Debug for MessageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(
            f,
            "Ring({} lines, {} bytes)",
            state.end_position - state.start_position(),
            state.bytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::chat::broadcast::subscription::Delivery;
    use std::task::Context;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn drain_all(ear: &mut Subscription) -> Vec<String> {
        let mut heard = Vec::new();
        ear.drain(|one| {
            heard.push(match one {
                Delivery::Message(said) => said.text.to_string(),
                Delivery::Lagged(missed) => format!("missed {missed}"),
            });
            true
        });
        heard
    }

    fn is_ready(ear: &mut Subscription) -> bool {
        ear.poll_ready(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn lines_that_were_said_together_are_counted_and_remembered_one_by_one() {
        let ring = MessageLog::default();
        let mut ear = ring.subscribe(1);
        ring.publish(None, "one\n".into(), NOW);
        ring.append(None, "two\nthree\nfour\n".into(), 3, NOW);
        ring.publish(None, "five\n".into(), NOW);
        let last = |count| {
            ring.recent(count).into_iter().map(|one| one.text.into()).collect::<Vec<String>>()
        };
        assert_eq!(last(3), ["three\n", "four\n", "five\n"]);
        assert_eq!(last(9), ["one\n", "two\n", "three\n", "four\n", "five\n"]);
        ring.set_capacity(2 * MESSAGE_OVERHEAD);
        assert_eq!(last(9), ["five\n"]);
        assert_eq!(drain_all(&mut ear), ["missed 4", "five\n"]);
    }

    #[test]
    fn everybody_hears_the_others_from_its_coming_on() {
        let ring = MessageLog::default();
        let mut ada = ring.subscribe(1);
        ring.publish(Some(1), "one".into(), NOW);
        let mut bob = ring.subscribe(2);
        assert!(is_ready(&mut ada) && !is_ready(&mut bob));
        ring.publish(Some(2), "two".into(), NOW);
        ring.publish(None, "three".into(), NOW);
        assert_eq!(
            (drain_all(&mut ada), drain_all(&mut bob)),
            (vec!["two".into(), "three".into()], vec!["three".into()])
        );
        assert!(!is_ready(&mut ada) && drain_all(&mut ada).is_empty());
        assert_eq!(ring.recent(2).len(), 2);
    }

    #[test]
    fn who_is_overtaken_learns_how_many_lines_it_missed_and_in_order() {
        let ring = MessageLog::default();
        let mut slow = ring.subscribe(1);
        for k in 0..MAX_LINES + 5 {
            ring.publish(None, k.to_string(), NOW);
        }
        let heard = drain_all(&mut slow);
        assert_eq!(heard[..2], ["missed 5", "5"]);
        assert_eq!(heard.len() as u64, MAX_LINES + 1);
    }

    #[test]
    fn a_ring_is_bounded_in_bytes() {
        let ring = MessageLog::default();
        let line = "x".repeat(100_000);
        for _ in 0..100 {
            ring.publish(None, line.clone(), NOW);
        }
        let state = ring.lock();
        assert!(
            state.bytes <= MAX_BYTES
                && state.messages.len() == MAX_BYTES / (line.len() + MESSAGE_OVERHEAD)
        );
    }

    #[test]
    fn a_taker_that_has_enough_goes_on_where_it_was() {
        let ring = MessageLog::default();
        let mut ear = ring.subscribe(1);
        (0..3).for_each(|k| drop(ring.publish(None, k.to_string(), NOW)));
        let mut count = 0;
        ear.drain(|_| {
            count += 1;
            count < 2
        });
        assert_eq!(drain_all(&mut ear), ["2"]);
    }
}
