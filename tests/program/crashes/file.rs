//! Crashes during uploads: a receiver, the listener, the reaper.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use sockactors::actors::Report;
use sockactors::scenario::{Scenario, Settings};

use super::support::{InProcessScenario, server, wait_until};
use crate::support::chat_client::connect;
use crate::support::directory;

fn settings(out: &Path) -> Settings {
    let mut settings = server(Scenario::File);
    settings.out = out.to_owned();
    settings.keep_free = 0;
    settings
}

/// Returns the bytes of an upload. No two uploads, and no two positions in one, are equal.
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

/// Ends an upload, and waits until the server closes the connection.
#[track_caller]
fn finish(mut upload: TcpStream) {
    upload.shutdown(Shutdown::Write).unwrap();
    assert_eq!(upload.read(&mut [0]).unwrap(), 0);
}

/// Returns a stored file's name and hash.
fn stored(report: &Report) -> Option<(String, String)> {
    match report {
        Report::FileStored { name, blake3, .. } => Some((name.clone(), blake3.clone().unwrap())),
        Report::Rejected { reason: why, .. } => panic!("refused: {why}"),
        _ => None,
    }
}

#[test]
fn crashed_receiver_keeps_partial_file() {
    let out = directory();
    let mut drill = InProcessScenario::start(&settings(out.path()));
    let part = |k: usize| out.path().join(format!(".output{k}.txt.part"));
    let mut uploads = Vec::new();
    for k in 0..3 {
        let mut upload = connect(&drill.endpoint);
        upload.write_all(&bytes(k, 50_000)).unwrap();
        wait_until("the first part", || size(&part(k.into())) == 50_000);
        uploads.push(upload);
    }
    drill.crash_until_given_up("receivers/0");
    let mut cut = uploads.remove(0);
    assert!(matches!(cut.read(&mut [0]), Ok(0) | Err(_)), "its connection is closed");
    for (k, mut upload) in (1..).zip(uploads) {
        upload.write_all(b"the rest").unwrap();
        finish(upload);
        assert_eq!(drill.reports(1, stored)[0].0, format!("output{k}.txt"));
        let expected = [&bytes(k, 50_000)[..], b"the rest"].concat();
        assert!(fs::read(out.path().join(format!("output{k}.txt"))).unwrap() == expected);
    }
    assert!(fs::read(part(0)).unwrap() == bytes(0, 50_000), "the partial file is kept");
    assert!(!out.path().join("output0.txt").exists());
    let mut upload = connect(&drill.endpoint);
    upload.write_all(b"later").unwrap();
    finish(upload);
    assert_eq!(drill.reports(1, stored)[0].0, "output3.txt");
    drill.stop(&[]);
}

#[test]
fn uploads_continue_while_listener_is_down() {
    let out = directory();
    let mut settings = settings(out.path());
    settings.clients = Some(2);
    let mut drill = InProcessScenario::start(&settings);
    let mut first = connect(&drill.endpoint);
    first.write_all(b"first").unwrap();
    wait_until("the first part", || size(&out.path().join(".output0.txt.part")) == 5);
    drill.crash_and_hold("listener");
    let mut second = connect(&drill.endpoint);
    second.write_all(b"second").unwrap();
    finish(first);
    assert_eq!(drill.reports(1, stored)[0].0, "output0.txt");
    drill.release_restart("listener");
    finish(second);
    assert_eq!(drill.reports(1, stored)[0].0, "output1.txt");
    assert_eq!(drill.end().unwrap(), sockactors::runtime::StopReason::Finished);
    assert_eq!(fs::read(out.path().join("output0.txt")).unwrap(), b"first");
    assert_eq!(fs::read(out.path().join("output1.txt")).unwrap(), b"second");
}

#[test]
fn crashed_reaper_removes_nothing() {
    let out = directory();
    let mut drill = InProcessScenario::start(&settings(out.path()));
    let mut upload = connect(&drill.endpoint);
    upload.write_all(b"the beginning").unwrap();
    wait_until("the first part", || size(&out.path().join(".output0.txt.part")) == 13);
    drill.crash("reaper");
    upload.write_all(b" and the end").unwrap();
    finish(upload);
    let (name, hash) = drill.reports(1, stored).remove(0);
    assert_eq!(fs::read(out.path().join(name)).unwrap(), b"the beginning and the end");
    assert_eq!(hash, blake3::hash(b"the beginning and the end").to_hex().as_str());
    drill.stop(&[("reaper", 1)]);
}
