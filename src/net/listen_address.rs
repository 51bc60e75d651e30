//! The addresses of servers: an endpoint, and how its socket is made.

use std::fmt;
use std::str::FromStr;

use crate::net::endpoint::{Endpoint, EndpointError};

/// The text before the mode of a Unix socket's file.
const MODE_PREFIX: &str = ",mode=";

/// An endpoint to listen on. In text it is an [`Endpoint`], or `unix:PATH,mode=0660`.
///
/// # Examples
///
/// ```
/// use sockactors::net::ListenAddress;
///
/// let address: ListenAddress = "unix:/run/chat.sock,mode=0660".parse().unwrap();
/// assert_eq!(address.endpoint.to_string(), "unix:/run/chat.sock");
/// assert_eq!(address.mode, Some(0o660));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListenAddress {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The mode of a Unix socket's file. `None` leaves it to the umask of the process.
    pub mode: Option<u32>,
    /// Whether a socket for every IPv6 address (`[::]`) excludes IPv4, so that another socket can
    /// have the port there. Otherwise the kernel's default applies (`net.ipv6.bindv6only`).
    pub v6_only: bool,
}

impl ListenAddress {
    /// Parses an address. A host without a port gets `default_port`.
    ///
    /// # Errors
    ///
    /// See [`EndpointError`].
    pub fn parse_with_default_port(
        text: &str,
        default_port: u16,
    ) -> Result<ListenAddress, EndpointError> {
        parse(text, |text| Endpoint::parse_with_default_port(text, default_port))
    }
}

impl FromStr for ListenAddress {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<ListenAddress, EndpointError> {
        parse(text, str::parse)
    }
}

impl From<Endpoint> for ListenAddress {
    fn from(endpoint: Endpoint) -> ListenAddress {
        ListenAddress { endpoint, mode: None, v6_only: false }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.endpoint)?;
        self.mode.map_or(Ok(()), |mode| write!(f, "{MODE_PREFIX}{mode:04o}"))
    }
}

/// Parses an endpoint with `parse_endpoint`, and the mode after it.
fn parse(
    text: &str,
    parse_endpoint: impl Fn(&str) -> Result<Endpoint, EndpointError>,
) -> Result<ListenAddress, EndpointError> {
    let Some((path, mode)) = text.rsplit_once(MODE_PREFIX) else {
        return parse_endpoint(text).map(ListenAddress::from);
    };
    let endpoint = parse_endpoint(path)?;
    // `from_str_radix` alone would accept a plus sign.
    let is_octal = mode.bytes().all(|byte| matches!(byte, b'0'..=b'7')) && mode.len() <= 4;
    match u32::from_str_radix(mode, 8) {
        Ok(mode) if is_octal && mode <= 0o777 && endpoint.has_file() => {
            Ok(ListenAddress { mode: Some(mode), ..endpoint.into() })
        }
        _ => Err(EndpointError::BadMode { input: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_follows_path_of_unix_socket() {
        for (text, mode) in [
            ("unix:/x,mode=0660", Some(0o660)),
            ("unix:/a,b,mode=0007", Some(0o007)),
            ("unix:/a,mode=1,mode=0777", Some(0o777)),
            ("unix:/x,mod", None),
            ("unix:@x", None),
            ("[::1]:80", None),
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.mode, mode, "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn wrong_mode_is_rejected() {
        for text in [
            "unix:/x,mode=",
            "unix:/x,mode=0888",
            "unix:/x,mode=1777",
            "unix:/x,mode=00660",
            "unix:/x,mode=+660",
            "unix:/x,mode=rw",
            "unix:@x,mode=0660",
            "127.0.0.1:80,mode=0660",
            ",mode=0660",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
        let error = "unix:/x,mode=9".parse::<ListenAddress>().unwrap_err().to_string();
        assert!(error.contains("unix:PATH,mode=0660"), "{error}");
    }
}
