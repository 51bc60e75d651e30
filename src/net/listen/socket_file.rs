//! The file that a bound Unix socket leaves behind.
//!
//! A Unix socket's file outlives the socket. A server that ended without removing it (it was
//! killed, the power failed) blocks its own restart with "address in use". [`bind`] removes such a
//! stale file, after making sure that it *is* a socket and that nobody answers on it. A
//! [`SocketFile`] removes the file at the end, if it is still the one that was made: another server
//! may have replaced it meanwhile.
//!
//! Between the last look at a file and its removal another process can still put its own in place;
//! Linux has no call to remove a file by its identity. A directory that only one service writes to
//! closes that gap.

use crate::net::{BindError, Endpoint, address};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::fs::{self, Metadata};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Removes the file of a bound socket when it is dropped, unless somebody else's has taken its
/// place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_identity(&self.path) == Some(self.identity) {
            // Nobody is left to tell; the next bind takes the file for stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a socket of the given kind and binds it to the path, in place of a stale file if need be.
///
/// An abstract name (one that begins with a NUL byte) has no file, hence no [`SocketFile`].
pub(crate) fn bind(
    endpoint: &Endpoint,
    path: &Path,
    kind: SocketType,
) -> Result<(OwnedFd, Option<SocketFile>), BindError> {
    let other = |error: Errno| BindError::new(endpoint, error.into());
    let address = address::encode_unix(path).map_err(|source| match path.as_os_str().len() {
        length if length > address::MAX_PATH_LEN => {
            BindError::PathTooLong { endpoint: endpoint.clone(), length }
        }
        _ => BindError::new(endpoint, source),
    })?;
    let socket = open_socket(kind).map_err(other)?;
    if path.as_os_str().as_bytes().starts_with(b"\0") {
        rustix::net::bind(&socket, &address).map_err(other)?;
        return Ok((socket, None));
    }
    match rustix::net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(endpoint, path, &address, kind)?;
            rustix::net::bind(&socket, &address).map_err(other)?;
        }
        done => done.map_err(other)?,
    }
    let file = file_identity(path).map(|identity| SocketFile { path: path.to_owned(), identity });
    Ok((socket, file))
}

/// Removes the socket file at the path if nobody answers on it.
fn remove_stale(
    endpoint: &Endpoint,
    path: &Path,
    address: &SocketAddrUnix,
    kind: SocketType,
) -> Result<(), BindError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => found,
        Ok(_) => {
            return Err(BindError::NotASocket { endpoint: endpoint.clone() });
        }
        // Its owner has just removed it.
        Err(_) => return Ok(()),
    };
    let other = |error: Errno| BindError::new(endpoint, error.into());
    let probe = open_socket(kind).map_err(other)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(other(error)),
        // It answered, its queue is full, or it is bound to a socket of another kind: somebody
        // lives there.
        _ => {
            return Err(BindError::SocketInUse { endpoint: endpoint.clone() });
        }
    }
    if file_identity(path) == Some(identity_from_metadata(&found)) {
        fs::remove_file(path).map_err(|source| BindError::new(endpoint, source))?;
    }
    Ok(())
}

fn open_socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, kind, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
}

fn file_identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| identity_from_metadata(&found))
}

fn identity_from_metadata(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
