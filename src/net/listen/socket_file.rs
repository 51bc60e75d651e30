//! The file of a bound Unix socket.
//!
//! The file of a Unix socket outlives the socket. If a server ends without removing it (a kill, a
//! power failure), its own restart fails with "address in use". [`bind`] removes such a stale file,
//! but only if it is a socket on which no server answers. A [`SocketFile`] removes the file at the
//! end, but only if it is still the one that was created. Another server may have replaced it.
//!
//! Between the last check of a file and its removal, another process can still put its own file in
//! that place. Linux has no call that removes a file by its identity. A directory that only one
//! service can write to avoids this race.

use std::fs::{self, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

use crate::net::address::{MAX_PATH_LEN, encode_unix};
use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;

/// The file of a bound Unix socket, removed on drop unless another file has replaced it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// The device and the inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_identity(&self.path) == Some(self.identity) {
            // If the removal fails, the file is stale, and the next bind removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Creates a socket and binds it to a path, in place of a stale file if there is one.
///
/// An abstract name (one that begins with a NUL byte) has no file, and so no [`SocketFile`].
///
/// The kernel gives the file the mode of the socket, without the bits of the umask. So a mode is
/// set before the file exists, and nobody else can connect in between. Then the bits that the umask
/// removed are added.
pub(crate) fn bind(
    endpoint: &Endpoint,
    path: &Path,
    socket_type: SocketType,
    mode: Option<u32>,
) -> Result<(OwnedFd, Option<SocketFile>), BindError> {
    let other = |error: Errno| BindError::new(endpoint, error.into());
    let address = encode_unix(path).map_err(|source| match path.as_os_str().len() {
        length if length > MAX_PATH_LEN => {
            BindError::PathTooLong { endpoint: endpoint.clone(), length }
        }
        _ => BindError::new(endpoint, source),
    })?;
    let socket = open_socket(socket_type).map_err(other)?;
    if path.as_os_str().as_bytes().starts_with(b"\0") {
        rustix::net::bind(&socket, &address).map_err(other)?;
        return Ok((socket, None));
    }
    let mode = mode.map(Mode::from_raw_mode);
    mode.map_or(Ok(()), |mode| rustix::fs::fchmod(&socket, mode)).map_err(other)?;
    match rustix::net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(endpoint, path, &address, socket_type)?;
            rustix::net::bind(&socket, &address).map_err(other)?;
        }
        done => done.map_err(other)?,
    }
    let file = file_identity(path).map(|identity| SocketFile { path: path.to_owned(), identity });
    mode.map_or(Ok(()), |mode| rustix::fs::chmod(path, mode)).map_err(other)?;
    Ok((socket, file))
}

/// Removes the socket file at a path if no server answers on it.
fn remove_stale(
    endpoint: &Endpoint,
    path: &Path,
    address: &SocketAddrUnix,
    socket_type: SocketType,
) -> Result<(), BindError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => metadata,
        Ok(_) => {
            return Err(BindError::NotASocket { endpoint: endpoint.clone() });
        }
        // The owner has just removed it.
        Err(_) => return Ok(()),
    };
    let other = |error: Errno| BindError::new(endpoint, error.into());
    let probe = open_socket(socket_type).map_err(other)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(other(error)),
        // A server answered, its queue is full, or its socket has another type: it is in use.
        _ => {
            return Err(BindError::SocketInUse { endpoint: endpoint.clone() });
        }
    }
    if file_identity(path) == Some(identity_from_metadata(&metadata)) {
        fs::remove_file(path).map_err(|source| BindError::new(endpoint, source))?;
    }
    Ok(())
}

fn open_socket(socket_type: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(
        AddressFamily::UNIX,
        socket_type,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )
}

fn file_identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| identity_from_metadata(&metadata))
}

fn identity_from_metadata(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
