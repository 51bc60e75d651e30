//! The final names of files, and the step that gives a complete file its name.
//!
//! A file gets its name when it is complete, or not at all. It never replaces a file that must
//! stay.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, RenameFlags, Timespec, Timestamps, fstat, futimens, linkat, renameat, renameat_with,
    statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::shared::{OnConflict, StoreShared};

/// The largest number that `OnConflict::Rename` adds to a name.
const MAX_NUMBER: u16 = 9999;

/// The name that a file gets when it is complete.
#[derive(Debug)]
pub(super) enum TargetName {
    /// The name that the sender chose.
    Named(FileRequest),
    /// The next free `outputK.txt`, starting at this number.
    Numbered(u64),
}

impl TargetName {
    /// Returns the hidden name of the partial file.
    pub(super) fn temp_name(&self) -> String {
        match self {
            TargetName::Named(request) => request.name.partial_name(),
            TargetName::Numbered(number) => format!(".{}.part", numbered_name(*number)),
        }
    }

    /// Returns the name of the complete file, unless it is taken by then.
    pub(super) fn final_name(&self) -> String {
        match self {
            TargetName::Named(request) => request.name.to_string(),
            TargetName::Numbered(number) => numbered_name(*number),
        }
    }
}

/// Returns the name of the file with a number.
pub(super) fn numbered_name(number: u64) -> String {
    format!("output{number}.txt")
}

/// Returns whether a name has the form of [`numbered_name`].
pub(super) fn is_numbered_name(name: &str) -> bool {
    let number = name.strip_prefix("output").and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// A partial file that is about to get its final name.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    pub(super) shared: &'a StoreShared,
    pub(super) directory: &'a OwnedFd,
    /// The hidden name of the partial file.
    pub(super) temp_name: String,
}

impl Publisher<'_> {
    /// Renames the partial file to its target, or to a numbered name. Returns the name, or `None`
    /// if it is taken. Fails if the hidden name is no longer that of `file`.
    pub(super) fn publish(
        &self,
        file: &File,
        target: &TargetName,
    ) -> rustix::io::Result<Option<String>> {
        let named =
            retry_on_intr(|| statat(self.directory, &self.temp_name, AtFlags::SYMLINK_NOFOLLOW))?;
        let opened = retry_on_intr(|| fstat(file))?;
        if (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino) {
            return Err(Errno::STALE);
        }
        match target {
            TargetName::Numbered(number) => {
                let mut number = *number;
                while !self.rename_noreplace(&numbered_name(number))? {
                    number = self.shared.next_number.fetch_add(1, Ordering::SeqCst);
                }
                Ok(Some(numbered_name(number)))
            }
            TargetName::Named(request) => self.publish_named(request),
        }
    }

    fn publish_named(&self, request: &FileRequest) -> rustix::io::Result<Option<String>> {
        let name = &request.name;
        if self.shared.on_conflict == OnConflict::Overwrite {
            retry_on_intr(|| {
                renameat(self.directory, &self.temp_name, self.directory, name.file_name())
            })?;
            return Ok(Some(name.to_string()));
        }
        if self.rename_noreplace(name.file_name())? {
            return Ok(Some(name.to_string()));
        }
        if self.shared.on_conflict == OnConflict::Rename {
            for number in 1..=MAX_NUMBER {
                // The number can make a long name too long. The rename then fails.
                let numbered = name.with_number(number);
                if self.rename_noreplace(&numbered)? {
                    let directories = name.as_str().rsplit_once('/');
                    return Ok(Some(match directories {
                        Some((directories, _)) => format!("{directories}/{numbered}"),
                        None => numbered,
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Renames the partial file without replacing anything. Returns whether the name was free.
    fn rename_noreplace(&self, to: &str) -> rustix::io::Result<bool> {
        let (at, from) = (self.directory, &self.temp_name);
        let renamed = retry_on_intr(|| renameat_with(at, from, at, to, RenameFlags::NOREPLACE));
        let renamed = match renamed {
            Err(Errno::INVAL | Errno::NOSYS) => {
                // The file system does not support NOREPLACE. A link fails the same way if the
                // name is taken. The hidden name is removed at once.
                retry_on_intr(|| linkat(at, from, at, to, AtFlags::empty()))
                    .and_then(|()| retry_on_intr(|| unlinkat(at, from, AtFlags::empty())))
            }
            renamed => renamed,
        };
        match renamed {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Sets the permissions and the modification time of a file.
///
/// A time of `(0, 0)` is unknown and is left unchanged.
pub(super) fn set_attributes(file: &File, mode: u32, modified: (i64, u32)) -> io::Result<()> {
    ignore_unsupported(file.set_permissions(Permissions::from_mode(mode)))?;
    if modified == (0, 0) {
        return Ok(());
    }
    let (tv_sec, nanoseconds) = modified;
    let time = Timespec { tv_sec, tv_nsec: nanoseconds.min(999_999_999).into() };
    let times = Timestamps { last_access: time, last_modification: time };
    ignore_unsupported(retry_on_intr(|| futimens(file, &times)).map_err(io::Error::from))
}

/// Turns the error of a file system without permissions or times into success.
fn ignore_unsupported(result: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    match result {
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => Ok(()),
        result => result,
    }
}
