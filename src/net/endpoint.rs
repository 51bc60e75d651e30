//! Endpoints: the addresses of sockets, as people write them.
//!
//! An [`Endpoint`] is the text after `--listen` in a shell, in an environment variable or in a log.
//! It is not an address yet: a name has to be resolved first, and may have several addresses. A
//! bound socket has an endpoint of its own, with the actual port in place of 0.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// The address of a socket, as people write it.
///
/// | text | meaning |
/// |---|---|
/// | `HOST:PORT` | a name or an IPv4 address |
/// | `[V6]:PORT` | an IPv6 address, with an optional zone (`[fe80::1%eth0]:80`) |
/// | `:PORT` | every interface |
/// | `unix:PATH` | a Unix socket at a path |
/// | `unix:@NAME` | an abstract name (unix(7)); a file with that name is `unix:./@NAME` |
///
/// Port 0 asks the kernel for a free port.
///
/// # Examples
///
/// ```
/// use sockactors::net::Endpoint;
///
/// let endpoint: Endpoint = "[::1]:8080".parse().unwrap();
/// assert_eq!(endpoint, Endpoint::Host { host: "::1".to_owned(), port: 8080 });
/// assert_eq!(endpoint.to_string(), "[::1]:8080");
/// assert!(!endpoint.is_wider_than_loopback());
///
/// let error = "::1:8080".parse::<Endpoint>().unwrap_err();
/// assert!(error.to_string().contains("brackets"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A port of a host.
    Host {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port. 0 lets the kernel choose.
        port: u16,
    },
    /// A port on every interface, over IPv6 and IPv4.
    Any(u16),
    /// The path of a Unix socket. A path that begins with a NUL byte is an abstract name, which has
    /// no file.
    Unix(PathBuf),
}

/// The error of a text that is not an [`Endpoint`]. It shows how to write one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text is only a port.
    #[error("{input:?} has no host: write :{input} or 127.0.0.1:{input}")]
    MissingHost {
        /// The rejected text.
        input: String,
    },
    /// There is no port.
    #[error("{input:?} has no port; write HOST:PORT, such as 127.0.0.1:12345")]
    MissingPort {
        /// The rejected text.
        input: String,
    },
    /// The text after the last colon is not a port.
    #[error("the port in {input:?} is not a number from 0 to 65535; write it like 127.0.0.1:12345")]
    BadPort {
        /// The rejected text.
        input: String,
    },
    /// An IPv6 address has no brackets.
    #[error(
        "{input:?} has more than one colon; write an IPv6 address in brackets, such as [::1]:12345"
    )]
    MissingBrackets {
        /// The rejected text.
        input: String,
    },
    /// The text in brackets is not an IPv6 address.
    #[error("{input:?} has no IPv6 address in its brackets; write it like [::1]:12345")]
    BadV6 {
        /// The rejected text.
        input: String,
    },
    /// The host has a character that is not allowed in names.
    #[error("the host in {input:?} is not a name or address; for every interface write :PORT")]
    BadHost {
        /// The rejected text.
        input: String,
    },
    /// The mode of a Unix socket's file is wrong, or the socket has no file.
    #[error(
        "the mode in {input:?} is not an octal number up to 0777 after the path of a Unix socket; \
         write it like unix:PATH,mode=0660"
    )]
    BadMode {
        /// The rejected text.
        input: String,
    },
    /// The path after `unix:` is empty or contains a NUL byte.
    #[error("{input:?} has no usable path; write unix:PATH, such as unix:/run/chat.sock")]
    BadPath {
        /// The rejected text.
        input: String,
    },
}

