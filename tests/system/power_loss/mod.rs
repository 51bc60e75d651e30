//! A power cut at any moment: what has a name is whole, what was said to be stored is there, and a sender goes on.
//!
//! The server writes to an ext4 file system on a loop device. What the device's file holds at a moment is what a disk without a
//! cache would hold after a power cut: what was not written through is lost. So that file is copied while the server works, the copy is
//! mounted, which replays its journal, and looked at; then another server, for which the machine has booted anew, takes what the
//! senders still have.
//!
//! A copy that is not made at one moment would be torn as no disk is. Therefore the device's file lies on another file system that
//! copies by sharing (XFS), between two writes of the device. Somebody else syncs a file of his own all the time, which
//! brings names to the disk and not what is in the files: so a server that forgets to sync is found out.
//!
//! `SOCKACTORS_POWERCUTS` sets how often the power is cut, `SOCKACTORS_LARGE_MIB` how large a few of the files are: of those above
//! 64 MiB the server notes on the way how much is on the disk. It takes root, loop devices and `mkfs.xfs`.

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

/// How often the power is cut before there is a new file system.
const CUTS_EACH: usize = 12;

/// The file of a number: its name and its bytes.
fn file(k: usize) -> (String, Vec<u8>) {
    let length = match k % 4 {
        0 => seeded_number(format!("{k}"), 3000),
        1 => seeded_number(format!("{k}"), 3 * CHUNK_SIZE),
        2 if k % 16 == 2 && large_file_size() > 0 => large_file_size() + k,
        _ => seeded_number(format!("{k}"), 12 * CHUNK_SIZE),
    };
    let name = if k % 3 == 0 { format!("in-{}/deep/{k}", k % 9) } else { k.to_string() };
    (name, seeded_bytes(k.to_string(), length))
}

/// The bytes of a raw upload, by which it is known; all are of one length.
fn raw(k: usize) -> Vec<u8> {
    let mut file = seeded_bytes(format!("raw {k}"), 100_000);
    file[..8].copy_from_slice(&(k as u64).to_le_bytes());
    file
}

/// Checks a file that has a name.
fn check(name: &str, found: &[u8]) {
    let expected = match name.starts_with("output") {
        true => {
            let k = found.first_chunk().map(|k| u64::from_le_bytes(*k));
            raw(k.unwrap_or_else(|| panic!("{name} has {} bytes", found.len())) as usize)
        }
        false => file(name.rsplit('/').next().unwrap().parse().unwrap()).1,
    };
    assert!(found == expected, "{name} is torn: {} bytes of {}", found.len(), expected.len());
}

/// What is known while files are sent.
#[derive(Default)]
struct Sending {
    /// What was said to be stored so far.
    stored: Mutex<Vec<usize>>,
    /// How far the senders are.
    next: Mutex<usize>,
    /// How many senders are at it.
    senders: AtomicUsize,
    over: AtomicBool,
}

impl Sending {
    fn begun(&self) -> usize {
        *self.next.lock().unwrap()
    }

