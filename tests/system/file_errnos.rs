//! Each system call on a file's way fails once, in each way that a disk fails: the sender and the operator are told, nobody else
//! notices, and nothing is left but what the sender can go on with.
//!
//! `SOCKACTORS_FAULTS` sets how many of the faults are tried; all there are, if it is large.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::chat_client::connect;
use crate::support::framed_client::{FramedClient, FramedReply, end_frame};
use crate::support::uploads::{
    env_number, files_below, is_hidden, seeded_bytes, seeded_number, upload, upload_chunks,
    upload_raw,
};
use crate::support::{Program, directory, serial, strace};
use sockactors::wire::file::CHUNK_SIZE;

/// The calls on a file's way, each made by a thread of the disk.
const CALLS: [&str; 19] = [
    "open",
    "openat",
    "mkdirat",
    "newfstatat",
    "statx",
    "flock",
    "fstatfs",
    "ftruncate",
    "lseek",
    "read",
    "pwrite64",
    "pipe2",
    "splice",
    "fdatasync",
    "fsync",
    "fchmod",
    "utimensat",
    "renameat2",
    "unlinkat",
];

/// How a disk fails.
const ERRORS: [&str; 7] = ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR"];

/// A call is made to fail at its first times up to this.
const TIMES: usize = 3;

fn server(out: &Path) -> Program {
    Program::server(&["--scenario", "file", "--out", out.to_str().unwrap()])
}

/// What came of an upload that a fault befell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    /// It did not matter, or was tried again.
    Stored,
    /// The sender was told a code.
    Failed(u16),
    /// The connection was ended, as raw senders are told.
    Closed,
}

/// Sends a file in two attempts and a raw one while a call fails once; tells what came of it, framed and raw.
fn befall(call: &str, error: &str, nth: usize, large: &[u8]) -> (Came, Came) {
    let out = directory();
    let server = server(out.path());
    let at = server.endpoint();
    // Somebody else is in the middle of a file.
    let mut other = FramedClient::open(connect(at));
    let theirs = seeded_bytes("other", 3 * CHUNK_SIZE);
    assert!(matches!(
        other.send_offer("other", Some(theirs.len() as u64)),
        FramedReply::ResumeAt(0, _)
    ));
    other.send_chunks(&theirs, 0, 1).unwrap();

    let inject = format!("inject={call}:error={error}:when={nth}");
    let flags = ["-e", &format!("trace={call}"), "-e", &inject];
    let strace = strace::attach(&server, &flags, Path::new("/dev/null"));
    if let FramedReply::Failed(_, why) = upload_chunks(at, "deep/large", large, 2).unwrap() {
        server.wait_for_error_line(|line| line.contains(&why));
    }
    let framed = match upload(at, "deep/large", large).unwrap() {
        FramedReply::Stored(..) => Came::Stored,
        FramedReply::Failed(code, why) => {
            assert!(!why.is_empty());
            server.wait_for_error_line(|line| line.contains(&why));
            Came::Failed(code)
        }
        FramedReply::Closed => Came::Closed,
        said => panic!("{said:?}"),
    };
    let raw = match upload_raw(at, large).is_ok() && out.path().join("output0.txt").exists() {
        true => Came::Stored,
        false => Came::Closed,
    };
    strace::detach(strace);
    let place = format!("{call} {error} {nth}: {framed:?}, {raw:?}");
    if raw != Came::Stored {
        let others = ["listening on", "closed in the middle"];
        server.wait_for_error_line(|line| !others.iter().any(|other| line.contains(other)));
    }
    let stored: Vec<_> = files_below(out.path());
    for (name, file) in stored.iter().filter(|(name, _)| !is_hidden(name)) {
        assert!(file == large, "{place}: {name} is not what was sent");
    }
    if framed == Came::Stored {
        assert!(stored.iter().any(|(name, _)| name == "deep/large"), "{place}");
    }

    let before = FramedReply::Stored(theirs.len() as u64, "other".into());
    (1..3).zip(theirs.chunks(CHUNK_SIZE).skip(1)).for_each(|(number, bytes)| {
        let value = sockactors::wire::file::digest::hash_chunk(number, bytes);
        other
            .send_frames(&[sockactors::wire::file::Frame::Data { number, hash: value, bytes }])
            .unwrap();
    });
    other.send_frames(&[end_frame(&theirs)]).unwrap();
    assert_eq!(other.recv(), before, "{place}: somebody else was disturbed");
    // The sender tries again, and nothing is left over.
    match upload(at, "deep/large", large).unwrap() {
        FramedReply::Stored(..) => {}
        // It is there, but where its time could not be set nobody knows it for the same.
        FramedReply::Failed(3, _) if framed == Came::Stored && call == "utimensat" => {}
        said => panic!("{place}: {said:?}"),
    }
    upload_raw(at, large).unwrap();
    let left: Vec<_> = files_below(out.path()).into_iter().map(|(name, _)| name).collect();
    let is_kept = |name: &&String| is_hidden(name) && !name.starts_with(".output");
    assert!(!left.iter().any(|name| is_kept(&name)), "{place}: left {left:?}");
    server.terminate();
    // A disk that failed is told in the end, too.
    let ended = server.wait();
    assert!([0, 1, 6].contains(&ended.code), "{place}: {ended:?}");
    (framed, raw)
}

