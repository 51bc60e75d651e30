//! Accepted connections, and the reports of their start and end.

use crate::actors::support::ip_limit::PerIpPermit;
use crate::actors::support::memory_budget::ConnectionMemory;
use crate::actors::support::report::{Report, Reporter, SendReport};
use crate::net::{Peer, Stream};

/// An accepted connection, as the listener passes it to the actor that serves it.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: Stream,
    /// The number of the connection, from 0.
    pub number: u64,
    /// The permit of the connection limit per address. It must be kept as long as the connection is
    /// open.
    pub ip_permit: PerIpPermit,
    /// The memory that the connection holds. It must be kept as long as the connection is open.
    pub memory: ConnectionMemory,
}

impl Connection {
    /// Creates a connection without limits, with the number 0.
    pub fn unlimited(stream: Stream) -> Connection {
        let (ip_permit, memory) = (PerIpPermit::default(), ConnectionMemory::default());
        Connection { stream, number: 0, ip_permit, memory }
    }
}

impl Connection {
    /// Reports that the connection was accepted. The returned guard reports its end, also if the
    /// actor that serves the connection crashes or is killed.
    pub async fn report_connected(&self, reporter: &Reporter) -> ConnectionGuard {
        if !reporter.is_enabled() {
            return ConnectionGuard(None);
        }
        let (peer, conn) = (self.stream.peer().clone(), self.number);
        let inner = ConnectionGuardInner { reporter: reporter.clone(), peer: peer.clone(), conn };
        let guard = ConnectionGuard(Some(Box::new(inner)));
        reporter.send(|| Report::Connected { peer, conn }).await;
        guard
    }
}

/// A guard that reports the end of a connection.
#[derive(Debug)]
pub struct ConnectionGuard(Option<Box<ConnectionGuardInner>>);

/// The contents of the final report. With a disabled reporter there is none.
#[derive(Debug)]
struct ConnectionGuardInner {
    reporter: Reporter,
    peer: Peer,
    conn: u64,
}

impl ConnectionGuard {
    /// Reports that the connection has ended, with the reason in a few words.
    pub fn report_disconnected(mut self, reason: impl Into<String>) -> SendReport {
        let Some(inner) = self.0.take() else { return SendReport::ready() };
        let ConnectionGuardInner { reporter, peer, conn } = *inner;
        let reason = reason.into();
        reporter.send(|| Report::Disconnected { peer, conn, reason })
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else { return };
        let ConnectionGuardInner { reporter, peer, conn } = *inner;
        let reason = "its actor crashed or was killed".into();
        reporter.try_send(|| Report::Disconnected { peer, conn, reason });
    }
}
