//! Each system call on a file's path fails once, with each error of a disk. The sender and the
//! operator are told, other uploads are not disturbed, and only resumable data is left.
//!
//! `SOCKACTORS_FAULTS` sets the number of faults to try. A large number tries all.

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

/// The system calls on a file's path. Disk threads make them.
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

/// The errors of a disk.
const ERRORS: [&str; 7] = ["EIO", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR"];

/// A call fails at its first, second, ... occurrence, up to this one.
const MAX_OCCURRENCE: usize = 3;

fn server(out: &Path) -> Program {
    Program::server(&["--scenario", "file", "--out", out.to_str().unwrap()])
}

/// The result of an upload during a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum UploadResult {
    /// The fault had no effect, or the server retried.
    Stored,
    /// The sender received this code.
    Failed(u16),
    /// The server closed the connection, which is how a raw sender learns of a failure.
    Closed,
}

/// Uploads a framed file in two attempts and a raw file while a call fails once. Returns both
/// results.
fn inject_fault(call: &str, error: &str, nth: usize, large: &[u8]) -> (UploadResult, UploadResult) {
    let out = directory();
    let server = server(out.path());
    let at = server.endpoint();
    // Another client is in the middle of an upload.
    let mut other = FramedClient::open(connect(at));
    let other_file = seeded_bytes("other", 3 * CHUNK_SIZE);
    assert!(matches!(
        other.send_offer("other", Some(other_file.len() as u64)),
        FramedReply::ResumeAt(0, _)
    ));
    other.send_chunks(&other_file, 0, 1).unwrap();

    let inject = format!("inject={call}:error={error}:when={nth}");
    let flags = ["-e", &format!("trace={call}"), "-e", &inject];
    let strace = strace::attach(&server, &flags, Path::new("/dev/null"));
    if let FramedReply::Failed(_, reason) = upload_chunks(at, "deep/large", large, 2).unwrap() {
        server.wait_for_error_line(|line| line.contains(&reason));
    }
    let framed = match upload(at, "deep/large", large).unwrap() {
        FramedReply::Stored(..) => UploadResult::Stored,
        FramedReply::Failed(code, reason) => {
            assert!(!reason.is_empty());
            server.wait_for_error_line(|line| line.contains(&reason));
            UploadResult::Failed(code)
        }
        FramedReply::Closed => UploadResult::Closed,
        reply => panic!("{reply:?}"),
    };
    let raw = match upload_raw(at, large).is_ok() && out.path().join("output0.txt").exists() {
        true => UploadResult::Stored,
        false => UploadResult::Closed,
    };
    strace::detach(strace);
    let fault = format!("{call} {error} {nth}: {framed:?}, {raw:?}");
    if raw != UploadResult::Stored {
        let others = ["listening on", "closed in the middle"];
        server.wait_for_error_line(|line| !others.iter().any(|other| line.contains(other)));
    }
    let stored: Vec<_> = files_below(out.path());
    for (name, file) in stored.iter().filter(|(name, _)| !is_hidden(name)) {
        assert!(file == large, "{fault}: {name} has the wrong content");
    }
    if framed == UploadResult::Stored {
        assert!(stored.iter().any(|(name, _)| name == "deep/large"), "{fault}");
    }

    let stored_reply = FramedReply::Stored(other_file.len() as u64, "other".into());
    (1..3).zip(other_file.chunks(CHUNK_SIZE).skip(1)).for_each(|(number, bytes)| {
        let value = sockactors::wire::file::digest::hash_chunk(number, bytes);
        other
            .send_frames(&[sockactors::wire::file::Frame::Data { number, hash: value, bytes }])
            .unwrap();
    });
    other.send_frames(&[end_frame(&other_file)]).unwrap();
    assert_eq!(other.recv(), stored_reply, "{fault}: another upload was disturbed");
    // The sender retries, and nothing is left over.
    match upload(at, "deep/large", large).unwrap() {
        FramedReply::Stored(..) => {}
        // The file exists, but without its modification time it does not count as the same file.
        FramedReply::Failed(3, _) if framed == UploadResult::Stored && call == "utimensat" => {}
        reply => panic!("{fault}: {reply:?}"),
    }
    upload_raw(at, large).unwrap();
    let left: Vec<_> = files_below(out.path()).into_iter().map(|(name, _)| name).collect();
    let is_leftover = |name: &&String| is_hidden(name) && !name.starts_with(".output");
    assert!(!left.iter().any(|name| is_leftover(&name)), "{fault}: left {left:?}");
    server.terminate();
    // The exit code may report the failed disk.
    let ended = server.wait();
    assert!([0, 1, 6].contains(&ended.code), "{fault}: {ended:?}");
    (framed, raw)
}

