//! A peer's name for a file, parsed before it is used on a disk.
//!
//! A sender names its files. A receiver that trusts the names writes wherever the sender wants:
//! `../.ssh/keys`, `/etc/passwd`, or a name that repaints the terminal of a user who lists the
//! directory. So a name is parsed once, into a [`SafeName`], and all code that touches the disk
//! takes only that type.
//!
//! A bad name is rejected and never repaired. A repaired name would store a file under a name that
//! the sender did not choose. Two names that are repaired to the same result would overwrite each
//! other.
//!
//! A name is UTF-8. Linux would accept any bytes, but the name is also shown in logs, in JSON and
//! to the peer, which are text. A name that is shown differently from what it is would mislead.
//!
//! Backslashes, a leading `-`, `con`, and characters that only look like a dot or a slash are
//! allowed. They do not leave the directory, and are shown as they are. Invisible characters and
//! spaces other than U+0020 are not allowed, because two names that differ only in them look alike.

use std::fmt;

use crate::wire::text::is_safe_name;

/// The longest name in bytes.
pub const MAX_NAME_LEN: usize = 4096;

/// The largest number of components of a name.
pub const MAX_DEPTH: usize = 32;

/// The longest component of a name in bytes: the 255 bytes of Linux, minus the extra characters of
/// the partial file's name.
pub const MAX_COMPONENT_LEN: usize = 255 - ".".len() - ".part".len();

/// The safe relative path of a file: it stays below its base directory, is not hidden, and has no
/// characters that are unsafe to show.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::filename::SafeName;
///
/// let name = SafeName::parse(b"photos/cat.jpg").unwrap();
/// assert_eq!((name.as_str(), name.file_name()), ("photos/cat.jpg", "cat.jpg"));
/// assert_eq!(name.partial_name(), ".cat.jpg.part");
/// assert!(SafeName::parse(b"../cat.jpg").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SafeName(String);

impl SafeName {
    /// Parses a name: components separated by `/`.
    ///
    /// # Errors
    ///
    /// Returns the reason for the rejection, in words for the users of both sides.
    pub fn parse(bytes: &[u8]) -> Result<SafeName, &'static str> {
        if bytes.is_empty() {
            return Err("the name is empty");
        }
        if bytes.len() > MAX_NAME_LEN {
            return Err("the name is longer than 4096 bytes");
        }
        let Ok(name) = std::str::from_utf8(bytes) else {
            return Err("the name is not valid UTF-8");
        };
        if name.starts_with('/') {
            return Err("the name is an absolute path");
        }
        if !is_safe_name(name) {
            return Err("the name has control or invisible characters");
        }
        if name.split('/').count() > MAX_DEPTH {
            return Err("the name has more than 32 components");
        }
        name.split('/').try_for_each(check_component)?;
        Ok(SafeName(name.to_owned()))
    }

    /// Returns the whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the directories of the path, outermost first.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.rsplit_once('/').into_iter().flat_map(|(directories, _)| directories.split('/'))
    }

    /// Returns the last component: the name of the file itself.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, file)| file)
    }

    /// Returns the name of the partial file in the same directory.
    ///
    /// It is hidden, so a peer cannot send a file with that name.
    pub fn partial_name(&self) -> String {
        format!(".{}.part", self.file_name())
    }

    /// Returns the name of the partial file's checksum file in the same directory.
    pub fn checksum_name(&self) -> String {
        format!(".{}.sums", self.file_name())
    }

    /// Returns the name of the file with a number before its extension, for a name that is in use.
    pub fn with_number(&self, number: u16) -> String {
        match self.file_name().rsplit_once('.') {
            Some((stem, extension)) => format!("{stem}-{number}.{extension}"),
            None => format!("{}-{number}", self.file_name()),
        }
    }
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks one component of a name.
fn check_component(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name has an empty component");
    }
    if name == "." || name == ".." {
        return Err("the name has a component \".\" or \"..\"");
    }
    if name.starts_with('.') {
        return Err("the name is hidden");
    }
    if name.len() > MAX_COMPONENT_LEN {
        return Err("the name has a component of more than 249 bytes");
    }
    if name.ends_with(|c: char| c == '.' || c.is_whitespace()) {
        return Err("the name has a component that ends in a dot or a space");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