#[test]
fn each_call_that_fails_once_is_told_and_disturbs_nobody_else() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let large = seeded_bytes("large", 5 * CHUNK_SIZE + 5);
    let mut faults: Vec<_> = CALLS
        .iter()
        .flat_map(|call| ERRORS.iter().map(move |error| (*call, *error)))
        .flat_map(|(call, error)| (1..=TIMES).map(move |nth| (call, error, nth)))
        .collect();
    faults.sort_by_key(|fault| seeded_number(format!("{fault:?}"), usize::MAX));
    faults.truncate(env_number("SOCKACTORS_FAULTS", 40));
    let mut came = BTreeMap::<_, Vec<_>>::new();
    for (call, error, nth) in &faults {
        let (framed, raw) = befall(call, error, *nth, &large);
        came.entry((*call, framed, raw)).or_default().push(format!("{error} {nth}"));
    }
    for ((call, framed, raw), faults) in &came {
        println!("{call}: {framed:?}, raw {raw:?}: {}", faults.join(", "));
    }
    let failed = came.keys().filter(|(_, framed, _)| *framed != Came::Stored).count();
    assert!(failed > 0, "nothing failed: {came:?}");
}

/// Mounts a file system of so many bytes at a directory, or tells that it cannot be done.
fn small_disk(at: &Path, size: &str) -> Option<Mounted> {
    let options = format!("size={size}");
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output();
    match mount {
        Ok(done) if done.status.success() => Some(Mounted(at.into())),
        _ => {
            crate::support::peers::skip("a small disk cannot be mounted: that takes root");
            None
        }
    }
}

struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_takes_a_part_of_a_write_and_no_more_is_full_and_the_rest_fits_later() {
    let _alone = serial::lock();
    let out = directory();
    let Some(disk) = small_disk(out.path(), "1m") else { return };
    let server = Program::server(&[
        "--scenario",
        "file",
        "--keep-free",
        "0",
        "--out",
        out.path().to_str().unwrap(),
    ]);
    let at = server.endpoint();
    let large = seeded_bytes("large", 40 * CHUNK_SIZE + 5);
    // Of unknown size, so that it is not refused before its first byte.
    let mut client = FramedClient::open(connect(at));
    assert!(matches!(client.send_offer("large", None), FramedReply::ResumeAt(0, _)));
    let _ = client.send_chunks(&large, 0, u64::MAX);
    let _ = client.send_frames(&[end_frame(&large)]);
    let FramedReply::Failed(5, why) = client.recv() else { panic!("the disk is not full") };
    assert!(why.contains("full"), "{why}");
    // A raw sender is cut off, and what it sent makes room.
    drop(client);
    let _ = upload_raw(at, &large);
    server.wait_for_error_line(|line| line.contains("full"));
    assert!(files_below(out.path()).iter().all(|(name, _)| is_hidden(name)));
    let more = Command::new("mount").args(["-o", "remount,size=8m"]).arg(out.path()).status();
    assert!(more.unwrap().success());
    let mut client = FramedClient::open(connect(at));
    let FramedReply::ResumeAt(held, _) = client.send_offer("large", None) else {
        panic!("it is not taken")
    };
    assert!(held > 0, "nothing was kept");
    client.send_chunks(&large, held, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&large)]).unwrap();
    assert_eq!(client.recv(), FramedReply::Stored(large.len() as u64, "large".into()));
    upload_raw(at, &large).unwrap();
    let there = files_below(out.path());
    assert!(there.iter().all(|(_, file)| *file == large), "a file is not what was sent");
    assert_eq!(there.len(), 2);
    drop(server);
    drop(disk);
}