#[test]
fn failed_call_is_reported_and_disturbs_no_other() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    let large = seeded_bytes("large", 5 * CHUNK_SIZE + 5);
    let mut faults: Vec<_> = CALLS
        .iter()
        .flat_map(|call| ERRORS.iter().map(move |error| (*call, *error)))
        .flat_map(|(call, error)| (1..=MAX_OCCURRENCE).map(move |nth| (call, error, nth)))
        .collect();
    faults.sort_by_key(|fault| seeded_number(format!("{fault:?}"), usize::MAX));
    faults.truncate(env_number("SOCKACTORS_FAULTS", 40));
    let mut outcomes = BTreeMap::<_, Vec<_>>::new();
    for (call, error, nth) in &faults {
        let (framed, raw) = inject_fault(call, error, *nth, &large);
        outcomes.entry((*call, framed, raw)).or_default().push(format!("{error} {nth}"));
    }
    for ((call, framed, raw), faults) in &outcomes {
        println!("{call}: {framed:?}, raw {raw:?}: {}", faults.join(", "));
    }
    let failed = outcomes.keys().filter(|(_, framed, _)| *framed != UploadResult::Stored).count();
    assert!(failed > 0, "nothing failed: {outcomes:?}");
}

/// Mounts a small tmpfs at a directory, or reports a skip.
fn small_disk(at: &Path, size: &str) -> Option<MountGuard> {
    let options = format!("size={size}");
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output();
    match mount {
        Ok(done) if done.status.success() => Some(MountGuard(at.into())),
        _ => {
            crate::support::peers::skip("mounting a small disk needs root");
            None
        }
    }
}

struct MountGuard(std::path::PathBuf);

impl Drop for MountGuard {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn short_write_on_full_disk_is_resumable() {
    let _serial = serial::lock();
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
    // The size is unknown, so the offer is not rejected before the first byte.
    let mut client = FramedClient::open(connect(at));
    assert!(matches!(client.send_offer("large", None), FramedReply::ResumeAt(0, _)));
    let _ = client.send_chunks(&large, 0, u64::MAX);
    let _ = client.send_frames(&[end_frame(&large)]);
    let FramedReply::Failed(5, reason) = client.recv() else {
        panic!("the disk is not reported as full")
    };
    assert!(reason.contains("full"), "{reason}");
    // A raw sender is disconnected, and its data is deleted.
    drop(client);
    let _ = upload_raw(at, &large);
    server.wait_for_error_line(|line| line.contains("full"));
    assert!(files_below(out.path()).iter().all(|(name, _)| is_hidden(name)));
    let more = Command::new("mount").args(["-o", "remount,size=8m"]).arg(out.path()).status();
    assert!(more.unwrap().success());
    let mut client = FramedClient::open(connect(at));
    let FramedReply::ResumeAt(held, _) = client.send_offer("large", None) else {
        panic!("the offer was rejected")
    };
    assert!(held > 0, "no chunk was kept");
    client.send_chunks(&large, held, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&large)]).unwrap();
    assert_eq!(client.recv(), FramedReply::Stored(large.len() as u64, "large".into()));
    upload_raw(at, &large).unwrap();
    let files = files_below(out.path());
    assert!(files.iter().all(|(_, file)| *file == large), "a file has the wrong content");
    assert_eq!(files.len(), 2);
    drop(server);
    drop(disk);
}
