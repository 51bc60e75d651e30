//! The limit of the lines that a server prints.
//!
//! A peer that floods a server must not fill the disk or the terminal behind its output. So at most
//! [`MAX_LINES`] are printed in any second. The number of the other lines is reported once per
//! second, with a line that counts too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::time::deadline_after;

/// The maximum number of lines in a second, with the line about the dropped ones.
pub const MAX_LINES: u32 = 1000;

/// The period of the limit, and of the reports about dropped lines.
const PERIOD: Duration = Duration::from_secs(1);

/// A limit for the lines of one server.
#[derive(Debug, Default)]
pub struct LineLimit {
    /// The lines of the last second, by their time: at most [`MAX_LINES`] entries.
    recent: VecDeque<(Instant, u32)>,
    /// The number of these lines.
    recent_lines: u32,
    /// The number of dropped lines that were not reported, and the time of the report.
    dropped: Option<(u64, Instant)>,
}

impl LineLimit {
    /// Returns whether `lines` may be printed at `now`, and counts them. Otherwise they count as
    /// dropped. Time must not go back.
    pub fn try_acquire(&mut self, lines: u32, now: Instant) -> bool {
        while let Some((at, lines)) = self.recent.front().copied() {
            if now.saturating_duration_since(at) < PERIOD {
                break;
            }
            self.recent.pop_front();
            self.recent_lines -= lines;
        }
        // One line is left for the report.
        if self.recent_lines.saturating_add(lines) >= MAX_LINES {
            let (count, _) = self.dropped.get_or_insert_with(|| (0, deadline_after(now, PERIOD)));
            *count = count.saturating_add(lines.into());
            return false;
        }
        self.record(lines, now);
        true
    }

    fn record(&mut self, lines: u32, now: Instant) {
        self.recent_lines += lines;
        match self.recent.back_mut() {
            Some((at, count)) if *at == now => *count += lines,
            _ => self.recent.push_back((now, lines)),
        }
    }

    /// Returns when dropped lines are to be reported, or `None` if there are none.
    pub fn report_at(&self) -> Option<Instant> {
        self.dropped.map(|(_, at)| at)
    }

    /// Takes the number of dropped lines if it is to be reported now.
    pub fn take_due(&mut self, now: Instant) -> Option<u64> {
        self.report_at().filter(|at| *at <= now)?;
        self.record(1, now);
        self.take_dropped()
    }

    /// Takes the number of dropped lines, even if it is not to be reported yet.
    pub fn take_dropped(&mut self) -> Option<u64> {
        self.dropped.take().map(|(count, _)| count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_beyond_limit_are_dropped_and_counted() {
        let (mut limit, start) = (LineLimit::default(), Instant::now());
        let printed = (0..5000).filter(|_| limit.try_acquire(1, start)).count();
        assert_eq!(printed, 999);
        assert_eq!(limit.report_at(), Some(start + PERIOD));
        assert_eq!(limit.take_due(start), None);
        assert_eq!(limit.take_due(start + PERIOD), Some(4001));
        assert_eq!(limit.take_due(start + 2 * PERIOD), None);
        assert!(limit.try_acquire(998, start + PERIOD));
        assert!(!limit.try_acquire(2, start + PERIOD));
        assert_eq!(limit.take_dropped(), Some(2));
    }

    proptest! {
        #[test]
        fn any_second_has_at_most_the_limit(
            events in prop::collection::vec((0..400_u64, 1..400_u32), 1..100)
        ) {
            let (mut limit, start) = (LineLimit::default(), Instant::now());
            let (mut now, mut printed) = (start, Vec::new());
            let mut dropped = 0;
            for (pause, lines) in events.iter().copied() {
                now += Duration::from_millis(pause);
                if let Some(count) = limit.take_due(now) {
                    dropped += count;
                    printed.push((now, 1));
                }
                if limit.try_acquire(lines, now) {
                    printed.push((now, lines));
                }
                let last_second = printed.iter().filter(|(at, _)| now - *at < PERIOD);
                prop_assert!(last_second.map(|(_, lines)| lines).sum::<u32>() <= MAX_LINES);
            }
            let reports = printed.iter().map(|(_, lines)| u64::from(*lines)).sum::<u64>();
            dropped += limit.take_dropped().unwrap_or_default();
            let total: u64 = events.iter().map(|(_, lines)| u64::from(*lines)).sum();
            prop_assert!(reports + dropped >= total);
        }
    }
}
