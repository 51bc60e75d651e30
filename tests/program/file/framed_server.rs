//! The server's side of the framed file protocol, through the built program with a scripted client.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;

use crate::support::chat_client::connect;
use crate::support::directory;
use crate::support::files::{distinct_chunks, names, open_framed, server, stored_reply};
use crate::support::framed_client::{FramedReply, chunk_hashes, end_frame, offer};
use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{CHUNK_SIZE, Failed, Frame, Offer, SIGNATURE};

#[test]
fn every_length_is_stored_over_one_connection() {
    let out = directory();
    let server = server(out.path(), &["--json"]);
    let mut client = open_framed(&server);
    for length in [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 20 * CHUNK_SIZE + 7] {
        let (name, file) = (format!("of-{length}"), distinct_chunks(length));
        assert_eq!(client.upload(&name, &file), stored_reply(length, &name));
        assert!(fs::read(out.path().join(&name)).unwrap() == file, "{name}");
        let digest = blake3::hash(&file).to_hex();
        server.wait_for_line(|line| line.contains(&name) && line.contains(digest.as_str()));
    }
    assert_eq!(names(out.path()).len(), 6);
}

#[test]
fn file_of_unknown_size_is_stored() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open_framed(&server);
    let file = distinct_chunks(3 * CHUNK_SIZE + 5);
    assert!(matches!(client.send_offer("stream", None), FramedReply::ResumeAt(0, _)));
    client.send_chunks(&file, 0, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&file)]).unwrap();
    assert_eq!(client.recv(), stored_reply(file.len(), "stream"));
    assert!(fs::read(out.path().join("stream")).unwrap() == file);
}

#[test]
fn directories_and_safe_modes_are_stored() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open_framed(&server);
    let directory = Offer { is_directory: true, mode: 0o755, ..offer(b"tools", Some(0)) };
    client.send_frames(&[Frame::Offer(directory)]).unwrap();
    assert_eq!(client.recv(), stored_reply(0, "tools"));
    let run = Offer { mode: 0o106_755, ..offer(b"tools/bin/run", Some(3)) };
    client.send_frames(&[Frame::Offer(run)]).unwrap();
    assert!(matches!(client.recv(), FramedReply::ResumeAt(0, _)));
    client.send_chunks(b"run", 0, 1).unwrap();
    client.send_frames(&[end_frame(b"run")]).unwrap();
    assert_eq!(client.recv(), stored_reply(3, "tools/bin/run"));
    let mode = fs::metadata(out.path().join("tools/bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7700, 0o700, "{mode:o}");
}

#[test]
fn cut_transfer_is_resumed() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = distinct_chunks(9 * CHUNK_SIZE + 100);
    let mut held = 0;
    for chunks in [0, 2, 5, 9] {
        let mut client = open_framed(&server);
        let said = client.send_offer("file", Some(file.len() as u64));
        let expected = hash_chunk_list(&chunk_hashes(&file)[..held]);
        assert_eq!(said, FramedReply::ResumeAt(held as u64, expected));
        client.send_chunks(&file, held as u64, chunks).unwrap();
        // The beginning of another chunk.
        let mut more = Vec::new();
        let bytes = &file[..CHUNK_SIZE];
        client.frames.write(&Frame::Data { number: chunks, hash: [0; 32], bytes }, &mut more);
        client.stream.write_all(&more[..1000]).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.recv(), FramedReply::Closed);
        held = chunks as usize;
    }
    assert_eq!(open_framed(&server).upload("file", &file), stored_reply(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
    assert_eq!(names(out.path()), ["file"]);
}

#[test]
fn killed_server_resumes_from_checksums() {
    let out = directory();
    let file = distinct_chunks(40 * CHUNK_SIZE);
    let first = server(out.path(), &[]);
    let mut client = open_framed(&first);
    client.send_offer("file", Some(file.len() as u64));
    client.send_chunks(&file, 0, 30).unwrap();
    let sums = out.path().join(".file.sums");
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while fs::metadata(&sums).map_or(0, |sums| sums.len()) < 192 + 30 * 36 {
        assert!(std::time::Instant::now() < deadline, "it is never written down");
    }
    first.signal(rustix::process::Signal::KILL);
    first.wait();
    let second = server(out.path(), &[]);
    let mut client = open_framed(&second);
    let held = client.send_offer("file", Some(file.len() as u64));
    assert_eq!(held, FramedReply::ResumeAt(30, hash_chunk_list(&chunk_hashes(&file)[..30])));
    client.send_chunks(&file, 30, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&file)]).unwrap();
    assert_eq!(client.recv(), stored_reply(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
}

#[test]
fn identical_file_needs_no_data_and_other_is_rejected() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open_framed(&server);
    for length in [0, 5, 2 * CHUNK_SIZE + 5] {
        let (name, file) = (format!("of-{length}"), distinct_chunks(length));
        assert_eq!(client.upload(&name, &file), stored_reply(length, &name));
        let count = length.div_ceil(CHUNK_SIZE) as u64;
        assert_eq!(
            client.send_offer(&name, Some(length as u64)),
            FramedReply::ResumeAt(count, hash_chunk_list(&chunk_hashes(&file)))
        );
        client.send_frames(&[Frame::Begin(count), end_frame(&file)]).unwrap();
        assert_eq!(client.recv(), stored_reply(length, &name));
        let other = vec![b'x'; length];
        if length > 0 {
            assert!(matches!(client.upload(&name, &other), FramedReply::Failed(3, _)));
        }
        assert!(fs::read(out.path().join(&name)).unwrap() == file);
    }
    assert_eq!(names(out.path()), ["of-0", "of-131077", "of-5"]);
}

