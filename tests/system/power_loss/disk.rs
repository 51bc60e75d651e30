//! A disk whose power can be cut: an ext4 file system on a loop device, whose file lies on a file system that copies by sharing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::support::peers;
use crate::support::uploads::env_number;

/// How large a few of the files are, in bytes; 0 where none are.
pub fn large_file_size() -> usize {
    env_number("SOCKACTORS_LARGE_MIB", 0) << 20
}

/// The file system's size: a journal, and what is sent between two servers.
fn image_size() -> u64 {
    (192 << 20) + 4 * large_file_size() as u64
}

/// Runs a tool; tells whether it did well.
fn run_tool(name: &str, args: &[&str]) -> bool {
    Command::new(name).args(args).output().is_ok_and(|done| done.status.success())
}

/// A mounted image, unmounted when it is dropped.
pub struct Mount(pub PathBuf);

impl Mount {
    pub fn new(image: &Path, at: PathBuf, options: &str) -> Option<Mount> {
        fs::create_dir_all(&at).unwrap();
        let (image, place) = (image.to_str().unwrap(), at.to_str().unwrap());
        run_tool("mount", &["-o", options, image, place]).then_some(Mount(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let place = self.0.to_str().unwrap();
        let done = run_tool("umount", &[place]);
        // A check that failed may leave it in use for a moment; it goes after that.
        assert!(
            done || (thread::panicking() && run_tool("umount", &["-l", place])),
            "it stays mounted"
        );
    }
}

/// Makes the file system that has the image, in memory if there is room for it.
pub fn mount_host(folder: &Path) -> Option<Mount> {
    let image = folder.join("host-image");
    File::create(&image).unwrap().set_len((1 << 30) + 3 * image_size()).unwrap();
    let made = run_tool("mkfs.xfs", &["-q", "-m", "reflink=1", image.to_str().unwrap()]);
    let mounted = made.then(|| Mount::new(&image, folder.join("host"), "loop")).flatten();
    if mounted.is_none() {
        peers::skip("there is no XFS on a loop device here: that takes root and mkfs.xfs");
    }
    mounted
}

/// Makes an empty file system and mounts it: names are soon on the disk, and ext4 does not help those who forget to sync what
/// they rename.
///
/// The last image may still be held by the mount namespace of a server that has just gone, so each has a name of its own.
pub fn mount_disk(host: &Path, image: &str) -> Mount {
    let image = host.join(image);
    File::create(&image).unwrap().set_len(image_size()).unwrap();
    let flags = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    assert!(run_tool("mkfs.ext4", &[&flags[..], &[image.to_str().unwrap()]].concat()), "mkfs.ext4");
    let mounted = Mount::new(&image, host.join("../disk"), "loop,commit=1,noauto_da_alloc");
    mounted.expect("it is mounted")
}
