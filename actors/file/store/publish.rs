//! A file gets its name, whole, or not at all, and never in place of another that is to stay.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{OnConflict, Vault, Wanted, numbered};

/// The numbers that are tried for a file whose name is taken.
const NUMBERS: u16 = 9999;

/// What a file will be called.
#[derive(Debug)]
pub(super) enum Title {
    Named(Wanted),
    Numbered(u64),
}

impl Title {
    /// Returns the hidden name of its part.
    pub(super) fn hidden(&self) -> String {
        match self {
            Title::Named(wanted) => wanted.name.partial_name(),
            Title::Numbered(number) => format!(".{}.part", numbered(*number)),
        }
    }

    /// Returns the name that it is to get.
    pub(super) fn shown(&self) -> String {
        match self {
            Title::Named(wanted) => wanted.name.to_string(),
            Title::Numbered(number) => numbered(*number),
        }
    }
}

/// A part that is to get its name.
#[derive(Debug)]
pub(super) struct Naming<'a> {
    pub(super) vault: &'a Vault,
    pub(super) directory: &'a OwnedFd,
    /// The hidden name that it has.
    pub(super) hidden: String,
}

impl Naming<'_> {
    /// Gives the file its name, or one with a number; nothing comes back where it is taken.
    pub(super) fn publish(&self, title: &Title) -> rustix::io::Result<Option<String>> {
        match title {
            Title::Numbered(number) => {
                let mut number = *number;
                while !self.rename_new(&numbered(number))? {
                    number = self.vault.next.fetch_add(1, Ordering::SeqCst);
                }
                Ok(Some(numbered(number)))
            }
            Title::Named(wanted) => self.publish_named(wanted),
        }
    }

    fn publish_named(&self, wanted: &Wanted) -> rustix::io::Result<Option<String>> {
        let name = &wanted.name;
        if self.vault.on_conflict == OnConflict::Overwrite {
            retry_on_intr(|| {
                renameat(self.directory, &self.hidden, self.directory, name.file_name())
            })?;
            return Ok(Some(name.to_string()));
        }
        if self.rename_new(name.file_name())? {
            return Ok(Some(name.to_string()));
        }
        if self.vault.on_conflict == OnConflict::Rename {
            for number in 1..=NUMBERS {
                let numbered = name.with_number(number);
                // A number can make a long name too long.
                if self.rename_new(&numbered)? {
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
    fn rename_new(&self, to: &str) -> rustix::io::Result<bool> {
        let (at, from) = (self.directory, &self.hidden);
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
