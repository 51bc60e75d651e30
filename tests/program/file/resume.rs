//! Uploads over breaking connections, and from many senders at once.
//!
//! `SOCKACTORS_RESUME_MIB` sets the size of the file that is cut at fifty points,
//! `SOCKACTORS_SENDERS` the number of simultaneous senders. Every tenth sender is slow.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::framed_client::{FramedClient, FramedReply, chunk_hashes, end_frame};
use crate::support::uploads::{env_number, files_below, seeded_bytes, seeded_number, try_connect};
use crate::support::{DEADLINE, Program, directory, serial};
use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{CHUNK_SIZE, Frame, FrameWriter};

/// The number of cuts.
const CUTS: usize = 50;

/// The overhead of a chunk on the wire: the frame header, the chunk's number and hash, the frame's
/// check.
const AROUND: usize = 5 + 40 + 8;

/// Forwards bytes between a client and a server, and breaks the connection after `bytes` from the
/// client. Returns the number of forwarded bytes.
fn pass_on(client: TcpStream, server: TcpStream, most: usize) -> usize {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, mut passed) = (client, server, 0);
    let mut piece = vec![0; CHUNK_SIZE];
    while passed < most {
        let room = piece.len().min(most - passed);
        match from.read(&mut piece[..room]) {
            Ok(0) | Err(_) => break,
            Ok(length) if to.write_all(&piece[..length]).is_err() => break,
            Ok(length) => passed += length,
        }
    }
    // Both ends see the connection break, the server after the forwarded bytes.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Both);
    back.join().unwrap();
    passed
}

#[test]
fn fifty_cuts_resend_one_chunk_each() {
    let out = directory();
    let server = Program::server(&["--scenario", "file", "--out", out.path().to_str().unwrap()]);
    let size = env_number("SOCKACTORS_RESUME_MIB", 64) << 20;
    let file = seeded_bytes("resumed", size + 12_345);
    let values = chunk_hashes(&file);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = proxy.local_addr().unwrap().to_string();
    let before = bytes_read(server.pid());
    let (mut moved, mut chunks, mut cuts) = (0, 0, 0);
    loop {
        let to = try_connect(server.endpoint()).unwrap();
        let share = 3 * file.len() / (2 * CUTS);
        let most = match cuts < CUTS {
            true => seeded_number(format!("cut {cuts}"), share) + 200,
            false => usize::MAX,
        };
        let attempt = thread::scope(|scope| {
            let passing = scope.spawn(|| pass_on(proxy.accept().unwrap().0, to, most));
            let said = attempt(&at, &file, &values);
            moved += passing.join().unwrap();
            said
        });
        match attempt {
            Some(FramedReply::Stored(length, name)) => {
                assert_eq!((length, &*name), (file.len() as u64, "file"));
                break;
            }
            None => cuts += 1,
            reply => panic!("{reply:?}"),
        }
        chunks += 1;
        assert!(chunks < 1000, "it never arrives");
    }
    // Received data is never read again, so nothing is hashed twice. Only the checksums are read,
    // once per cut.
    let (read, sums) = (bytes_read(server.pid()) - before, values.len() * 36 + (64 << 10));
    assert!(read < (cuts + 1) * sums, "{read} bytes were read");
    let stored = fs::read(out.path().join("file")).unwrap();
    assert!(stored == file, "it is not what was sent");
    assert_eq!(files_below(out.path()).len(), 1, "something is left");
    let framing = values.len() * AROUND + (cuts + 1) * 300;
    let most = file.len() + cuts * CHUNK_SIZE + framing;
    println!("{} bytes, {cuts} cuts: {moved} moved, at most {most}; {read} read", file.len());
    assert_eq!(cuts, CUTS);
    assert!(moved <= most, "{moved} bytes moved, which is more than {most}");
}

