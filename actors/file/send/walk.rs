//! What is to be sent of a path: one file, or a directory with all that is in it.
//!
//! A person who names a link or `.` means what is there. Within a directory a link is left out, since it may lead
//! anywhere, and so is what is neither a file nor a directory; both are told.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The deepest directory that is looked into, below the one that was named.
const MAX_DEPTH: usize = 30;

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SendItem {
    /// Where it is here.
    pub(crate) path: PathBuf,
    /// What it is called there: without what leads to the path that was named.
    pub(crate) name: Vec<u8>,
    pub(crate) is_directory: bool,
    pub(crate) mode: u32,
    /// How many bytes a file has; nobody knows for stdin.
    pub(crate) size: Option<u64>,
}

/// What cannot be sent, with the reason.
pub(crate) type WalkError = (PathBuf, io::Error);

/// What a person is told of a pipe or a device.
pub(crate) const NOT_A_REGULAR_FILE: &str = "it is no file but a pipe, a socket or a device; send what comes out of it through stdin: - < PATH";

/// Words why something cannot be sent, and what helps.
pub(crate) fn explain_io_error(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; check its name",
        io::ErrorKind::PermissionDenied => "it may not be read; check its permissions",
        io::ErrorKind::IsADirectory => "it is a directory; name the files in it",
        // These are words of our own.
        io::ErrorKind::Other if error.get_ref().is_some() => return error.to_string(),
        _ => "it cannot be read",
    };
    format!("{remedy} ({error})")
}

/// Finds what is to be sent of a path, directories before what is in them, in the order of the names; and what cannot
/// be, with the reason.
pub(crate) fn walk(path: &Path) -> (Vec<SendItem>, Vec<WalkError>) {
    let mut found = (Vec::new(), Vec::new());
    if path.as_os_str() == "-" {
        let (path, name) = (path.into(), b"stdin".to_vec());
        found.0.push(SendItem { path, name, is_directory: false, mode: 0o644, size: None });
        return found;
    }
    // What is named by `.` or `..` has a name, too, where it is.
    let named = match path.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => path.canonicalize().and_then(|path| {
            let unnamed = || io::Error::other("it has no name of its own");
            path.file_name().map(OsStr::to_owned).ok_or_else(unnamed)
        }),
    };
    match named {
        // What a person names is followed, also through a link.
        Ok(name) => collect(path, name.as_bytes().to_vec(), fs::metadata(path), 0, &mut found),
        Err(error) => found.1.push((path.into(), error)),
    }
    found
}

fn collect(
    path: &Path,
    name: Vec<u8>,
    meta: io::Result<fs::Metadata>,
    depth: usize,
    found: &mut (Vec<SendItem>, Vec<WalkError>),
) {
    let meta = match meta {
        Ok(meta) => meta,
        Err(error) => return found.1.push((path.into(), error)),
    };
    let fault = |why: &str| (path.to_path_buf(), io::Error::other(why.to_owned()));
    let is_directory = meta.is_dir();
    if !(is_directory || meta.is_file()) {
        return found.1.push(match depth {
            0 => fault(NOT_A_REGULAR_FILE),
            _ if meta.is_symlink() => fault("it is a link, and was left out"),
            _ => fault("it is neither a file nor a directory, and was left out"),
        });
    }
    let size = Some(if is_directory { 0 } else { meta.len() });
    let mode = meta.mode();
    found.0.push(SendItem { path: path.into(), name: name.clone(), is_directory, mode, size });
    if !is_directory {
        return;
    }
    if depth == MAX_DEPTH {
        return found.1.push(fault("it is too deep, and what is in it was left out"));
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => return found.1.push((path.into(), error)),
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = [&name[..], b"/", entry.file_name().as_bytes()].concat();
        collect(&entry.path(), name, entry.metadata(), depth + 1, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_comes_before_what_is_in_it_and_links_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("b/empty")).unwrap();
        fs::write(top.join("b/z"), "").unwrap();
        fs::write(top.join("a"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.join("link")).unwrap();
        let (found, faults) = walk(&top);
        let names: Vec<_> =
            found.iter().map(|p| String::from_utf8(p.name.clone()).unwrap()).collect();
        assert_eq!(names, ["top", "top/a", "top/b", "top/b/empty", "top/b/z"]);
        let directories: Vec<_> = found.iter().map(|parcel| parcel.is_directory).collect();
        assert_eq!(directories, [true, false, true, true, false]);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].0.ends_with("top/link"));
    }

    #[test]
    fn a_file_has_its_own_name_alone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep.txt");
        fs::write(&file, "").unwrap();
        let (found, faults) = walk(&file);
        assert_eq!((found[0].name.as_slice(), found.len(), faults.len()), (&b"deep.txt"[..], 1, 0));
        assert_eq!(walk(Path::new("-")).0[0].name, b"stdin");
        assert_eq!(walk(&directory.path().join("none")).1.len(), 1);
        assert_eq!(walk(Path::new("/")).1.len(), 1);
    }
}