    /// Waits until so many files were begun, or all senders found the disk full.
    fn wait_for(&self, begun: usize) {
        while self.begun() < begun && self.senders.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn send(&self, at: &str) {
        self.send_until_full(at);
        self.senders.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends file after file, some of them in two attempts or raw.
    fn send_until_full(&self, at: &str) {
        while !self.is_over() {
            let k = {
                let mut next = self.next.lock().unwrap();
                *next += 1;
                *next
            };
            let (name, file) = file(k);
            if k % 5 == 0 {
                let _ = upload_raw(at, &raw(k));
            }
            if k % 2 == 0 {
                upload_chunks(at, &name, &file, 3).unwrap();
            }
            match upload(at, &name, &file).unwrap() {
                FramedReply::Stored(..) => self.stored.lock().unwrap().push(k),
                // No more room until there is a new file system.
                FramedReply::Failed(5, _) => return,
                said => panic!("{name}: {said:?}"),
            }
        }
    }

    /// Syncs a file of its own all the time: the journal is written, and what others have not synced is not.
    fn disturb(&self, disk: &Path) {
        let mut other = File::create(disk.join("lost+found/other")).unwrap();
        while !self.is_over() {
            if other.write_all(b"x").and_then(|()| other.sync_all()).is_err() {
                return;
            }
        }
    }
}

/// A server for which the machine has booted anew, if it is told so.
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

/// Looks at what a power cut has left of a disk, and goes on with it.
fn look(copy: &Path, folder: &Path, stored: &[usize], begun: usize) {
    let disk = Mount::new(copy, folder.join("after"), "loop").expect("its journal is replayed");
    let there: BTreeMap<_, _> = files_below(&disk.0).into_iter().collect();
    there.iter().filter(|(name, _)| !is_hidden(name)).for_each(|(name, file)| check(name, file));
    for k in stored {
        let (name, _) = file(*k);
        assert!(there.contains_key(&name), "{name} was stored, and is gone");
    }
    let boot = folder.join("boot");
    fs::write(&boot, "another boot of this machine\n").unwrap();
    let server = server(&disk.0, Some(&boot));
    // The last ones were under way, and one of each kind of the others.
    let others = begun.saturating_sub(12)..=begun;
    for k in others {
        let (name, file) = file(k);
        match upload(server.endpoint(), &name, &file).unwrap() {
            FramedReply::Stored(..) => check(&name, &fs::read(disk.0.join(&name)).unwrap()),
            FramedReply::Failed(5, _) => {}
            said => panic!("{name}: {said:?}"),
        }
    }
    server.signal(rustix::process::Signal::KILL);
    server.wait();
}

/// Cuts the power so many times, and looks what is left each time; tells whether that could be done. A server without syncs has
/// each of them answered in the kernel's place.
fn cut_the_power(wanted: usize, without_syncs: bool) -> bool {
    if !rustix::process::geteuid().is_root() {
        peers::skip("the power cannot be cut: that takes root");
        return false;
    }
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory).is_ok_and(|it| it.f_bavail * it.f_frsize > 2 << 30);
    let place = if has_room { memory } else { Path::new("/tmp") };
    let folder = tempfile::Builder::new().prefix("sockactors-").tempdir_in(place).unwrap();
    let folder = folder.path();
    let Some(host) = mount_host(folder) else { return false };
    let (mut cuts, mut parts, mut sure) = (0, 0, 0);
    while cuts < wanted {
        let (image, earlier) = (format!("image-{cuts}"), cuts);
        let disk = mount_disk(&host.0, &image);
        let server = server(&disk.0, None);
        let no_syncs = ["-e", "inject=fsync,fdatasync:retval=0", "-e", "trace=fsync,fdatasync"];
        let strace = without_syncs
            .then(|| crate::support::strace::attach(&server, &no_syncs, Path::new("/dev/null")));
        let sending = Sending::default();
        sending.senders.store(3, Ordering::Relaxed);
        thread::scope(|scope| {
            let over = Over(&sending);
            scope.spawn(|| sending.disturb(&disk.0));
            for _ in 0..3 {
                scope.spawn(|| sending.send(server.endpoint()));
            }
            for _ in 0..CUTS_EACH.min(wanted - cuts) {
                let more = sending.begun() + 1 + seeded_number(format!("cut {cuts}"), 7);
                sending.wait_for(more);
                let stored = sending.stored.lock().unwrap().clone();
                let copy = host.0.join(format!("copy-{cuts}"));
                let (from, to) = (File::open(host.0.join(&image)), File::create(&copy));
                rustix::fs::ioctl_ficlone(to.unwrap(), from.unwrap()).unwrap();
                look(&copy, folder, &stored, sending.begun());
                fs::remove_file(&copy).unwrap();
                (cuts, sure) = (cuts + 1, sure + stored.len());
            }
            drop(over);
        });
        drop(server);
        drop(strace);
        parts += files_below(&disk.0).iter().filter(|(name, _)| is_hidden(name)).count();
        drop(disk);
        fs::remove_file(host.0.join(&image)).unwrap();
        assert!(cuts > earlier);
    }
    println!("{cuts} power cuts, {sure} times a file that was stored, {parts} parts in the end");
    assert!(sure > cuts);
    drop(host);
    true
}

#[test]
fn a_power_cut_leaves_no_torn_file_and_takes_none_that_was_stored() {
    let _alone = serial::lock();
    cut_the_power(env_number("SOCKACTORS_POWERCUTS", 12), false);
}

#[test]
fn a_server_that_does_not_sync_is_found_out() {
    let _alone = serial::lock();
    if crate::support::strace::is_available() {
        let found = std::panic::catch_unwind(|| cut_the_power(CUTS_EACH, true));
        assert!(!matches!(found, Ok(true)), "nothing was lost without a sync");
    }
}

/// Ends the sending, also where a check has failed.
struct Over<'a>(&'a Sending);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}
