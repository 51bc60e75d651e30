//! Uploads that occupy the disk, the threads or another upload's name.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::connect;
use crate::support::files::{SmallDisk, names, open_framed, server, stored_reply};
use crate::support::framed_client::{FramedClient, FramedReply, end_frame, offer};
use crate::support::process_stats::{cpu_time, private_memory_kib, wait_until_idle};
use crate::support::uploads::{files_below, seeded_bytes, upload_raw};
use crate::support::{DEADLINE, Program, directory, serial};
use sockactors::wire::file::{CHUNK_SIZE, Failed, Frame, Offer};

/// The bytes of the flood of offers in one attack.
const FLOOD_BYTES: usize = 312 << 10;

/// The connections that share the flood.
const ATTACKERS: usize = 4;

/// Waits until a condition holds.
#[track_caller]
fn wait_until(what: &str, is_met: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_met() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        thread::yield_now();
    }
}

/// Opens connections that send as many copies of some frames as fit into a flood, and read nothing.
fn flood(server: &Program, frames: &[Frame<'_>]) -> Vec<FramedClient> {
    let attack = |_| {
        let mut client = open_framed(server);
        let mut bytes = Vec::new();
        while bytes.len() < FLOOD_BYTES / ATTACKERS {
            frames.iter().for_each(|frame| client.frames.write(frame, &mut bytes));
        }
        client.stream.set_nonblocking(true).unwrap();
        // What the kernel does not buffer is not sent.
        let _ = client.stream.write(&bytes);
        client.stream.set_nonblocking(false).unwrap();
        client
    };
    (0..ATTACKERS).map(attack).collect()
}

/// Uploads a small file, and returns the time that it took.
fn time_of_upload(server: &Program, name: &str) -> Duration {
    let start = Instant::now();
    assert_eq!(open_framed(server).upload(name, b"honest"), stored_reply(6, name));
    start.elapsed()
}

#[test]
fn repeated_offers_of_stored_file_delay_no_other() {
    let _serial = serial::lock();
    let out = directory();
    let server = server(out.path(), &[]);
    let file = seeded_bytes("stored", 64 << 20);
    assert_eq!(open_framed(&server).upload("stored", &file), stored_reply(file.len(), "stored"));
    let given_up = Frame::Failed(Failed { code: 10, reason: "" });
    let offers = [Frame::Offer(offer(b"stored", Some(file.len() as u64))), given_up];
    let attackers = flood(&server, &offers);
    let latency = time_of_upload(&server, "during");

    assert!(latency < Duration::from_secs(1), "an upload took {latency:?} during the flood");
    // The attackers go. What they have sent costs nothing more.
    drop(attackers);
    let latency = time_of_upload(&server, "after");
    assert!(latency < Duration::from_secs(1), "an upload took {latency:?} after the flood");
    let before = cpu_time(&server);
    wait_until_idle(&server);
    let spent = cpu_time(&server) - before;
    assert!(spent < Duration::from_secs(1), "{spent:?} of CPU time after the attackers had gone");
    let attackers = flood(&server, &offers);
    let start = Instant::now();
    server.terminate();
    server.wait().with_code(0);
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(2), "the server stopped after {elapsed:?}");
    drop(attackers);
}

#[test]
fn refused_offers_are_counted_and_bounded() {
    let _serial = serial::lock();
    let out = directory();
    let server = server(out.path(), &[]);
    let before = private_memory_kib(&server);
    let refused = [Frame::Offer(offer(b".hidden\x1b[2J", Some(5)))];
    let attackers: Vec<_> = (0..5).flat_map(|_| flood(&server, &refused)).collect();
    let mut peak = before;
    for k in 0..5 {
        time_of_upload(&server, &format!("honest-{k}"));
        peak = peak.max(private_memory_kib(&server));
    }
    let (count, first) = (attackers.len(), attackers.into_iter().next());
    drop(first);
    server.wait_for_error_line(|line| line.contains("files rejected so far"));
    peak = peak.max(private_memory_kib(&server));
    assert!(peak - before < 8 << 10, "{} KiB for refused offers", peak - before);
    server.terminate();
    let ended = server.wait();
    let log = ended.err();
    let lines = log.lines().filter(|line| line.contains("hidden")).count();
    // One line at once, one for each second, and one at the end.
    assert!(lines <= count * 6, "{lines} lines for {count} connections");
    assert!(log.contains(".hidden") && !log.contains('\x1b'), "the name is logged escaped");
    ended.with_code(0);
}

