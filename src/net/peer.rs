//! Who is at the other end of a socket.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The address of the other end.
///
/// An IPv4 client of a dual-stack socket is shown by its IPv4 address (`127.0.0.1:4711`, not
/// `[::ffff:127.0.0.1]:4711`), so that limits and tests for loopback treat it alike.
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
    /// The path of a Unix socket; a leading NUL byte marks an abstract name. `None` is a socket
    /// that was never bound, as those of most clients: it can be answered on its connection only.
    Unix(Option<PathBuf>),
}

impl Peer {
    /// Tells whether the peer is on this machine for certain: a loopback address, or any Unix
    /// socket.
    pub fn is_loopback(&self) -> bool {
        match self {
            Peer::Inet(SocketAddr::V4(address)) => address.ip().is_loopback(),
            Peer::Inet(SocketAddr::V6(address)) => address.ip().to_canonical().is_loopback(),
            Peer::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for Peer {
    /// Turns an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) into the IPv4 address.
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
    /// Writes an address as the standard library does, and a path as `unix:PATH`.
    ///
    /// The peer chose its path, so bytes that are not UTF-8 become U+FFFD, and control characters,
    /// separators and marks of the bidirectional algorithm are spelled as escapes: the result is
    /// safe in a terminal and a log.
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
        for c in OsStr::from_bytes(path).to_string_lossy().chars() {
            if misleads(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Tells whether a character could move a cursor, break a line or turn the direction of text.
///
/// A path needs none of them, and this floor stands below the one where a peer's texts are made
/// safe.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    fn unix_peer(bytes: &[u8]) -> Peer {
        Peer::Unix(Some(OsString::from_vec(bytes.to_vec()).into()))
    }

    #[test]
    fn paths_are_shown_without_tricks() {
        assert_eq!(unix_peer(b"/run/x").to_string(), "unix:/run/x");
        assert_eq!(unix_peer(b"/run/\x1b[2J\n\xff").to_string(), "unix:/run/\\u{1b}[2J\\n\u{fffd}");
        assert_eq!(unix_peer("/\u{202e}txt".as_bytes()).to_string(), "unix:/\\u{202e}txt");
        assert_eq!(unix_peer(b"\0a\0b").to_string(), "unix:@a\\u{0}b");
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:9".parse().unwrap();
        assert_eq!(Peer::from(mapped), Peer::Inet("127.0.0.1:9".parse().unwrap()));
        assert!(Peer::Inet(mapped).is_loopback());
    }

    #[test]
    fn loopback_is_this_machine_only() {
        assert!(Peer::Unix(None).is_loopback());
        assert!(!Peer::Inet("192.0.2.1:9".parse().unwrap()).is_loopback());
    }
}
