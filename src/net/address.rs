//! Conversion between the kernel's socket addresses and this crate's types.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::net::endpoint::Endpoint;
use crate::net::peer::Peer;

/// The longest path of a Unix socket in bytes. `sun_path` has 108 bytes, including the NUL byte at
/// the end (unix(7)).
pub(super) const MAX_PATH_LEN: usize = 107;

/// The size of `struct sockaddr_un` in bytes: the family and `sun_path`.
const SOCKADDR_UN_LEN: u32 = 110;

/// The size of the family field in bytes, which is the whole address of a socket without a name.
const UNNAMED_ADDR_LEN: u32 = 2;

/// Encodes a path, or an abstract name if it begins with a NUL byte.
pub(super) fn encode_unix(path: &Path) -> io::Result<SocketAddrUnix> {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => Ok(SocketAddrUnix::new_abstract_name(name)?),
        bytes if bytes.len() > MAX_PATH_LEN => Err(rustix::io::Errno::NAMETOOLONG.into()),
        bytes => Ok(SocketAddrUnix::new(bytes)?),
    }
}

/// Decodes the address of a peer.
///
/// Linux reports no address for a datagram from a Unix socket without a name.
pub(super) fn decode_peer(address: Option<SocketAddrAny>) -> Peer {
    let Some(address) = address else {
        return Peer::Unix(None);
    };
    match address.address_family() {
        AddressFamily::UNIX => Peer::Unix(decode_path(address)),
        _ => SocketAddr::try_from(address).map_or(Peer::Unix(None), Peer::from),
    }
}

/// Returns the address to which an IPv4 or IPv6 socket is bound.
pub(super) fn local_addr(socket: impl std::os::fd::AsFd) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(rustix::net::getsockname(socket)?)?)
}

/// Returns the endpoint to which a Unix socket is bound.
pub(super) fn local_unix_endpoint(socket: impl std::os::fd::AsFd) -> io::Result<Endpoint> {
    let path = decode_path(rustix::net::getsockname(socket)?);
    Ok(Endpoint::Unix(path.unwrap_or_default()))
}

fn decode_path(address: SocketAddrAny) -> Option<PathBuf> {
    // A peer can bind to a path of 108 bytes, with no space for the NUL byte. The kernel then
    // reports a length beyond the structure, and rustix 1.1 panics on reading it. Such a peer
    // counts as one without a name.
    if address.addr_len() <= UNNAMED_ADDR_LEN || address.addr_len() > SOCKADDR_UN_LEN {
        return None;
    }
    let address = SocketAddrUnix::try_from(address).ok()?;
    let bytes = match (address.path_bytes(), address.abstract_name()) {
        (Some(path), _) => path.to_vec(),
        (None, Some(name)) => [b"\0", name].concat(),
        (None, None) => return None,
    };
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_names_round_trip() {
        for name in ["/run/x.sock", "relative", "\0abstract", "\0"] {
            let address = SocketAddrAny::from(encode_unix(Path::new(name)).unwrap());
            assert_eq!(decode_peer(Some(address)), Peer::Unix(Some(name.into())), "{name:?}");
        }
    }

    #[test]
    fn path_over_107_bytes_is_rejected() {
        assert!(encode_unix(Path::new(&"x".repeat(MAX_PATH_LEN))).is_ok());
        assert!(encode_unix(Path::new(&"x".repeat(MAX_PATH_LEN + 1))).is_err());
    }

    #[test]
    fn missing_address_is_unnamed_unix_peer() {
        assert_eq!(decode_peer(None), Peer::Unix(None));
    }
}