#[test]
fn offer_alone_reserves_no_space() {
    let Some(disk) = SmallDisk::mount("size=64m") else { return };
    let server = server(disk.path(), &["--keep-free", "1MiB"]);
    let file = seeded_bytes("honest", 20 << 20);
    let mut raw = connect(server.endpoint());
    raw.write_all(&file[..1 << 20]).unwrap();
    wait_until("the raw upload", || disk.path().join(".output0.txt.part").exists());
    let greedy = |name: &str| {
        let mut client = open_framed(&server);
        let size = disk.free().0 - (2 << 20);
        assert!(matches!(client.send_offer(name, Some(size)), FramedReply::ResumeAt(0, _)));
        client
    };
    let _offered = greedy("offered");
    assert_eq!(open_framed(&server).upload("first", &file), stored_reply(file.len(), "first"));
    // A file that has begun has half of the free space, and that only until it is silent.
    let mut begun = greedy("begun");
    begun.send_frames(&[Frame::Begin(0)]).unwrap();
    wait_until("the beginning", || disk.path().join(".begun.part").exists());
    // The upload in progress began earlier. It is not aborted.
    raw.write_all(&file[1 << 20..]).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    let _ = raw.read(&mut [0]);
    assert!(fs::read(disk.path().join("output0.txt")).unwrap() == file);
    assert_eq!(open_framed(&server).upload("small", b"small"), stored_reply(5, "small"));
    server.terminate();
    drop(begun);
    server.wait().with_code(0);
}

#[test]
fn sizes_near_maximum_are_refused_and_change_nothing() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut held = open_framed(&server);
    assert!(matches!(held.send_offer("held", Some(1 << 20)), FramedReply::ResumeAt(0, _)));
    held.send_frames(&[Frame::Begin(0)]).unwrap();
    for size in [u64::MAX - 1, u64::MAX - (64 << 10), 1 << 63] {
        let mut client = open_framed(&server);
        let reply = client.send_offer("huge", Some(size));
        assert!(matches!(reply, FramedReply::Failed(5, _)), "{reply:?}");
        time_of_upload(&server, &format!("of-{size}"));
    }
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn concurrent_uploads_keep_free_space() {
    let _serial = serial::lock();
    let Some(disk) = SmallDisk::mount("size=96m") else { return };
    let keep = 32 << 20;
    let server = server(disk.path(), &["--keep-free", "32MiB"]);
    let (is_over, lowest) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                lowest.fetch_min(disk.free().0, Ordering::SeqCst);
            }
        });
        let upload = |_| scope.spawn(|| upload_raw(server.endpoint(), &[7; 8 << 20]));
        let uploads: Vec<_> = (0..30).map(upload).collect();
        uploads.into_iter().for_each(|upload| drop(upload.join()));
        is_over.store(true, Ordering::SeqCst);
    });
    let lowest = lowest.into_inner();
    assert!(lowest >= keep, "{lowest} bytes were free, and {keep} must stay free");
    let stored = files_below(disk.path());
    assert!(!stored.is_empty() && stored.iter().all(|(_, file)| file.len() == 8 << 20));
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn empty_files_and_directories_keep_free_inodes() {
    let _serial = serial::lock();
    let Some(disk) = SmallDisk::mount("size=64m,nr_inodes=2000") else { return };
    let server = server(disk.path(), &["--keep-free", "1MiB"]);
    let mut client = open_framed(&server);
    // Offers alone create nothing.
    let deep: String = (0..31).map(|k| format!("{k}/")).collect();
    for k in 0..100 {
        let name = format!("{k}-{deep}file");
        assert!(matches!(client.send_offer(&name, Some(5)), FramedReply::ResumeAt(0, _)));
        client.send_frames(&[Frame::Failed(Failed { code: 10, reason: "" })]).unwrap();
    }
    assert_eq!(names(disk.path()), [""; 0]);
    let create = |client: &mut FramedClient, k: usize| match k % 3 {
        0 => client.upload(&format!("empty-{k}"), b""),
        1 => client.upload(&format!("{k}-{deep}file"), b""),
        _ => {
            let name = format!("directory-{k}");
            let directory = Offer { is_directory: true, ..offer(name.as_bytes(), Some(0)) };
            client.send_frames(&[Frame::Offer(directory)]).unwrap();
            client.recv()
        }
    };
    let refused = (0..2000).map(|k| create(&mut client, k)).find(|reply| {
        assert!(disk.free().1 >= 20, "{} inodes are free", disk.free().1);
        !matches!(reply, FramedReply::Stored(..))
    });
    assert!(matches!(refused, Some(FramedReply::Failed(5, _))), "{refused:?}");
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn max_files_ends_flood_of_empty_files() {
    let out = directory();
    let server = server(out.path(), &["--max-files", "10"]);
    let mut client = open_framed(&server);
    let replies: Vec<_> = (0..20).map(|k| client.upload(&format!("empty-{k}"), b"")).collect();
    let stored = replies.iter().filter(|reply| matches!(reply, FramedReply::Stored(..))).count();
    assert_eq!(stored, 10, "{replies:?}");
    assert!(matches!(&replies[19], FramedReply::Failed(5, why) if why.contains("--max-files")));
    assert_eq!(names(out.path()).len(), 10);
}

#[test]
fn paused_upload_is_neither_taken_over_nor_wiped() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = seeded_bytes("paused", 5 * CHUNK_SIZE);
    let size = Some(file.len() as u64);
    let mut paused = open_framed(&server);
    paused.send_offer("paused", size);
    paused.send_chunks(&file, 0, 3).unwrap();
    let sums = out.path().join(".paused.sums");
    wait_until("three chunks", || fs::metadata(&sums).is_ok_and(|sums| sums.len() >= 192 + 108));
    // Another file of this name is busy, and does not make the upload yield.
    let mut other = open_framed(&server);
    assert!(matches!(other.send_offer("paused", Some(5)), FramedReply::Failed(8, _)));
    // The same file makes it yield, and keeps its chunks, even if its sender drops them.
    assert!(matches!(other.send_offer("paused", size), FramedReply::Failed(8, _)));
    assert_eq!(paused.recv(), FramedReply::Closed);
    for wiping in [&[Frame::Begin(0)][..], &[Frame::Begin(3), end_frame(b"")]] {
        let mut other = open_framed(&server);
        assert!(matches!(other.send_offer("paused", Some(5)), FramedReply::Failed(8, _)));
        assert!(matches!(other.send_offer("paused", size), FramedReply::ResumeAt(3, _)));
        other.send_frames(wiping).unwrap();
        assert!(matches!(other.recv(), FramedReply::Failed(7 | 8, _)));
    }
    let mut back = open_framed(&server);
    assert!(matches!(back.send_offer("paused", size), FramedReply::ResumeAt(3, _)));
    back.send_chunks(&file, 3, 5).unwrap();
    back.send_frames(&[end_frame(&file)]).unwrap();
    assert_eq!(back.recv(), stored_reply(file.len(), "paused"));
}

