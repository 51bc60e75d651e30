//! An accepted connection, and how its coming and going are told.

use crate::actors::{PerIpPermit, Report, Reporter, SendReport};
use crate::net::{Peer, Stream};

/// An accepted connection, as a listener hands it to the actor that serves it.
#[derive(Debug)]
pub struct Connection {
    /// The connection itself.
    pub stream: Stream,
    /// Its number, from 0.
    pub number: u64,
    /// Where connections are counted by their addresses: counts this one, as long as it is kept.
    pub ip_permit: Option<PerIpPermit>,
}

impl Connection {
    /// Tells that the connection is there. What comes back tells its end, and tells it by itself where the
    /// actor that serves the connection crashes or is killed.
    pub async fn report_connected(&self, reporter: &Reporter) -> ConnectionGuard {
        if !reporter.is_enabled() {
            return ConnectionGuard(None);
        }
        let (peer, conn) = (self.stream.peer().clone(), self.number);
        let told = ConnectionGuardInner { reporter: reporter.clone(), peer: peer.clone(), conn };
        let presence = ConnectionGuard(Some(Box::new(told)));
        reporter.send(|| Report::Connected { peer, conn }).await;
        presence
    }
}

/// A connection that was announced and has not ended yet.
#[derive(Debug)]
pub struct ConnectionGuard(Option<Box<ConnectionGuardInner>>);

/// Who was told of a connection, and what its end is told with. None is kept where nobody hears.
#[derive(Debug)]
struct ConnectionGuardInner {
    reporter: Reporter,
    peer: Peer,
    conn: u64,
}

impl ConnectionGuard {
    /// Tells that the connection is over, and why, in a few words.
    pub fn report_disconnected(mut self, why: impl Into<String>) -> SendReport {
        let Some(told) = self.0.take() else { return SendReport::ready() };
        let ConnectionGuardInner { reporter, peer, conn } = *told;
        let why = why.into();
        reporter.send(|| Report::Disconnected { peer, conn, reason: why })
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let Some(told) = self.0.take() else { return };
        let ConnectionGuardInner { reporter, peer, conn } = *told;
        let why = "its actor was ended".into();
        reporter.try_send(|| Report::Disconnected { peer, conn, reason: why });
    }
}
