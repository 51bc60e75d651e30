//! The framed file protocol, from the server's side: through the built program, with a client that does as it is told.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;

use crate::support::chat_client::connect;
use crate::support::directory;
use crate::support::files::{content, names, open, server, stored};
use crate::support::framed_client::{Said, end, offer, values};
use sockactors::wire::file::codec::{CHUNK_SIZE, Failed, Frame, Offer, SIGNATURE};
use sockactors::wire::file::digest::hash_chunk_list;

#[test]
fn files_of_every_length_arrive_under_their_names_over_one_connection() {
    let out = directory();
    let server = server(out.path(), &["--json"]);
    let mut client = open(&server);
    for length in [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 20 * CHUNK_SIZE + 7] {
        let (name, file) = (format!("of-{length}"), content(length));
        assert_eq!(client.send(&name, &file), stored(length, &name));
        assert!(fs::read(out.path().join(&name)).unwrap() == file, "{name}");
        let digest = blake3::hash(&file).to_hex();
        server.wait_for_line(|line| line.contains(&name) && line.contains(digest.as_str()));
    }
    assert_eq!(names(out.path()).len(), 6);
}

#[test]
fn a_file_whose_size_is_not_known_before_arrives_too() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open(&server);
    let file = content(3 * CHUNK_SIZE + 5);
    assert!(matches!(client.offer("stream", None), Said::Held(0, _)));
    client.chunks(&file, 0, u64::MAX).unwrap();
    client.say(&[end(&file)]).unwrap();
    assert_eq!(client.hear(), stored(file.len(), "stream"));
    assert!(fs::read(out.path().join("stream")).unwrap() == file);
}

#[test]
fn directories_and_modes_come_along_and_what_is_dangerous_does_not() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open(&server);
    let directory = Offer { is_directory: true, mode: 0o755, ..offer(b"tools", Some(0)) };
    client.say(&[Frame::Offer(directory)]).unwrap();
    assert_eq!(client.hear(), stored(0, "tools"));
    let run = Offer { mode: 0o106_755, ..offer(b"tools/bin/run", Some(3)) };
    client.say(&[Frame::Offer(run)]).unwrap();
    assert!(matches!(client.hear(), Said::Held(0, _)));
    client.chunks(b"run", 0, 1).unwrap();
    client.say(&[end(b"run")]).unwrap();
    assert_eq!(client.hear(), stored(3, "tools/bin/run"));
    let mode = fs::metadata(out.path().join("tools/bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7700, 0o700, "{mode:o}");
}

#[test]
fn a_transfer_that_was_cut_anywhere_goes_on_from_there() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = content(9 * CHUNK_SIZE + 100);
    let mut held = 0;
    for chunks in [0, 2, 5, 9] {
        let mut client = open(&server);
        let said = client.offer("file", Some(file.len() as u64));
        let expected = hash_chunk_list(&values(&file)[..held]);
        assert_eq!(said, Said::Held(held as u64, expected));
        client.chunks(&file, held as u64, chunks).unwrap();
        // The beginning of one more.
        let mut more = Vec::new();
        let bytes = &file[..CHUNK_SIZE];
        client.frames.write(&Frame::Data { number: chunks, hash: [0; 32], bytes }, &mut more);
        client.stream.write_all(&more[..1000]).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.hear(), Said::Closed);
        held = chunks as usize;
    }
    assert_eq!(open(&server).send("file", &file), stored(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
    assert_eq!(names(out.path()), ["file"]);
}

#[test]
fn a_server_that_was_killed_goes_on_from_what_it_had_written_down() {
    let out = directory();
    let file = content(40 * CHUNK_SIZE);
    let first = server(out.path(), &[]);
    let mut client = open(&first);
    client.offer("file", Some(file.len() as u64));
    client.chunks(&file, 0, 30).unwrap();
    let sums = out.path().join(".file.sums");
    let until = std::time::Instant::now() + crate::support::DEADLINE;
    while fs::metadata(&sums).unwrap().len() < 192 + 30 * 36 {
        assert!(std::time::Instant::now() < until, "it is never written down");
    }
    first.signal(rustix::process::Signal::KILL);
    first.wait();
    let second = server(out.path(), &[]);
    let mut client = open(&second);
    let held = client.offer("file", Some(file.len() as u64));
    assert_eq!(held, Said::Held(30, hash_chunk_list(&values(&file)[..30])));
    client.chunks(&file, 30, u64::MAX).unwrap();
    client.say(&[end(&file)]).unwrap();
    assert_eq!(client.hear(), stored(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
}

#[test]
fn a_file_that_is_there_already_is_stored_without_a_byte_and_another_one_is_refused() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open(&server);
    for length in [0, 5, 2 * CHUNK_SIZE + 5] {
        let (name, file) = (format!("of-{length}"), content(length));
        assert_eq!(client.send(&name, &file), stored(length, &name));
        let count = length.div_ceil(CHUNK_SIZE) as u64;
        assert_eq!(
            client.offer(&name, Some(length as u64)),
            Said::Held(count, hash_chunk_list(&values(&file)))
        );
        client.say(&[Frame::Begin(count), end(&file)]).unwrap();
        assert_eq!(client.hear(), stored(length, &name));
        let other = vec![b'x'; length];
        if length > 0 {
            assert!(matches!(client.send(&name, &other), Said::Failed(3, _)));
        }
        assert!(fs::read(out.path().join(&name)).unwrap() == file);
    }
    assert_eq!(names(out.path()), ["of-0", "of-131077", "of-5"]);
}

#[test]
fn a_sender_that_gives_up_leaves_nothing_and_goes_on_with_the_next() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut client = open(&server);
    client.offer("one", Some(3 * CHUNK_SIZE as u64));
    client.chunks(&content(CHUNK_SIZE), 0, 1).unwrap();
    client.say(&[Frame::Failed(Failed { code: 10, reason: "it changed" })]).unwrap();
    assert_eq!(client.send("two", b"2"), stored(1, "two"));
    assert_eq!(names(out.path()), ["two"]);
}

#[test]
fn another_version_is_answered_and_the_beginning_of_a_signature_is_a_file() {
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
fn a_stop_between_two_files_ends_the_connection_and_one_in_the_middle_lets_it_finish() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut idle = open(&server);
    assert_eq!(idle.send("first", b"1"), stored(1, "first"));
    let mut busy = open(&server);
    assert!(matches!(busy.offer("second", Some(1)), Said::Held(..)));
    server.terminate();
    assert_eq!(idle.hear(), Said::Closed);
    busy.chunks(b"2", 0, 1).unwrap();
    busy.say(&[end(b"2")]).unwrap();
    assert_eq!(busy.hear(), stored(1, "second"));
    server.wait().with_code(0);
}

#[test]
fn a_sender_that_comes_back_over_another_connection_gets_its_file_from_the_silent_one() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = content(5 * CHUNK_SIZE);
    let mut lost = open(&server);
    lost.offer("file", Some(file.len() as u64));
    lost.chunks(&file, 0, 3).unwrap();
    let mut back = open(&server);
    assert!(matches!(back.offer("file", Some(file.len() as u64)), Said::Failed(8, _)));
    assert_eq!(lost.hear(), Said::Closed);
    assert_eq!(back.send("file", &file), stored(file.len(), "file"));
    assert!(fs::read(out.path().join("file")).unwrap() == file);
}