#[test]
fn refused_files_do_not_set_exit_code() {
    let out = directory();
    fs::write(out.path().join("mine"), "mine").unwrap();
    let server = server(out.path(), &["--max-size", "1KiB"]);
    let mut client = open_framed(&server);
    for (name, size) in [("mine", 5), ("large", 2000), ("../out", 5), ("mine/inner", 5)] {
        assert!(matches!(client.send_offer(name, Some(size)), FramedReply::Failed(..)), "{name}");
    }
    let _ = upload_raw(server.endpoint(), &[7; 4096]);
    server.wait_for_error_line(|line| line.contains("mine: mine already exists"));
    drop(client);
    server.wait_for_error_line(|line| line.contains("4 files rejected so far"));
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn peers_learn_no_path_of_server() {
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server(out.path(), &["--keep-free", "1048576TiB"]);
    let mut client = open_framed(&server);
    let FramedReply::Failed(5, reason) = client.send_offer("file", Some(5)) else {
        panic!("the disk is not reported as full")
    };
    assert!(!reason.contains(path) && reason.contains("full"), "{reason}");
    let line = server.wait_for_error_line(|line| line.contains("full"));
    assert!(line.contains(path) && line.contains("file: "), "{line}");
}

#[test]
fn data_without_accepted_offer_is_not_buffered() {
    let _serial = serial::lock();
    let out = directory();
    let server = server(out.path(), &[]);
    let data = |client: &mut FramedClient| {
        let (mut bytes, chunk) = (Vec::new(), [7; CHUNK_SIZE]);
        let frame = Frame::Data { number: 0, hash: [7; 32], bytes: &chunk };
        client.frames.write(&frame, &mut bytes);
        bytes
    };
    // Without an offer, the header of a data frame ends the connection.
    let mut client = open_framed(&server);
    let bytes = data(&mut client);
    client.stream.write_all(&bytes[..5]).unwrap();
    assert!(matches!(client.recv(), FramedReply::Failed(1, _)));
    assert_eq!(client.recv(), FramedReply::Closed);
    // After a failed offer, the data is skipped.
    let before = private_memory_kib(&server);
    let mut waiting: Vec<(FramedClient, TcpStream)> = Vec::new();
    for _ in 0..100 {
        let mut client = open_framed(&server);
        assert!(matches!(client.send_offer("../out", Some(1 << 20)), FramedReply::Failed(2, _)));
        let bytes = data(&mut client);
        let mut stream = client.stream.try_clone().unwrap();
        stream.write_all(&bytes[..60_000]).unwrap();
        waiting.push((client, stream));
    }
    wait_until_idle(&server);
    let used = private_memory_kib(&server).saturating_sub(before);
    assert!(used < 3 << 10, "{used} KiB for data that nobody asked for");
    let (mut client, mut stream) = waiting.pop().unwrap();
    stream.write_all(&[7; CHUNK_SIZE + 53 - 60_000]).unwrap();
    assert_eq!(client.upload("good", b"good"), stored_reply(4, "good"));
}
