//! A name that a peer chose for a file, taken apart before it comes near a disk.
//!
//! A sender names its files, and a receiver that believes it writes where the sender likes: `../.ssh/keys`,
//! `/etc/passwd`, a name that repaints the terminal of whoever lists the directory. So a name is parsed once,
//! into a [`SafeName`], and whatever touches the disk takes nothing else. A name is refused as a whole: to mend
//! one would store a file under a name that nobody chose, and where two are mended alike, one over the other.
//!
//! A name is UTF-8. Linux would take any bytes, but whoever is told about the file (a log, a JSON line, the
//! peer) is told text, and a name that is shown as something else than it is has misled somebody.
//!
//! Backslashes, a leading `-`, `con` and signs that only look like a dot or a slash are letters like others
//! here: they stay beneath the directory, and they are shown as they are.

use std::fmt;

use crate::wire::text::is_unsafe;

/// Bytes of a name at most.
pub const MAX_NAME_LEN: usize = 4096;
/// Components of a name at most.
pub const MAX_DEPTH: usize = 32;
/// Bytes of a component at most: the 255 of Linux, less what the name of its part file has besides.
pub const MAX_COMPONENT_LEN: usize = 255 - ".".len() - ".part".len();

/// The relative path of a file: not hidden, beneath the directory that it is resolved in, fit to be shown.
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
    /// Parses a name: components, joined by `/`.
    ///
    /// # Errors
    ///
    /// Returns why the name is refused, in words for both sides.
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
        if name.contains(is_unsafe) {
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

    /// Returns the directories, from the outermost on.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.0.rsplit_once('/').into_iter().flat_map(|(directories, _)| directories.split('/'))
    }

    /// Returns the last component: the file's own name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, file)| file)
    }

    /// Returns the name, beside the file's own, of what has come of the file so far.
    ///
    /// It is hidden, so no file can be sent under it.
    pub fn partial_name(&self) -> String {
        format!(".{}.part", self.file_name())
    }

    /// Returns the name, beside the file's own, of the part's digests.
    pub fn checksum_name(&self) -> String {
        format!(".{}.sums", self.file_name())
    }

    /// Returns the file's own name with a number before its extension, for a file whose name is taken.
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

fn check_component(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("the name has an empty component");
    }
    if name == "." || name == ".." {
        return Err("the name leads out of the directory or nowhere");
    }
    if name.starts_with('.') {
        return Err("the name is hidden");
    }
    if name.len() > MAX_COMPONENT_LEN {
        return Err("the name has a component that is longer than 249 bytes");
    }
    if name.ends_with(|c: char| c == '.' || c.is_whitespace()) {
        return Err("the name has a component that ends in a dot or a space");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