#[test]
fn abandoned_file_is_removed_and_connection_continues() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open_framed(&server);
    client.send_offer("one", Some(3 * CHUNK_SIZE as u64));
    client.send_chunks(&distinct_chunks(CHUNK_SIZE), 0, 1).unwrap();
    client.send_frames(&[Frame::Failed(Failed { code: 10, reason: "it changed" })]).unwrap();
    assert_eq!(client.upload("two", b"2"), stored_reply(1, "two"));
    assert_eq!(names(out.path()), ["two"]);
}

#[test]
fn unknown_version_is_answered_and_partial_signature_is_raw() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut newer = connect(server.endpoint());
    newer.write_all(&[&SIGNATURE[..], &[2, 9]].concat()).unwrap();
    let mut answer = Vec::new();
    newer.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [&SIGNATURE[..], &[0]].concat());
    let mut raw = connect(server.endpoint());
    raw.write_all(&SIGNATURE[..5]).unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    server.wait_for_line(|line| line.ends_with("New filename is: output0.txt"));
    assert_eq!(fs::read(out.path().join("output0.txt")).unwrap(), &SIGNATURE[..5]);
}

#[test]
fn stop_waits_for_file_in_progress_only() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut idle = open_framed(&server);
    assert_eq!(idle.upload("first", b"1"), stored_reply(1, "first"));
    let mut busy = open_framed(&server);
    assert!(matches!(busy.send_offer("second", Some(1)), FramedReply::ResumeAt(..)));
    busy.send_chunks(b"2", 0, 1).unwrap();
    let part = out.path().join(".second.part");
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while fs::metadata(&part).map_or(0, |part| part.len()) < 1 {
        assert!(std::time::Instant::now() < deadline, "the second file does not begin");
    }
    let mut offered = open_framed(&server);
    assert!(matches!(offered.send_offer("third", Some(1)), FramedReply::ResumeAt(..)));
    server.terminate();
    assert_eq!(idle.recv(), FramedReply::Closed);
    assert!(matches!(offered.recv(), FramedReply::Failed(9, _)));
    assert_eq!(offered.recv(), FramedReply::Closed);
    busy.send_frames(&[end_frame(b"2")]).unwrap();
    assert_eq!(busy.recv(), stored_reply(1, "second"));
    server.wait().with_code(0);
}

#[test]
fn reconnecting_sender_takes_over_partial_file() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = distinct_chunks(5 * CHUNK_SIZE);
    let mut lost = open_framed(&server);
    lost.send_offer("file", Some(file.len() as u64));
    lost.send_chunks(&file, 0, 3).unwrap();
    let mut back = open_framed(&server);
    assert!(matches!(back.send_offer("file", Some(file.len() as u64)), FramedReply::Failed(8, _)));
    assert_eq!(lost.recv(), FramedReply::Closed);
    assert_eq!(back.upload("file", &file), stored_reply(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
}
