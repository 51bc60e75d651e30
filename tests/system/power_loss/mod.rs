//! A power cut at any moment. Files with final names are whole, stored files exist, and senders
//! resume.
//!
//! The server writes to an ext4 file system on a loop device. At any moment the device's backing
//! file holds what a disk without a cache would hold after a power cut. So the test copies that
//! file while the server works, mounts the copy, which replays its journal, and checks it. Then
//! another server with a different boot ID receives the remaining files.
//!
//! The copy must be of one moment. So the backing file lies on XFS, which copies by reference
//! between two writes of the device. Meanwhile another writer syncs a file of its own all the time.
//! That commits the names of all files but not their content, and so reveals a missing sync.
//!
//! `SOCKACTORS_POWERCUTS` sets the number of power cuts, `SOCKACTORS_LARGE_MIB` the size of a few
//! large files. The server records sync marks for files above 64 MiB. The test needs root, loop
//! devices and `mkfs.xfs`.

mod disk;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::framed_client::FramedReply;
use crate::support::uploads::{
    env_number, files_below, is_hidden, seeded_bytes, seeded_number, upload, upload_chunks,
    upload_raw,
};
use crate::support::{BINARY, Program, peers, serial};
use disk::{Mount, large_file_size, mount_disk, mount_host};
use sockactors::wire::file::CHUNK_SIZE;

/// The number of power cuts per file system.
const CUTS_PER_DISK: usize = 12;

/// Returns the name and the bytes of file number `k`.
fn numbered_file(k: usize) -> (String, Vec<u8>) {
    let length = match k % 4 {
        0 => seeded_number(format!("{k}"), 3000),
        1 => seeded_number(format!("{k}"), 3 * CHUNK_SIZE),
        2 if k % 16 == 2 && large_file_size() > 0 => large_file_size() + k,
        _ => seeded_number(format!("{k}"), 12 * CHUNK_SIZE),
    };
    let name = if k % 3 == 0 { format!("in-{}/deep/{k}", k % 9) } else { k.to_string() };
    (name, seeded_bytes(k.to_string(), length))
}

/// Returns the bytes of raw upload number `k`, which contain that number. All have one length.
fn raw_file(k: usize) -> Vec<u8> {
    let mut file = seeded_bytes(format!("raw {k}"), 100_000);
    file[..8].copy_from_slice(&(k as u64).to_le_bytes());
    file
}

/// Asserts that a file with a final name is whole.
fn check_file(name: &str, found: &[u8]) {
    let expected = match name.starts_with("output") {
        true => {
            let k = found.first_chunk().map(|k| u64::from_le_bytes(*k));
            raw_file(k.unwrap_or_else(|| panic!("{name} has {} bytes", found.len())) as usize)
        }
        false => numbered_file(name.rsplit('/').next().unwrap().parse().unwrap()).1,
    };
    assert!(found == expected, "{name} is torn: {} bytes of {}", found.len(), expected.len());
}

/// The shared state of the senders.
#[derive(Default)]
struct Senders {
    /// The numbers of acknowledged files.
    stored: Mutex<Vec<usize>>,
    /// The number of the last started file.
    last_started: Mutex<usize>,
    /// The number of running senders.
    running: AtomicUsize,
    stopped: AtomicBool,
}

impl Senders {
    fn started(&self) -> usize {
        *self.last_started.lock().unwrap()
    }

