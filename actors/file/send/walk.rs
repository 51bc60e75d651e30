//! The files and directories to send for a path that the user named.
//!
//! A link or `.` that the user names is followed. Inside a directory a link is skipped, because it
//! may lead anywhere. Pipes, sockets and devices are skipped, too. Both are reported.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::actors::file::send::read_error::NOT_A_REGULAR_FILE;

/// The depth of the deepest directory that is read, below the one that the user named.
const MAX_DEPTH: usize = 30;

/// A file or directory to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendItem {
    /// The local path.
    pub(super) path: PathBuf,
    /// The name on the server: the last component of the named path, and the path below it.
    pub(super) name: Vec<u8>,
    pub(super) is_directory: bool,
    pub(super) mode: u32,
    /// The size in bytes. 0 for a directory, `None` for stdin.
    pub(super) size: Option<u64>,
}

/// A path that cannot be sent, and the reason.
pub(super) type WalkError = (PathBuf, io::Error);

/// Returns the items to send for a path, and the paths that cannot be sent.
///
/// A directory comes before its content. The entries of a directory are sorted by name.
pub(super) fn walk(path: &Path) -> (Vec<SendItem>, Vec<WalkError>) {
    let mut found = (Vec::new(), Vec::new());
    if path.as_os_str() == "-" {
        let (path, name) = (path.into(), b"stdin".to_vec());
        found.0.push(SendItem { path, name, is_directory: false, mode: 0o644, size: None });
        return found;
    }
    // `.` and `..` are sent under the name of the directory.
    let name = match path.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => path.canonicalize().and_then(|path| {
            let unnamed = || io::Error::other("the path has no file name");
            path.file_name().map(OsStr::to_owned).ok_or_else(unnamed)
        }),
    };
    match name {
        // `fs::metadata` follows a link that the user named.
        Ok(name) => collect(path, name.as_bytes().to_vec(), fs::metadata(path), 0, &mut found),
        Err(error) => found.1.push((path.into(), error)),
    }
    found
}

fn collect(
    path: &Path,
    name: Vec<u8>,
    metadata: io::Result<fs::Metadata>,
    depth: usize,
    found: &mut (Vec<SendItem>, Vec<WalkError>),
) {
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(error) => return found.1.push((path.into(), error)),
    };
    let walk_error = |reason: &str| (path.to_path_buf(), io::Error::other(reason.to_owned()));
    let is_directory = metadata.is_dir();
    if !(is_directory || metadata.is_file()) {
        return found.1.push(match depth {
            0 => walk_error(NOT_A_REGULAR_FILE),
            _ if metadata.is_symlink() => walk_error("skipped: symbolic link"),
            _ => walk_error("skipped: neither a file nor a directory"),
        });
    }
    let size = Some(if is_directory { 0 } else { metadata.len() });
    let mode = metadata.mode();
    found.0.push(SendItem { path: path.into(), name: name.clone(), is_directory, mode, size });
    if !is_directory {
        return;
    }
    if depth == MAX_DEPTH {
        return found.1.push(walk_error("content skipped: more than 30 nested directories"));
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
    fn directory_precedes_content_and_links_are_reported() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().join("top");
        fs::create_dir_all(top.join("b/empty")).unwrap();
        fs::write(top.join("b/z"), "").unwrap();
        fs::write(top.join("a"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", top.join("link")).unwrap();
        let (items, errors) = walk(&top);
        let names: Vec<_> =
            items.iter().map(|item| String::from_utf8(item.name.clone()).unwrap()).collect();
        assert_eq!(names, ["top", "top/a", "top/b", "top/b/empty", "top/b/z"]);
        let directories: Vec<_> = items.iter().map(|item| item.is_directory).collect();
        assert_eq!(directories, [true, false, true, true, false]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].0.ends_with("top/link"));
    }

    #[test]
    fn named_file_is_sent_without_its_directories() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("deep.txt");
        fs::write(&file, "").unwrap();
        let (items, errors) = walk(&file);
        assert_eq!((items[0].name.as_slice(), items.len(), errors.len()), (&b"deep.txt"[..], 1, 0));
        assert_eq!(walk(Path::new("-")).0[0].name, b"stdin");
        assert_eq!(walk(&directory.path().join("none")).1.len(), 1);
        assert_eq!(walk(Path::new("/")).1.len(), 1);
    }
}
