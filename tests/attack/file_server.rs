//! Attacks on the file server.