    /// Waits until file number `started` was started, or all senders found the disk full.
    fn wait_for(&self, started: usize) {
        while self.started() < started && self.running.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn send(&self, at: &str) {
        self.send_until_full(at);
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Uploads file after file, some in two attempts and some raw.
    fn send_until_full(&self, at: &str) {
        while !self.is_stopped() {
            let k = {
                let mut next = self.last_started.lock().unwrap();
                *next += 1;
                *next
            };
            let (name, file) = numbered_file(k);
            if k % 5 == 0 {
                let _ = upload_raw(at, &raw_file(k));
            }
            if k % 2 == 0 {
                upload_chunks(at, &name, &file, 3).unwrap();
            }
            match upload(at, &name, &file).unwrap() {
                FramedReply::Stored(..) => self.stored.lock().unwrap().push(k),
                // The disk is full until the next file system.
                FramedReply::Failed(5, _) => return,
                reply => panic!("{name}: {reply:?}"),
            }
        }
    }

    /// Syncs a file all the time. This commits the journal, but no other file's content.
    fn sync_repeatedly(&self, disk: &Path) {
        let mut other = File::create(disk.join("lost+found/other")).unwrap();
        while !self.is_stopped() {
            if other.write_all(b"x").and_then(|()| other.sync_all()).is_err() {
                return;
            }
        }
    }
}

/// Starts a server, with a different boot ID if `boot` is given.
fn server(out: &Path, boot: Option<&Path>) -> Program {
    let flags = ["--scenario", "file", "--listen", "127.0.0.1:0", "--keep-free", "0", "--out"];
    let mut command = match boot {
        None => Command::new(BINARY),
        Some(boot) => {
            let mut command = Command::new("unshare");
            let bind = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
            command.args(["-m", "sh", "-c", bind]).arg(boot).arg(BINARY);
            command
        }
    };
    command.args(flags).arg(out);
    Program::start(&mut command).listening()
}

/// Checks the disk after a power cut, and continues the uploads on it.
fn check_disk(copy: &Path, folder: &Path, stored: &[usize], started: usize) {
    let disk = Mount::new(copy, folder.join("after"), "loop").expect("the journal is replayed");
    let files: BTreeMap<_, _> = files_below(&disk.0).into_iter().collect();
    files
        .iter()
        .filter(|(name, _)| !is_hidden(name))
        .for_each(|(name, file)| check_file(name, file));
    for k in stored {
        let (name, _) = numbered_file(*k);
        assert!(files.contains_key(&name), "{name} was stored and is missing");
    }
    let boot = folder.join("boot");
    fs::write(&boot, "another boot of this machine\n").unwrap();
    let server = server(&disk.0, Some(&boot));
    // The last files were in flight or have just been stored.
    for k in started.saturating_sub(12)..=started {
        let (name, file) = numbered_file(k);
        match upload(server.endpoint(), &name, &file).unwrap() {
            FramedReply::Stored(..) => check_file(&name, &fs::read(disk.0.join(&name)).unwrap()),
            FramedReply::Failed(5, _) => {}
            reply => panic!("{name}: {reply:?}"),
        }
    }
    server.signal(rustix::process::Signal::KILL);
    server.wait();
}

/// Cuts the power `count` times and checks the disk each time. Returns whether the machine allows
/// it. Without syncs, strace answers `fsync` and `fdatasync` in the kernel's place.
fn cut_power(count: usize, without_syncs: bool) -> bool {
    if !rustix::process::geteuid().is_root() {
        peers::skip("a power cut needs root");
        return false;
    }
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|it| it.f_bavail * it.f_frsize > 2 << 30);
    let place = if has_room { memory } else { Path::new("/tmp") };
    let folder = tempfile::Builder::new().prefix("sockactors-").tempdir_in(place).unwrap();
    let folder = folder.path();
    let Some(host) = mount_host(folder) else { return false };
    let (mut cuts, mut partial_files, mut checks) = (0, 0, 0);
    while cuts < count {
        let (image, earlier) = (format!("image-{cuts}"), cuts);
        let disk = mount_disk(&host.0, &image);
        let server = server(&disk.0, None);
        let no_syncs = ["-e", "inject=fsync,fdatasync:retval=0", "-e", "trace=fsync,fdatasync"];
        let strace = without_syncs
            .then(|| crate::support::strace::attach(&server, &no_syncs, Path::new("/dev/null")));
        let sending = Senders::default();
        sending.running.store(3, Ordering::Relaxed);
        thread::scope(|scope| {
            let stop_guard = StopGuard(&sending);
            scope.spawn(|| sending.sync_repeatedly(&disk.0));
            for _ in 0..3 {
                scope.spawn(|| sending.send(server.endpoint()));
            }
            for _ in 0..CUTS_PER_DISK.min(count - cuts) {
                let more = sending.started() + 1 + seeded_number(format!("cut {cuts}"), 7);
                sending.wait_for(more);
                let stored = sending.stored.lock().unwrap().clone();
                let copy = host.0.join(format!("copy-{cuts}"));
                let (from, to) = (File::open(host.0.join(&image)), File::create(&copy));
                rustix::fs::ioctl_ficlone(to.unwrap(), from.unwrap()).unwrap();
                check_disk(&copy, folder, &stored, sending.started());
                fs::remove_file(&copy).unwrap();
                (cuts, checks) = (cuts + 1, checks + stored.len());
            }
            drop(stop_guard);
        });
        drop(server);
        drop(strace);
        partial_files += files_below(&disk.0).iter().filter(|(name, _)| is_hidden(name)).count();
        drop(disk);
        fs::remove_file(host.0.join(&image)).unwrap();
        assert!(cuts > earlier);
    }
    println!(
        "{cuts} power cuts, {checks} checks of stored files, {partial_files} partial files left"
    );
    assert!(checks > cuts);
    drop(host);
    true
}

#[test]
fn power_cut_tears_and_loses_no_stored_file() {
    let _serial = serial::lock();
    cut_power(env_number("SOCKACTORS_POWERCUTS", 12), false);
}

#[test]
fn missing_syncs_are_detected() {
    let _serial = serial::lock();
    if crate::support::strace::is_available() {
        let found = std::panic::catch_unwind(|| cut_power(CUTS_PER_DISK, true));
        assert!(!matches!(found, Ok(true)), "nothing was lost without syncs");
    }
}

/// Stops the senders, even after a failed check.
struct StopGuard<'a>(&'a Senders);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}
