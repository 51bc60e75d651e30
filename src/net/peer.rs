//! The address of the other end of a socket.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::wire::text::escape;

/// The address of the other end of a socket.
///
/// An IPv4 client of a dual-stack socket has its IPv4 address (`127.0.0.1:4711`, not
/// `[::ffff:127.0.0.1]:4711`), so that limits and loopback checks treat both forms alike.
///
/// # Examples
///
/// ```
/// use sockactors::net::Peer;
///
/// let peer = Peer::Inet("[::1]:4711".parse().unwrap());
/// assert_eq!(peer.to_string(), "[::1]:4711");
/// assert!(peer.is_loopback());
///
/// assert_eq!(Peer::Unix(None).to_string(), "unix:(unnamed)");
/// assert_eq!(Peer::Unix(Some("\0worker".into())).to_string(), "unix:@worker");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An IPv4 or IPv6 address and port.
    Inet(SocketAddr),
    /// The path of a Unix socket. A leading NUL byte marks an abstract name. `None` is a socket
    /// that was never bound, like those of most clients. A reply can reach it only on its
    /// connection.
    Unix(Option<PathBuf>),
}

impl Peer {
    /// Returns whether the peer is certainly on this machine: a loopback address or a Unix socket.
    pub fn is_loopback(&self) -> bool {
        match self {
            Peer::Inet(SocketAddr::V4(address)) => address.ip().is_loopback(),
            Peer::Inet(SocketAddr::V6(address)) => address.ip().to_canonical().is_loopback(),
            Peer::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for Peer {
    /// Converts an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) to the IPv4 address.
    fn from(address: SocketAddr) -> Peer {
        match address {
            SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
                Peer::Inet(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            _ => Peer::Inet(address),
        }
    }
}

impl fmt::Display for Peer {
    /// Formats an address like the standard library, and a path as `unix:PATH`.
    ///
    /// The peer chose its path. So bytes that are not UTF-8 become U+FFFD, and characters that are
    /// [unsafe](crate::wire::text::is_unsafe) to show become escapes. The result is safe in a
    /// terminal and a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            Peer::Inet(address) => return address.fmt(f),
            Peer::Unix(None) => return f.write_str("unix:(unnamed)"),
            Peer::Unix(Some(path)) => path.as_os_str().as_bytes(),
        };
        f.write_str("unix:")?;
        let path = match path {
            [0, name @ ..] => {
                f.write_char('@')?;
                name
            }
            path => path,
        };
        f.write_str(&escape(&OsStr::from_bytes(path).to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn unix_peer(bytes: &[u8]) -> Peer {
        Peer::Unix(Some(OsString::from_vec(bytes.to_vec()).into()))
    }

    #[test]
    fn unsafe_characters_in_paths_are_escaped() {
        assert_eq!(unix_peer(b"/run/x").to_string(), "unix:/run/x");
        assert_eq!(unix_peer(b"/run/\x1b[2J\n\xff").to_string(), "unix:/run/\\u{1b}[2J\\n\u{fffd}");
        assert_eq!(unix_peer("/\u{202e}txt".as_bytes()).to_string(), "unix:/\\u{202e}txt");
        assert_eq!(unix_peer("/\u{2060}x".as_bytes()).to_string(), "unix:/\\u{2060}x");
        assert_eq!(unix_peer(b"\0a\0b").to_string(), "unix:@a\\u{0}b");
    }

    #[test]
    fn mapped_address_becomes_ipv4_address() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:9".parse().unwrap();
        assert_eq!(Peer::from(mapped), Peer::Inet("127.0.0.1:9".parse().unwrap()));
        assert!(Peer::Inet(mapped).is_loopback());
    }

    #[test]
    fn only_local_peers_are_loopback() {
        assert!(Peer::Unix(None).is_loopback());
        assert!(!Peer::Inet("192.0.2.1:9".parse().unwrap()).is_loopback());
    }
}
