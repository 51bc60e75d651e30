//! The peers, one a file.

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

/// A peer as it stands in a table.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Whether a sender waits for room.
    pub bounded: bool,
    /// Does a work, on so many threads, so many times as much.
    pub of: fn(Work, usize, u64) -> Option<Spent>,
    /// Returns how many bytes each of so many idle actors takes; see `bin/idle.rs`.
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

/// All of them; ours is the first.
pub const PEERS: [Entry; 7] = [
    entry::<Sockactors>(),
    entry::<Raw>(),
    entry::<Tokio>(),
    entry::<Actix>(),
    entry::<Ractor>(),
    entry::<Kameo>(),
    entry::<Xtra>(),
];
