//! A file gets its name, whole, or not at all, and never in place of another that is to stay.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{FileRequest, FileStore, OnConflict, numbered_name};

/// The numbers that are tried for a file whose name is taken.
const MAX_NUMBER: u16 = 9999;

/// What a file will be called.
#[derive(Debug)]
pub(super) enum TargetName {
    Named(FileRequest),
    Numbered(u64),
}

impl TargetName {
    /// Returns the hidden name of its part.
    pub(super) fn temp_name(&self) -> String {
        match self {
            TargetName::Named(wanted) => wanted.name.partial_name(),
            TargetName::Numbered(number) => format!(".{}.part", numbered_name(*number)),
        }
    }

    /// Returns the name that it is to get.
    pub(super) fn final_name(&self) -> String {
        match self {
            TargetName::Named(wanted) => wanted.name.to_string(),
            TargetName::Numbered(number) => numbered_name(*number),
        }
    }
}

/// A part that is to get its name.
#[derive(Debug)]
pub(super) struct Publisher<'a> {
    pub(super) store: &'a FileStore,
    pub(super) directory: &'a OwnedFd,
    /// The hidden name that it has.
    pub(super) temp_name: String,
}

impl Publisher<'_> {
    /// Gives the file its name, or one with a number; nothing comes back where it is taken.
    pub(super) fn publish(&self, title: &TargetName) -> rustix::io::Result<Option<String>> {
        match title {
            TargetName::Numbered(number) => {
                let mut number = *number;
                while !self.rename_noreplace(&numbered_name(number))? {
                    number = self.store.next_number.fetch_add(1, Ordering::SeqCst);
                }
                Ok(Some(numbered_name(number)))
            }
            TargetName::Named(wanted) => self.publish_named(wanted),
        }
    }

    fn publish_named(&self, wanted: &FileRequest) -> rustix::io::Result<Option<String>> {
        let name = &wanted.name;
        if self.store.on_conflict == OnConflict::Overwrite {
            retry_on_intr(|| {
                renameat(self.directory, &self.temp_name, self.directory, name.file_name())
            })?;
            return Ok(Some(name.to_string()));
        }
        if self.rename_noreplace(name.file_name())? {
            return Ok(Some(name.to_string()));
        }
        if self.store.on_conflict == OnConflict::Rename {
            for number in 1..=MAX_NUMBER {
                let numbered = name.with_number(number);
                // A number can make a long name too long.
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

    /// Renames the part without replacing anything; tells whether the name was free.
    fn rename_noreplace(&self, to: &str) -> rustix::io::Result<bool> {
        let (at, from) = (self.directory, &self.temp_name);
        let renamed = retry_on_intr(|| renameat_with(at, from, at, to, RenameFlags::NOREPLACE));
        let renamed = match renamed {
            Err(Errno::INVAL | Errno::NOSYS) => {
                // The file system cannot; a link is as good, and its second name goes at once.
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
