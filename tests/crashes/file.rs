//! Crashes in the middle of uploads: the writer, a receiver, the listener.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;

use sockactors::actors::Report;
use sockactors::scenario::{Kind, Settings};

use crate::common::directory;
use crate::common::line::connect;
use crate::drill::{Drill, server, until};

fn settings(out: &Path) -> Settings {
    let mut settings = server(Kind::File);
    settings.out = out.to_owned();
    settings.keep_free = 0;
    settings
}

/// Bytes of which no two upload's are alike, nor any two places in one.
fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[seed]);
    let mut bytes = vec![0; len];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Ends an upload, and waits until the server closes it.
#[track_caller]
fn finish(mut upload: TcpStream) {
    upload.shutdown(Shutdown::Write).unwrap();
    assert_eq!(upload.read(&mut [0]).unwrap(), 0);
}

/// A stored file's name and hash.
fn stored(report: &Report) -> Option<(String, String)> {
    match report {
        Report::File { name, blake3, .. } => Some((name.clone(), blake3.clone())),
        Report::Refused { why, .. } => panic!("refused: {why}"),
        _ => None,
    }
}

#[test]
fn chunks_that_wait_while_the_writer_is_down_are_written_by_its_next_incarnation() {
    let out = directory();
    let mut drill = Drill::start(&settings(out.path()));
    let whole: Vec<_> = (0..3).map(|k| bytes(k, 300_000)).collect();
    let mut uploads = Vec::new();
    for (k, bytes) in whole.iter().enumerate() {
        let mut upload = connect(&drill.at);
        upload.write_all(&bytes[..100_000]).unwrap();
        let part = out.path().join(format!("output{k}.txt.part"));
        until("the first part", || size(&part) == 100_000);
        uploads.push(upload);
    }
    drill.crash_and_hold("writer");
    thread::scope(|scope| {
        for (upload, bytes) in uploads.iter_mut().zip(&whole) {
            scope.spawn(move || upload.write_all(&bytes[100_000..]).unwrap());
        }
        until("chunks to wait", || drill.waiting("writer") >= 3);
        drill.release("writer");
    });
    for (k, upload) in uploads.into_iter().enumerate() {
        finish(upload);
        let (name, hash) = drill.reports(1, stored).remove(0);
        assert_eq!(name, format!("output{k}.txt"));
        assert_eq!(hash, blake3::hash(&whole[k]).to_hex().as_str());
        assert!(fs::read(out.path().join(name)).unwrap() == whole[k], "upload {k} differs");
    }
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 3);
    drill.stop(&[("writer", 1)]);
}

#[test]
fn an_upload_that_ends_while_the_writer_is_down_is_stored_by_its_next_incarnation() {
    let out = directory();
    let mut drill = Drill::start(&settings(out.path()));
    drill.crash_and_hold("writer");
    let mut upload = connect(&drill.at);
    upload.write_all(b"all of it").unwrap();
    upload.shutdown(Shutdown::Write).unwrap();
    until("a chunk and the end to wait", || drill.waiting("writer") == 2);
    drill.release("writer");
    assert_eq!(drill.reports(1, stored)[0].0, "output0.txt");
    assert_eq!(fs::read(out.path().join("output0.txt")).unwrap(), b"all of it");
    drill.stop(&[("writer", 1)]);
}

#[test]
fn a_sender_that_is_faster_than_a_writer_that_is_down_is_held_back_and_loses_nothing() {
    let out = directory();
    let mut drill = Drill::start(&settings(out.path()));
    let whole = bytes(7, 24 << 20);
    drill.crash_and_hold("writer");
    let mut upload = connect(&drill.at);
    thread::scope(|scope| {
        scope.spawn(|| upload.write_all(&whole).unwrap());
        until("a full mailbox", || drill.waiting("writer") == 16);
        drill.release("writer");
    });
    finish(upload);
    let (name, hash) = drill.reports(1, stored).remove(0);
    assert_eq!(hash, blake3::hash(&whole).to_hex().as_str());
    assert!(fs::read(out.path().join(name)).unwrap() == whole);
    drill.stop(&[("writer", 1)]);
}

