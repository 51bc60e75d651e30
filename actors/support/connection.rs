//! An accepted connection, and how its coming and going are told.

use crate::actors::{Report, Reporter, Telling, Visit};
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
        if !reporter.is_heard() {
            return Presence(None);
        }
        let (peer, conn) = (self.stream.peer().clone(), self.number);
        let told = Told { reporter: reporter.clone(), peer: peer.clone(), conn };
        let presence = Presence(Some(Box::new(told)));
        reporter.tell(|| Report::Connected { peer, conn }).await;
        presence
    }
}

/// A connection that was announced and has not ended yet.
#[derive(Debug)]
pub struct Presence(Option<Box<Told>>);

/// Who was told of a connection, and what its end is told with. None is kept where nobody hears.
#[derive(Debug)]
struct Told {
    reporter: Reporter,
    peer: Peer,
    conn: u64,
}

impl Presence {
    /// Tells that the connection is over, and why, in a few words.
    pub fn end(mut self, why: impl Into<String>) -> Telling {
        let Some(told) = self.0.take() else { return Telling::done() };
        let Told { reporter, peer, conn } = *told;
        let why = why.into();
        reporter.tell(|| Report::Disconnected { peer, conn, why })
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(told) = self.0.take() else { return };
        let Told { reporter, peer, conn } = *told;
        let why = "its actor was ended".into();
        reporter.try_tell(|| Report::Disconnected { peer, conn, why });
    }
}
