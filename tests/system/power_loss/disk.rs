//! A disk whose power can be cut: an ext4 file system on a loop device. Its backing file lies on
//! XFS, which copies by reference.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::support::peers;
use crate::support::uploads::env_number;

/// Returns the size of the large files in bytes, or 0 without large files.
pub fn large_file_size() -> usize {
    env_number("SOCKACTORS_LARGE_MIB", 0) << 20
}

/// Returns the file system's size: its journal, and the files of one server.
fn image_size() -> u64 {
    (192 << 20) + 4 * large_file_size() as u64
}

/// Runs a tool, and returns whether it succeeded.
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
        // After a failed check it may still be in use. It is then unmounted later.
        assert!(
            done || (thread::panicking() && run_tool("umount", &["-l", place])),
            "cannot unmount {place}"
        );
    }
}

/// Creates and mounts the file system that holds the images.
pub fn mount_host(folder: &Path) -> Option<Mount> {
    let image = folder.join("host-image");
    File::create(&image).unwrap().set_len((1 << 30) + 3 * image_size()).unwrap();
    let made = run_tool("mkfs.xfs", &["-q", "-m", "reflink=1", image.to_str().unwrap()]);
    let mounted = made.then(|| Mount::new(&image, folder.join("host"), "loop")).flatten();
    if mounted.is_none() {
        peers::skip("an XFS file system on a loop device needs root and mkfs.xfs");
    }
    mounted
}

/// Creates and mounts an empty ext4 file system. It commits names every second, and does not sync
/// renamed files by itself.
///
/// Each image has its own name, since the mount namespace of an exited server may still hold the
/// last one.
pub fn mount_disk(host: &Path, image: &str) -> Mount {
    let image = host.join(image);
    File::create(&image).unwrap().set_len(image_size()).unwrap();
    let flags = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
    assert!(run_tool("mkfs.ext4", &[&flags[..], &[image.to_str().unwrap()]].concat()), "mkfs.ext4");
    let mounted = Mount::new(&image, host.join("../disk"), "loop,commit=1,noauto_da_alloc");
    mounted.expect("the image is mounted")
}
