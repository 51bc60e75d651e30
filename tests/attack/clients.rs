//! Hostile servers against our clients.
