//! Joins, leaves and new nicks that a large room has not announced yet.
//!
//! A notice wakes every member. If each of `n` clients that join caused one, that would be `n²`
//! deliveries. So a large room announces the changes of a second together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::chat::notice::{
    format_members_joined, format_members_left, format_members_renamed,
};

/// Minimum time between two announcements of a large room.
pub(crate) const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);

/// A change of a member's place in a room. `None` stands for a member outside of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresenceChange {
    /// The nick under which the other members know it.
    pub(crate) old: Option<Arc<str>>,
    /// Its nick from now on.
    pub(crate) new: Option<Arc<str>>,
}

/// The changes of a room that wait for its next announcement, at most one for each member.
#[derive(Debug, Default)]
pub(crate) struct PendingChanges {
    by_member: BTreeMap<u64, PresenceChange>,
    /// Whether the announcement has a time.
    pub(crate) is_scheduled: bool,
}

impl PendingChanges {
    /// Adds a change of a member to its earlier ones. Changes that undo each other are dropped.
    pub(crate) fn record(&mut self, id: u64, change: PresenceChange) {
        let earlier = self.by_member.remove(&id);
        let old = earlier.map_or(change.old, |earlier| earlier.old);
        if old != change.new {
            self.by_member.insert(id, PresenceChange { old, new: change.new });
        }
    }

    /// Removes all changes and returns them.
    pub(crate) fn take(&mut self) -> Vec<PresenceChange> {
        self.is_scheduled = false;
        std::mem::take(&mut self.by_member).into_values().collect()
    }
}

/// Formats the announcement of changes as lines with newlines, and counts the lines.
///
/// Leaves come first and joins last, because a nick may pass from one member to another.
pub(crate) fn format_changes(changes: &[PresenceChange]) -> (String, u32) {
    let (mut left, mut renamed, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match (change.old.as_deref(), change.new.as_deref()) {
            (Some(old), Some(new)) => renamed.push((old, new)),
            (Some(old), None) => left.push(old),
            (None, Some(new)) => joined.push(new),
            (None, None) => {}
        }
    }
    let mut notices = Vec::new();
    notices.extend(format_members_left(&left));
    notices.extend(format_members_renamed(&renamed));
    notices.extend(format_members_joined(&joined));
    let text = notices.iter().map(|notice| format!("* {notice}\n")).collect();
    (text, u32::try_from(notices.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(old: Option<&str>, new: Option<&str>) -> PresenceChange {
        PresenceChange { old: old.map(Into::into), new: new.map(Into::into) }
    }

    #[test]
    fn changes_of_one_member_are_combined() {
        let mut pending = PendingChanges::default();
        pending.record(1, change(None, Some("ada")));
        pending.record(1, change(Some("ada"), Some("eve")));
        pending.record(2, change(Some("bob"), Some("cy")));
        pending.record(2, change(Some("cy"), None));
        pending.record(3, change(None, Some("dan")));
        pending.record(3, change(Some("dan"), None));
        pending.record(4, change(Some("fay"), None));
        pending.record(4, change(None, Some("fay")));
        let (text, lines) = format_changes(&pending.take());
        assert_eq!((text.as_str(), lines), ("* bob left\n* eve joined\n", 2));
        assert_eq!(pending.take(), []);
    }

    #[test]
    fn announcement_of_many_changes_is_short() {
        let nick = |letter: char, k: usize| format!("{letter}{k:031}");
        let changes = (0..10_000).map(|k| match k % 3 {
            0 => change(None, Some(&nick('j', k))),
            1 => change(Some(&nick('l', k)), None),
            _ => change(Some(&nick('o', k)), Some(&nick('n', k))),
        });
        let (text, lines) = format_changes(&changes.collect::<Vec<_>>());
        assert!(lines <= 24 && text.len() < 4096, "{lines} lines, {} bytes", text.len());
        assert!(
            text.contains(" and 3313 others left\n") && text.contains(" and 3314 others joined")
        );
        assert!(text.contains("\n* 3313 others changed their names\n"), "{text}");
    }
}
