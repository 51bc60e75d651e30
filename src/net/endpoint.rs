//! Where a socket lives, as a person writes it.
//!
//! An [`Endpoint`] is what stands after `--listen` in a shell, in an environment variable or in a
//! log. It is not an address yet: a name has to be looked up first, and may have several. A socket
//! that is bound has an endpoint of its own again, with the real port in place of 0.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// Where a socket lives.
///
/// | written | meaning |
/// |---|---|
/// | `HOST:PORT` | a name or an IPv4 address |
/// | `[V6]:PORT` | an IPv6 address, with a zone if need be (`[fe80::1%eth0]:80`) |
/// | `:PORT` | every interface |
/// | `unix:PATH` | a file |
/// | `unix:@NAME` | an abstract name (unix(7)); a file that is called so is `unix:./@NAME` |
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
    /// A host's port. The host is a name, an IPv4 address, or an IPv6 address without brackets.
    Host {
        /// The name or address.
        host: String,
        /// The port; 0 lets the kernel choose.
        port: u16,
    },
    /// A port on every interface, over IPv6 and IPv4.
    Any(u16),
    /// The path of a Unix socket. One that begins with a NUL byte is an abstract name, which no
    /// file stands for.
    Unix(PathBuf),
}

/// Says why a text is not an [`Endpoint`], and how to write it instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no colon, or nothing after it.
    #[error("{input:?} has no port; write HOST:PORT, such as 127.0.0.1:12345")]
    MissingPort {
        /// The text as it was given.
        input: String,
    },
    /// What follows the last colon is not a port.
    #[error("the port in {input:?} is not a number from 0 to 65535; write it like 127.0.0.1:12345")]
    BadPort {
        /// The text as it was given.
        input: String,
    },
    /// An IPv6 address stands without brackets.
    #[error(
        "{input:?} has more than one colon; write an IPv6 address in brackets, such as [::1]:12345"
    )]
    MissingBrackets {
        /// The text as it was given.
        input: String,
    },
    /// What stands in brackets is not an IPv6 address.
    #[error("{input:?} has no IPv6 address in its brackets; write it like [::1]:12345")]
    BadV6 {
        /// The text as it was given.
        input: String,
    },
    /// The host has a character that no name has.
    #[error("the host in {input:?} is not a name or address; for every interface write :PORT")]
    BadHost {
        /// The text as it was given.
        input: String,
    },
    /// There is no path after `unix:`, or one with a NUL byte in it.
    #[error("{input:?} has no usable path; write unix:PATH, such as unix:/run/chat.sock")]
    BadPath {
        /// The text as it was given.
        input: String,
    },
}

impl Endpoint {
    /// Finds the addresses that the endpoint stands for, best first and each once.
    ///
    /// Numeric hosts are answered at once; a name is looked up by the system's resolver on a thread
    /// of smol's pool. [`Endpoint::Any`] gives the two unspecified addresses, IPv6 first.
    ///
    /// # Errors
    ///
    /// Fails with the resolver's error, with [`io::ErrorKind::NotFound`] when it knows no address,
    /// and with [`io::ErrorKind::Unsupported`] for a Unix path, which has none.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = match self {
            Endpoint::Unix(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "a unix path has no address",
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
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    /// Tells whether others than this machine can reach a socket that is bound here.
    ///
    /// Only loopback addresses, the name `localhost` (RFC 6761 section 6.3) and Unix sockets are
    /// certain not to be reached; any other name counts as wider, whatever it resolves to.
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

    /// The same endpoint with the port that the kernel has chosen.
    pub(super) fn with_bound_address(&self, address: SocketAddr) -> Endpoint {
        match self {
            Endpoint::Any(_) => Endpoint::Any(address.port()),
            _ => address.into(),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    /// Keeps the numeric zone of a scoped IPv6 address in the host.
    fn from(address: SocketAddr) -> Endpoint {
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            _ => address.ip().to_string(),
        };
        Endpoint::Host { host, port: address.port() }
    }
}

impl fmt::Display for Endpoint {
    /// Writes what [`FromStr`] reads. Bytes of a path that are not UTF-8 are shown as U+FFFD.
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
        let input = || text.to_owned();
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix_path(path).ok_or_else(|| EndpointError::BadPath { input: input() });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && !port.ends_with(']') => (host, port),
            _ => return Err(EndpointError::MissingPort { input: input() }),
        };
        if host.contains(':') && !host.starts_with('[') {
            return Err(EndpointError::MissingBrackets { input: input() });
        }
        // `parse` alone would let a plus sign pass.
        let port = match port.parse() {
            Ok(port) if !text.ends_with(&format!("+{port}")) => port,
            _ => return Err(EndpointError::BadPort { input: input() }),
        };
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
}

/// Reads what follows `unix:`.
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

/// Tells whether the text is an IPv6 address, with or without a zone (RFC 6874 names them; RFC 4007
/// defines them).
fn is_ipv6_literal(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let named = !zone.is_empty()
        && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    named && address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests;