/// Returns the number of bytes that a process has read from files.
fn bytes_read(pid: u32) -> usize {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let read = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

/// Uploads the missing part of a file, until it is stored or the connection breaks.
fn attempt(at: &str, file: &[u8], values: &[[u8; 32]]) -> Option<FramedReply> {
    let mut client = FramedClient::try_open(try_connect(at).ok()?).ok()?;
    let deadline = Instant::now() + DEADLINE;
    let held = loop {
        match client.send_offer("file", Some(file.len() as u64)) {
            FramedReply::ResumeAt(held, digest) => {
                assert_eq!(
                    digest,
                    hash_chunk_list(&values[..held as usize]),
                    "other bytes are held"
                );
                break held;
            }
            // The server has not noticed the end of the last connection yet.
            FramedReply::Failed(8, _) => assert!(Instant::now() < deadline, "it stays busy"),
            FramedReply::Closed => return None,
            reply => return Some(reply),
        }
    };
    client.send_frames(&[Frame::Begin(held)]).ok()?;
    for (number, bytes) in (0..).zip(file.chunks(CHUNK_SIZE)).skip(held as usize) {
        let value = values[number as usize];
        client.send_frames(&[Frame::Data { number, hash: value, bytes }]).ok()?;
    }
    client.send_frames(&[end_frame(file)]).ok()?;
    match client.recv() {
        FramedReply::Closed => None,
        reply => Some(reply),
    }
}

/// Uploads a file slowly, until all the others are stored and for a while after that.
fn send_slowly(at: &str, name: &str, file: &[u8]) -> FramedReply {
    let mut client = FramedClient::try_open(try_connect(at).unwrap()).unwrap();
    assert!(matches!(
        client.send_offer(name, Some(file.len() as u64)),
        FramedReply::ResumeAt(0, _)
    ));
    let mut bytes = Vec::new();
    let mut frames = std::mem::take(&mut client.frames);
    frames.write(&Frame::Begin(0), &mut bytes);
    for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
        let value = sockactors::wire::file::digest::hash_chunk(number, chunk);
        frames.write(&Frame::Data { number, hash: value, bytes: chunk }, &mut bytes);
    }
    frames.write(&end_frame(file), &mut bytes);
    for piece in bytes.chunks(100) {
        client.stream.write_all(piece).unwrap();
        // This is 1 kB/s.
        thread::sleep(Duration::from_millis(100));
    }
    client.frames = FrameWriter::default();
    client.recv()
}

/// Returns a process's peak memory in kB.
fn most_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn many_senders_arrive_in_constant_memory() {
    let _serial = serial::lock();
    let out = directory();
    let server = Program::server(&["--scenario", "file", "--out", out.path().to_str().unwrap()]);
    let at = server.endpoint();
    let senders = env_number("SOCKACTORS_SENDERS", 100);
    let size = env_number("SOCKACTORS_SENDERS_KIB", 512) << 10;
    let file = |k: usize| match k % 10 {
        0 => seeded_bytes(k.to_string(), 2_000),
        _ => seeded_bytes(k.to_string(), seeded_number(format!("size {k}"), size) + 1),
    };
    let all = std::sync::Barrier::new(senders);
    thread::scope(|scope| {
        for k in 0..senders {
            let (all, file) = (&all, &file);
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn_scoped(scope, move || {
                    let (name, file) = (format!("file-{k}"), file(k));
                    all.wait();
                    let said = match k % 10 {
                        0 => send_slowly(at, &name, &file),
                        _ => crate::support::uploads::upload(at, &name, &file).unwrap(),
                    };
                    assert_eq!(said, FramedReply::Stored(file.len() as u64, name));
                })
                .unwrap();
        }
    });
    let memory = most_memory(server.pid());
    println!("{senders} senders: at most {memory} kB");
    let there = files_below(out.path());
    assert_eq!(there.len(), senders);
    for k in 0..senders {
        let name = format!("file-{k}");
        let stored = there.iter().find(|(stored, _)| *stored == name);
        assert!(stored.is_some_and(|(_, stored)| *stored == file(k)), "{name}");
    }
    assert!(memory < 32 << 10, "{memory} kB");
}
