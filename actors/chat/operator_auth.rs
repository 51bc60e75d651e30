//! The operator password of a chat server, and the delays of wrong ones.
//!
//! A wrong password is answered late, and until then no other password of its source is checked, in
//! any session. The delay starts at [`FIRST_DELAY`] and doubles with each wrong password, up to
//! [`MAX_DELAY`]. A source without attempts for [`FORGET_AFTER`] is forgotten. Wrong passwords are
//! reported together, at most once per second.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::actors::support::report::Report;
use crate::actors::support::throttle::{ThrottledEvent, ThrottledReports};
use crate::net::Peer;
use crate::sync::lock;
use crate::time::deadline_after;

/// Number of wrong passwords after which a session is closed.
pub(crate) const MAX_LOGIN_ATTEMPTS: u8 = 3;

/// The delay after the first wrong password of a source.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay after a wrong password.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// The time after the end of its last delay at which a source is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Maximum number of sources with wrong passwords.
const MAX_SOURCES: usize = 4096;

/// The hashed password with which a member becomes an operator. Its clones share the password and
/// the delays.
#[derive(Clone)]
pub struct OperatorAuth {
    password: Arc<Mutex<blake3::Hash>>,
    failures: Arc<Mutex<LoginFailures>>,
}

/// The answer to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// The password is right.
    Accepted,
    /// The password is wrong. The member may be told at this time.
    Rejected(Instant),
    /// The password was not checked, because the source is delayed until this time.
    Delayed(Instant),
}

#[derive(Default)]
struct LoginFailures {
    /// By address. `None` stands for all Unix sockets.
    sources: HashMap<Option<IpAddr>, SourceFailures>,
    reports: ThrottledReports<WrongPassword, 1>,
}

struct SourceFailures {
    count: u32,
    /// When the next password is checked.
    delayed_until: Instant,
}

#[derive(Debug)]
struct WrongPassword;

impl ThrottledEvent for WrongPassword {
    fn kind(&self) -> usize {
        0
    }

    fn into_report(self, peer: Option<Peer>, count: u64) -> Report {
        let reason = match count {
            0 | 1 => "wrong operator password".into(),
            count => format!("wrong operator password ({count} so far)"),
        };
        Report::Rejected { peer, reason }
    }
}

impl OperatorAuth {
    /// Accepts this password.
    pub fn new(password: &str) -> OperatorAuth {
        let password = Arc::new(Mutex::new(blake3::hash(password.as_bytes())));
        OperatorAuth { password, failures: Arc::default() }
    }

    /// Replaces the password. Members that are operators already remain so.
    pub fn set_password(&self, password: &str) {
        *lock(&self.password) = blake3::hash(password.as_bytes());
    }

    /// Checks a password of a peer, whose source is its address, or `None` without one. The time
    /// taken does not depend on the password.
    pub(crate) fn log_in(
        &self,
        password: &str,
        source: Option<IpAddr>,
        peer: &Peer,
        now: Instant,
    ) -> Login {
        let right = *lock(&self.password);
        let mut failures = lock(&self.failures);
        match failures.sources.get(&source) {
            Some(failed) if failed.delayed_until > now => Login::Delayed(failed.delayed_until),
            _ if right == blake3::hash(password.as_bytes()) => Login::Accepted,
            _ => {
                failures.reports.add(WrongPassword, Some(peer), 1);
                Login::Rejected(failures.add(source, now))
            }
        }
    }

    /// Returns the reports of wrong passwords that are due now.
    pub(crate) fn take_reports(&self, now: Instant) -> Vec<Report> {
        lock(&self.failures).reports.take_due(|| now)
    }
}

impl LoginFailures {
    /// Counts a wrong password of a source. Returns the end of its delay.
    fn add(&mut self, source: Option<IpAddr>, now: Instant) -> Instant {
        self.sources.retain(|_, failed| deadline_after(failed.delayed_until, FORGET_AFTER) > now);
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&source) {
            let oldest = self.sources.iter().min_by_key(|(_, failed)| failed.delayed_until);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.sources.remove(&oldest);
            }
        }
        let failed =
            self.sources.entry(source).or_insert(SourceFailures { count: 0, delayed_until: now });
        let factor = 1_u32.checked_shl(failed.count).unwrap_or(u32::MAX);
        failed.count = failed.count.saturating_add(1);
        failed.delayed_until =
            deadline_after(now, FIRST_DELAY.saturating_mul(factor).min(MAX_DELAY));
        failed.delayed_until
    }
}

/// Shows neither the password nor its hash.
impl fmt::Debug for OperatorAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorAuth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Peer = Peer::Unix(None);

    fn source(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn operator_auth_accepts_only_its_password() {
        let (operators, now) = (OperatorAuth::new("open sesame"), Instant::now());
        assert_eq!(operators.log_in("open sesame", None, &PEER, now), Login::Accepted);
        for (number, password) in ["open", "Open Sesame", ""].into_iter().enumerate() {
            let login = operators.log_in(password, source(number as u32), &PEER, now);
            assert!(matches!(login, Login::Rejected(_)), "{password}");
        }
        assert!(!format!("{operators:?}").contains("open"));
        operators.clone().set_password("new");
        assert_eq!(operators.log_in("new", None, &PEER, now), Login::Accepted);
        assert!(matches!(operators.log_in("open sesame", None, &PEER, now), Login::Rejected(_)));
    }

    #[test]
    fn wrong_passwords_double_delay_of_their_source() {
        let operators = OperatorAuth::new("right");
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = now + Duration::from_secs(seconds);
            assert_eq!(operators.log_in("wrong", source(1), &PEER, now), Login::Rejected(until));
            // The right password does not reveal itself either.
            assert_eq!(operators.log_in("right", source(1), &PEER, now), Login::Delayed(until));
            assert_eq!(operators.log_in("right", source(2), &PEER, now), Login::Accepted);
            now = until;
        }
        assert_eq!(operators.log_in("right", source(1), &PEER, now), Login::Accepted);
        now += FORGET_AFTER;
        let until = now + FIRST_DELAY;
        assert_eq!(operators.log_in("wrong", source(1), &PEER, now), Login::Rejected(until));
    }

    #[test]
    fn failed_sources_stay_within_limit() {
        let (operators, start) = (OperatorAuth::new("right"), Instant::now());
        for number in 0..MAX_SOURCES as u32 + 100 {
            let now = start + Duration::from_nanos(number.into());
            operators.log_in("wrong", source(number), &PEER, now);
        }
        let failures = lock(&operators.failures);
        assert_eq!(failures.sources.len(), MAX_SOURCES);
        assert!(!failures.sources.contains_key(&source(99)));
        assert!(failures.sources.contains_key(&source(100)));
    }

    #[test]
    fn wrong_passwords_are_reported_together() {
        let (operators, start) = (OperatorAuth::new("right"), Instant::now());
        let mut reports = Vec::new();
        for number in 0..1000 {
            let now = start + Duration::from_millis(number.into());
            operators.log_in("wrong", source(number), &PEER, now);
            reports.extend(operators.take_reports(now));
        }
        reports.extend(operators.take_reports(start + Duration::from_secs(1)));
        let reason = |report: &Report| match report {
            Report::Rejected { reason, .. } => reason.clone(),
            other => panic!("{other:?}"),
        };
        let reasons: Vec<_> = reports.iter().map(reason).collect();
        assert_eq!(reasons, ["wrong operator password", "wrong operator password (1000 so far)"]);
    }
}
