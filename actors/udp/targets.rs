//! The addresses of a server's name, which a client tries in turn until one of them replies.
//!
//! Over UDP it stays unknown whether a server is at an address until it replies. So an address that
//! refuses, or does not reply within its share of the timeout, is followed by the next one.

use std::time::Duration;
use std::vec;

use crate::net::{ConnectError, DatagramSocket, Endpoint};

/// The addresses of a server. One of them is in use.
#[derive(Debug)]
pub(super) struct Targets {
    current: Endpoint,
    others: vec::IntoIter<Endpoint>,
    share: Duration,
}

impl Targets {
    /// Resolves an endpoint, so that a name is looked up once. Each address gets an equal share of
    /// `timeout`.
    pub(super) async fn resolve(
        endpoint: &Endpoint,
        timeout: Duration,
    ) -> Result<Targets, ConnectError> {
        let addresses = match endpoint {
            Endpoint::Unix(_) => vec![endpoint.clone()],
            _ => {
                let addresses = endpoint.resolve().await.map_err(|source| {
                    ConnectError::Unresolvable { endpoint: endpoint.clone(), source }
                })?;
                addresses.into_iter().map(Endpoint::from).collect()
            }
        };
        let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut others = addresses.into_iter();
        let current = others.next().unwrap_or_else(|| endpoint.clone());
        Ok(Targets { current, others, share })
    }

    /// Connects a socket to the first address to which this machine has a route.
    pub(super) async fn connect(mut self) -> Result<(Targets, DatagramSocket), ConnectError> {
        loop {
            match DatagramSocket::connect(&self.current).await {
                Ok(socket) => return Ok((self, socket)),
                Err(error) if !self.advance() => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Returns the address in use.
    pub(super) fn current(&self) -> &Endpoint {
        &self.current
    }

    /// Returns the time to wait for the first reply before the next address is tried; none if there
    /// is no other.
    pub(super) fn first_timeout(&self) -> Option<Duration> {
        (self.others.len() > 0).then_some(self.share)
    }

    /// Uses the next address. Returns whether there is one.
    pub(super) fn advance(&mut self) -> bool {
        match self.others.next() {
            Some(next) => {
                self.current = next;
                true
            }
            None => false,
        }
    }

    /// Keeps the address in use, because a server has replied.
    pub(super) fn settle(&mut self) {
        self.others = Vec::new().into_iter();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_tried_once_until_one_replies() {
        smol::block_on(async {
            let timeout = Duration::from_secs(4);
            let any = Targets::resolve(&Endpoint::Any(7), timeout);
            let mut targets = any.await.expect("two addresses");
            assert_eq!(targets.current().to_string(), "[::]:7");
            assert_eq!(targets.first_timeout(), Some(timeout / 2));
            assert!(targets.advance());
            assert_eq!(targets.current().to_string(), "0.0.0.0:7");
            assert_eq!(targets.first_timeout(), None);
            assert!(!targets.advance());
            let mut targets = Targets::resolve(&Endpoint::Any(7), timeout).await.expect("two");
            targets.settle();
            assert!(targets.first_timeout().is_none() && !targets.advance());
            let unix = Endpoint::Unix("/x".into());
            let targets = Targets::resolve(&unix, timeout).await.expect("a path");
            assert!(*targets.current() == unix && targets.first_timeout().is_none());
        });
    }
}
