//! The peers, one per file.

mod actix;
mod kameo;
mod ractor;
mod raw;
mod sockactors;
mod tokio;
mod xtra;

pub use self::actix::Actix;
pub use self::kameo::Kameo;
pub use self::ractor::Ractor;
pub use self::raw::Raw;
pub use self::sockactors::Sockactors;
pub use self::tokio::Tokio;
pub use self::xtra::Xtra;

use crate::Peer;
use crate::meter::Spent;
use crate::works::Work;

/// An entry of the table of peers.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The name of the peer.
    pub name: &'static str,
    /// Whether a sender waits while the mailbox is full.
    pub bounded: bool,
    /// Runs a workload on a number of threads, with a factor for its size.
    pub of: fn(Work, usize, u64) -> Option<Spent>,
    /// Returns the bytes per idle actor. See `bin/idle.rs`.
    pub idle: fn(u64, fn() -> usize) -> f64,
}

const fn entry<P: Peer>() -> Entry {
    Entry {
        name: P::NAME,
        bounded: P::BOUNDED,
        of: |work, threads, scale| work.of::<P>(threads, scale),
        idle: crate::works::idle_bytes::<P>,
    }
}

/// All peers, sockactors first.
pub const PEERS: [Entry; 7] = [
    entry::<Sockactors>(),
    entry::<Raw>(),
    entry::<Tokio>(),
    entry::<Actix>(),
    entry::<Ractor>(),
    entry::<Kameo>(),
    entry::<Xtra>(),
];