#[test]
fn a_writer_that_crashes_at_any_moment_never_stores_a_wrong_file() {
    const ROUNDS: u8 = 100;
    let out = directory();
    let mut drill = Drill::start_within(&settings(out.path()), 100_000);
    for round in 0..ROUNDS {
        let whole = bytes(round, 2 << 20);
        let mut upload = connect(&drill.at);
        thread::scope(|scope| {
            let bytes = &whole;
            let upload = &mut upload;
            scope.spawn(move || {
                for piece in bytes.chunks(16 << 10) {
                    upload.write_all(piece).unwrap();
                }
                upload.shutdown(Shutdown::Write).unwrap();
            });
            for _ in 0..5 {
                drill.crash("writer");
            }
        });
        let _ = upload.read(&mut [0]);
        let (name, hash) = drill.reports(1, stored).remove(0);
        assert!(fs::read(out.path().join(&name)).unwrap() == whole, "round {round}: {name}");
        assert_eq!(hash, blake3::hash(&whole).to_hex().as_str());
    }
    let crashes = u32::from(ROUNDS) * 5;
    drill.stop(&[("writer", crashes)]);
}

#[test]
fn a_receiver_that_crashes_leaves_its_part_and_touches_no_other() {
    let out = directory();
    let mut drill = Drill::start(&settings(out.path()));
    let part = |k: usize| out.path().join(format!("output{k}.txt.part"));
    let mut uploads = Vec::new();
    for k in 0..3 {
        let mut upload = connect(&drill.at);
        upload.write_all(&bytes(k, 50_000)).unwrap();
        until("the first part", || size(&part(k.into())) == 50_000);
        uploads.push(upload);
    }
    drill.crash_for_good("receivers/0");
    let mut cut = uploads.remove(0);
    assert!(matches!(cut.read(&mut [0]), Ok(0) | Err(_)), "its connection is over");
    for (k, mut upload) in (1..).zip(uploads) {
        upload.write_all(b"the rest").unwrap();
        finish(upload);
        assert_eq!(drill.reports(1, stored)[0].0, format!("output{k}.txt"));
        let expected = [&bytes(k, 50_000)[..], b"the rest"].concat();
        assert!(fs::read(out.path().join(format!("output{k}.txt"))).unwrap() == expected);
    }
    assert!(fs::read(part(0)).unwrap() == bytes(0, 50_000), "the part is kept");
    assert!(!out.path().join("output0.txt").exists());
    let mut upload = connect(&drill.at);
    upload.write_all(b"later").unwrap();
    finish(upload);
    assert_eq!(drill.reports(1, stored)[0].0, "output3.txt");
    drill.stop(&[]);
}

#[test]
fn uploads_go_on_while_the_listener_is_down_and_the_next_one_waits() {
    let out = directory();
    let mut settings = settings(out.path());
    settings.clients = Some(2);
    let mut drill = Drill::start(&settings);
    let mut first = connect(&drill.at);
    first.write_all(b"first").unwrap();
    until("the first part", || size(&out.path().join("output0.txt.part")) == 5);
    drill.crash_and_hold("listener");
    let mut second = connect(&drill.at);
    second.write_all(b"second").unwrap();
    finish(first);
    assert_eq!(drill.reports(1, stored)[0].0, "output0.txt");
    drill.release("listener");
    finish(second);
    assert_eq!(drill.reports(1, stored)[0].0, "output1.txt");
    assert_eq!(drill.end().unwrap(), sockactors::runtime::Ended::Finished);
    assert_eq!(fs::read(out.path().join("output0.txt")).unwrap(), b"first");
    assert_eq!(fs::read(out.path().join("output1.txt")).unwrap(), b"second");
}
