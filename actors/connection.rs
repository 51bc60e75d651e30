//! An accepted connection, and how its coming and going are told.

use super::{Report, Reporter, Visit};
use crate::net::{Peer, Stream};

/// An accepted connection, as a listener hands it to the actor that serves it.
#[derive(Debug)]
pub struct Connection {
    /// The connection itself.
    pub stream: Stream,
    /// Its number, from 0.
    pub number: u64,
    /// Where connections are counted by their addresses: counts this one, as long as it is kept.
    pub visit: Option<Visit>,
}

impl Connection {
    /// Tells that the connection is there. What comes back tells its end, and tells it by itself where the
    /// actor that serves the connection crashes or is killed.
    pub async fn announce(&self, reporter: &Reporter) -> Presence {
        let (peer, conn) = (self.stream.peer().clone(), self.number);
        let presence = Presence { reporter: reporter.clone(), peer, conn, is_over: false };
        let peer = presence.peer.clone();
        reporter.tell(|| Report::Connected { peer, conn }).await;
        presence
    }
}

/// A connection that was announced and has not ended yet.
#[derive(Debug)]
pub struct Presence {
    reporter: Reporter,
    peer: Peer,
    conn: u64,
    is_over: bool,
}

impl Presence {
    /// Tells that the connection is over, and why, in a few words.
    pub async fn end(mut self, why: String) {
        self.is_over = true;
        let (peer, conn) = (self.peer.clone(), self.conn);
        self.reporter.tell(|| Report::Disconnected { peer, conn, why }).await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.is_over {
            let (peer, conn) = (self.peer.clone(), self.conn);
            let why = "its actor was ended".into();
            self.reporter.try_tell(|| Report::Disconnected { peer, conn, why });
        }
    }
}
