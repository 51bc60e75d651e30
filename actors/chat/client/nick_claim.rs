//! The attempts of a chat client to take its own nick back after it has reconnected.
//!
//! A server that has not noticed the loss of a connection still knows its member. The client then
//! enters as a guest, and asks for its nick again: as soon as the member's leave is announced, and
//! from time to time, because it may be in another room.

use std::time::Instant;

use crate::actors::support::backoff::Backoff;
use crate::wire::chat::notice::format_nick_taken;
use crate::wire::text::escape;

/// The maximum number of attempts. With their delays they last for about two minutes.
const MAX_ATTEMPTS: u32 = 20;

/// A nick that a client asks for again.
#[derive(Debug)]
pub(crate) struct NickClaim {
    nick: String,
    backoff: Backoff,
    next_at: Option<Instant>,
}

impl NickClaim {
    /// Creates the claim of a nick, with a first attempt after the shortest delay.
    pub(crate) fn new(nick: &str, now: Instant) -> NickClaim {
        let mut claim = NickClaim { nick: nick.into(), backoff: Backoff::new(), next_at: None };
        claim.schedule(now);
        claim
    }

    fn schedule(&mut self, now: Instant) {
        self.next_at =
            self.backoff.next_delay_limited(MAX_ATTEMPTS).and_then(|delay| now.checked_add(delay));
    }

    /// Returns the time of the next attempt, if there is one.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    /// Makes the next attempt, if there is one, due if `nick` is the claimed one.
    pub(crate) fn on_nick_free(&mut self, nick: &str, now: Instant) {
        if let (Some(next_at), true) = (&mut self.next_at, nick.eq_ignore_ascii_case(&self.nick)) {
            *next_at = now;
        }
    }

    /// Returns the command to send if an attempt is due, and schedules the next one.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<String> {
        self.next_at.filter(|next_at| *next_at <= now)?;
        self.schedule(now);
        Some(format!("/nick {}", self.nick))
    }

    /// Returns the server's line for an attempt that came too early.
    pub(crate) fn refusal(&self) -> String {
        format!("* {}", escape(&format_nick_taken(&self.nick)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn attempts_are_bounded_in_number_and_time() {
        let start = Instant::now();
        let mut claim = NickClaim::new("ada", start);
        let (mut attempts, mut now) = (0, start);
        assert_eq!(claim.poll(start), None);
        while let Some(next_at) = claim.next_at() {
            now = next_at;
            assert_eq!(claim.poll(now).as_deref(), Some("/nick ada"));
            attempts += 1;
        }
        assert_eq!(attempts, MAX_ATTEMPTS - 1);
        assert!((100..200).contains(&(now - start).as_secs()), "{:?}", now - start);
        claim.on_nick_free("ada", now);
        assert_eq!(claim.poll(now + Duration::from_secs(1000)), None);
    }

    #[test]
    fn free_nick_is_claimed_at_once() {
        let start = Instant::now();
        let mut claim = NickClaim::new("ada", start);
        claim.on_nick_free("bob", start);
        assert_eq!(claim.poll(start), None);
        claim.on_nick_free("Ada", start);
        assert!(claim.poll(start).is_some() && claim.poll(start).is_none());
    }
}