impl Endpoint {
    /// Parses an endpoint. A host without a port (`HOST`, `[V6]`) gets `default_port`.
    ///
    /// # Errors
    ///
    /// Fails like [`FromStr`], which requires a port.
    pub fn parse_with_default_port(
        text: &str,
        default_port: u16,
    ) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, Some(default_port))
    }

    fn parse(text: &str, default_port: Option<u16>) -> Result<Endpoint, EndpointError> {
        let input = || text.to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix_path(path).ok_or_else(|| EndpointError::BadPath { input: input() });
        }
        // The resolver would take a number for an IPv4 address.
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(match text.parse::<u16>() {
                Ok(_) => EndpointError::MissingHost { input: input() },
                Err(_) => EndpointError::BadPort { input: input() },
            });
        }
        let has_port = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = match (has_port, default_port) {
            (Some((host, port)), _) if !port.is_empty() => (host, Some(port)),
            (None, Some(_)) if !text.is_empty() => (text, None),
            _ => return Err(EndpointError::MissingPort { input: input() }),
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(EndpointError::MissingBrackets { input: input() });
        }
        let port = match port {
            // `parse` alone would accept a plus sign.
            Some(port) if port.starts_with('+') => None,
            Some(port) => port.parse().ok(),
            None => default_port,
        };
        let port = port.ok_or_else(|| EndpointError::BadPort { input: input() })?;
        if host.is_empty() {
            return Ok(Endpoint::Any(port));
        }
        if let Some(inner) = host.strip_prefix('[') {
            let v6 = inner
                .strip_suffix(']')
                .filter(|v6| is_ipv6_literal(v6))
                .ok_or_else(|| EndpointError::BadV6 { input: input() })?;
            return Ok(Endpoint::Host { host: v6.to_owned(), port });
        }
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(EndpointError::BadHost { input: input() });
        }
        Ok(Endpoint::Host { host: host.to_owned(), port })
    }

    /// The maximum number of addresses of a name.
    pub const MAX_ADDRESSES: usize = 32;

    /// Resolves the endpoint to its addresses, best first and without duplicates. The addresses of
    /// a name after the first [`MAX_ADDRESSES`](Endpoint::MAX_ADDRESSES) are ignored.
    ///
    /// A numeric host needs no lookup. The system's resolver looks up a name on a thread of smol's
    /// pool. [`Endpoint::Any`] has the two unspecified addresses, IPv6 first.
    ///
    /// # Errors
    ///
    /// Fails with the resolver's error, with [`io::ErrorKind::NotFound`] if a name has no address,
    /// and with [`io::ErrorKind::Unsupported`] for a Unix path.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = match self {
            Endpoint::Unix(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "a Unix path has no IP address",
                ));
            }
            Endpoint::Any(port) => {
                return Ok(vec![
                    (Ipv6Addr::UNSPECIFIED, *port).into(),
                    (Ipv4Addr::UNSPECIFIED, *port).into(),
                ]);
            }
            Endpoint::Host { host, port } => (host, *port),
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let name = host.clone();
        let found = smol::unblock(move || (name.as_str(), port).to_socket_addrs()).await?;
        let mut addresses = Vec::new();
        for address in found {
            if addresses.len() < Endpoint::MAX_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    /// Returns whether a socket that is bound to this endpoint has a file.
    pub fn has_file(&self) -> bool {
        matches!(self, Endpoint::Unix(path) if !path.as_os_str().as_bytes().starts_with(b"\0"))
    }

    /// Returns the address in a numeric host; none for names, [`Endpoint::Any`] and Unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Host { host, .. } => host.parse().ok(),
            _ => None,
        }
    }

    /// Returns the port; none for Unix sockets.
    pub fn port(&self) -> Option<u16> {
        match self {
            Endpoint::Host { port, .. } | Endpoint::Any(port) => Some(*port),
            Endpoint::Unix(_) => None,
        }
    }

    /// Returns whether other machines may reach a socket that is bound to this endpoint.
    ///
    /// They certainly cannot reach loopback addresses, the name `localhost` (RFC 6761 section 6.3)
    /// and Unix sockets. Any other name counts as reachable, whatever it resolves to.
    pub fn is_wider_than_loopback(&self) -> bool {
        match self {
            Endpoint::Unix(_) => false,
            Endpoint::Any(_) => true,
            Endpoint::Host { host, .. } => match host.parse::<IpAddr>() {
                Ok(ip) => !ip.to_canonical().is_loopback(),
                Err(_) => !host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
            },
        }
    }

    /// Returns the endpoint of a socket that was bound to `address` for this endpoint.
    pub(super) fn with_bound_address(&self, address: SocketAddr) -> Endpoint {
        match self {
            Endpoint::Any(_) => Endpoint::Any(address.port()),
            _ => address.into(),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    /// Converts an address. The host of a scoped IPv6 address includes its numeric zone.
    fn from(address: SocketAddr) -> Endpoint {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Endpoint::Host { host, port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    /// Formats the endpoint as [`FromStr`] parses it. Bytes of a path that are not UTF-8 become
    /// U+FFFD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Host { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Any(port) => write!(f, ":{port}"),
            Endpoint::Unix(path) => match path.as_os_str().as_bytes() {
                [0, name @ ..] => write!(f, "unix:@{}", String::from_utf8_lossy(name)),
                [b'@', ..] => write!(f, "unix:./{}", path.display()),
                _ => write!(f, "unix:{}", path.display()),
            },
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, None)
    }
}

/// Parses the text after `unix:`.
fn parse_unix_path(path: &str) -> Option<Endpoint> {
    if path.is_empty() || path == "@" || path.contains('\0') {
        return None;
    }
    let mut bytes = path.as_bytes().to_vec();
    if bytes[0] == b'@' {
        bytes[0] = 0;
    }
    Some(Endpoint::Unix(PathBuf::from(std::ffi::OsString::from_vec(bytes))))
}

/// Returns whether the text is an IPv6 address, with or without a zone (RFC 4007, RFC 6874).
fn is_ipv6_literal(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let named = !zone.is_empty()
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    named && address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests;
