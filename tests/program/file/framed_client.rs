//! The framed file client, through the built program, against a server that does as it is told.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::support::files::{content, send};
use crate::support::framed_client::values;
use crate::support::framed_server::{Depot, Store, cuts_after, script, takes_all};
use crate::support::{Ended, directory, sockactors};
use sockactors::wire::file::codec::{CHUNK_SIZE, Frame, SIGNATURE, Stored, server_hello};
use sockactors::wire::file::digest::hash_chunk_list;
use tempfile::TempDir;

/// A directory with a file `name` of some length in it.
fn file(name: &str, length: usize) -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join(name);
    fs::write(&path, content(length)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// A server that has this much of the file already.
fn holding(name: &str, bytes: Vec<u8>) -> Store {
    Store { files: [(name.to_owned(), bytes)].into(), ..Store::default() }
}

#[test]
fn files_and_directories_arrive_in_the_order_of_their_names() {
    let (directory, one) = file("one", 3 * CHUNK_SIZE + 1);
    let tree = directory.path().join("tree");
    fs::create_dir_all(tree.join("b/empty")).unwrap();
    fs::write(tree.join("b/z"), "").unwrap();
    fs::write(tree.join("a"), content(CHUNK_SIZE)).unwrap();
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let ended = send(&depot.at, &[tree.to_str().unwrap(), &one]).with_code(0);
    let store = depot.store();
    assert_eq!(store.done, ["tree", "tree/a", "tree/b", "tree/b/empty", "tree/b/z", "one"]);
    assert!(store.files["one"] == content(3 * CHUNK_SIZE + 1));
    assert!(store.files["tree/a"] == content(CHUNK_SIZE));
    let digest = blake3::hash(&content(3 * CHUNK_SIZE + 1)).to_string();
    let row = ended.lines().into_iter().find(|line| line.starts_with(&digest)).unwrap();
    assert!(row.contains(" 196609 ") && row.ends_with(&one), "{row}");
    assert!(ended.out().contains("3 sent"), "{ended:?}");
}

#[test]
fn json_tells_each_file_with_its_digest_and_a_summary() {
    let (_directory, one) = file("one", 70_000);
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let lines = send(&depot.at, &["--json", &one]).with_code(0).lines();
    let digest = format!("\"blake3\":\"{}\"", blake3::hash(&content(70_000)));
    let wanted = ["\"event\":\"sent\"", "\"bytes\":70000", &digest, "\"stored\":\"one\""];
    assert!(wanted.iter().all(|part| lines[0].contains(part)), "{lines:?}");
    let wanted = ["\"event\":\"summary\"", "\"sent\":1", "\"failed\":0", "\"bytes\":70000"];
    assert!(wanted.iter().all(|part| lines[1].contains(part)), "{lines:?}");
}

#[test]
fn stdin_is_sent_for_a_dash() {
    let text = "x".repeat(2 * CHUNK_SIZE + 9);
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let args = ["--scenario", "file", "--connect", &depot.at, "-"];
    sockactors(&args, &text).with_code(0);
    assert_eq!(depot.store().files["stdin"], text.as_bytes());
}

#[test]
fn names_are_read_from_stdin_where_no_file_is_given() {
    let (_directory, one) = file("one", 5);
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let args = ["--scenario", "file", "--connect", &depot.at];
    sockactors(&args, &format!("/no/such/file\n\n{one}")).with_code(1).naming("/no/such/file");
    assert_eq!(depot.store().done, ["one"]);
}

#[test]
fn a_file_is_sent_from_where_the_server_is() {
    let length = 3 * CHUNK_SIZE + 100;
    let (_directory, one) = file("one", length);
    for held in [CHUNK_SIZE, 3 * CHUNK_SIZE, length] {
        let depot = Depot::new(holding("one", content(held)), vec![takes_all()]);
        send(&depot.at, &[&one]).with_code(0);
        let store = depot.store();
        assert_eq!(
            (store.moved, store.begun[0]),
            (length - held, held.div_ceil(CHUNK_SIZE) as u64)
        );
        assert!(store.files["one"] == content(length));
    }
}

#[test]
fn what_the_server_holds_of_another_file_is_sent_again() {
    let (_directory, one) = file("one", 2 * CHUNK_SIZE + 100);
    for (held, args) in [(vec![7; 2 * CHUNK_SIZE], "auto"), (content(2 * CHUNK_SIZE), "off")] {
        let depot = Depot::new(holding("one", held), vec![takes_all()]);
        send(&depot.at, &["--resume", args, &one]).with_code(0);
        let store = depot.store();
        assert_eq!((store.begun, store.moved), (vec![0], 2 * CHUNK_SIZE + 100), "{args}");
    }
}

#[test]
fn a_connection_that_is_cut_anywhere_is_made_anew() {
    let length = 40 * CHUNK_SIZE + 7;
    let (_directory, one) = file("one", length);
    let cuts = [1, 10, 12, 60, 100, 5000, 70_000, 200_000, CHUNK_SIZE * 9, CHUNK_SIZE * 20];
    let scripts = cuts.map(cuts_after).into_iter().chain([takes_all()]).collect();
    let depot = Depot::new(Store::default(), scripts);
    // Whoever is cut before the first answer was never connected.
    let mut ended = send(&depot.at, &["--timeout", "5s", &one]);
    while ended.code != 0 {
        assert!(ended.err().contains(&depot.at), "{ended:?}");
        ended = send(&depot.at, &["--timeout", "5s", &one]);
    }
    let store = depot.store();
    assert!(store.files["one"] == content(length));
    assert!(store.moved <= length + CHUNK_SIZE, "{} moved", store.moved);
    assert_eq!(store.done, ["one"]);
    assert!(ended.err().contains("trying again"), "{ended:?}");
}

#[test]
fn without_resumption_a_lost_connection_is_the_end() {
    let (_directory, one) = file("one", 20 * CHUNK_SIZE);
    let depot = Depot::new(Store::default(), vec![cuts_after(CHUNK_SIZE)]);
    send(&depot.at, &["--resume=off", &one]).with_code(1).naming(&depot.at);
}

#[test]
fn stdin_that_was_sent_in_part_is_not_sent_again() {
    let depot = Depot::new(Store::default(), vec![cuts_after(3 * CHUNK_SIZE), takes_all()]);
    let args = ["--scenario", "file", "--connect", &depot.at, "-"];
    let text = "x".repeat(20 * CHUNK_SIZE);
    sockactors(&args, &text).with_code(1).naming("stdin cannot be sent again");
}

/// Refuses the first offer with a code before or after the data, and takes what comes then.
fn refused(code: u16, after: bool, expected: i32) -> (Ended, Store) {
    let (directory, one) = file("one", 30 * CHUNK_SIZE);
    let two = directory.path().join("two");
    fs::write(&two, "second").unwrap();
    let refuse = script(move |talk, store| {
        let mut talk = talk.welcome();
        talk.offered().unwrap();
        if after {
            talk.say(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
            (0..3).for_each(|_| assert!(talk.hear(|_| {})));
        }
        talk.fail(code, "because \u{1b}[31m of \u{202e}it");
        // What is still on its way of the first file is passed over.
        match talk.offered() {
            Some(name) => {
                let size = fs::read(&two).unwrap();
                talk.say(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
                let mut ended = false;
                while !ended && talk.hear(|frame| ended = matches!(frame, Frame::End { .. })) {}
                let digest = blake3::hash(&size).into();
                talk.say(&Frame::Stored(Stored { size: size.len() as u64, digest, name: &name }));
                store.done.push(name);
                talk.serve(store);
            }
            None => drop(talk),
        }
    });
    let depot = Depot::new(Store::default(), vec![refuse]);
    let two = directory.path().join("two");
    let ended =
        send(&depot.at, &[&one, two.to_str().unwrap()]).with_code(expected).naming("because");
    assert!(!ended.err().contains(['\u{1b}', '\u{202e}']), "{ended:?}");
    (ended.naming("one"), depot.store())
}

#[test]
fn a_file_that_is_refused_is_told_and_the_next_one_is_sent() {
    for (code, expected) in [(2, 1), (3, 1), (4, 1), (6, 1), (10, 1), (11, 0), (999, 1)] {
        for after in [false, true] {
            assert_eq!(refused(code, after, expected).1.done, ["two"], "{code}, {after}");
        }
    }
}

#[test]
fn what_concerns_the_whole_run_ends_it_with_a_code_of_its_own() {
    for (code, expected) in [(1, 5), (7, 5), (5, 6)] {
        for after in [false, true] {
            assert_eq!(refused(code, after, expected).1.done, [""; 0], "{code}, {after}");
        }
    }
}

#[test]
fn a_server_that_is_busy_or_stops_is_asked_again() {
    let (_directory, one) = file("one", 2 * CHUNK_SIZE);
    for code in [8, 9] {
        let later = script(move |talk, _| {
            let mut talk = talk.welcome();
            talk.offered().unwrap();
            talk.fail(code, "later");
        });
        let depot = Depot::new(Store::default(), vec![later, takes_all()]);
        send(&depot.at, &[&one]).with_code(0).naming("later; trying again");
        assert_eq!(depot.store().done, ["one"]);
    }
}

/// Sends a file to a server whose first words are these, and that then waits for the client's end.
fn greeted_with(words: Vec<u8>, expected: i32) -> Ended {
    let (_directory, one) = file("one", 100);
    let strange = script(move |talk, _| {
        let mut talk = talk.greeted();
        talk.stream.write_all(&words).unwrap();
        while talk.hear(|_| {}) {}
    });
    let depot = Depot::new(Store::default(), vec![strange]);
    let ended = send(&depot.at, &["--timeout", "300ms", &one]).with_code(expected);
    ended.naming(&depot.at)
}

#[test]
fn a_server_that_says_nothing_is_told_how_to_be_spoken_to() {
    greeted_with(Vec::new(), 4).naming("--raw");
    greeted_with(SIGNATURE[..4].to_vec(), 4);
    let (_directory, one) = file("one", 100);
    let depot = Depot::new(Store::default(), vec![script(|talk, _| drop(talk.greeted()))]);
    send(&depot.at, &[&one]).with_code(1).naming("--raw");
}

#[test]
fn a_server_that_speaks_something_else_is_told() {
    greeted_with(b"Thank you for connecting".to_vec(), 1).naming("does not speak");
    greeted_with(server_hello(0), 1).naming("version");
    greeted_with(server_hello(2), 1).naming("version");
    let garbage = [&server_hello(1)[..], b"\x07\x02\0\0\0ab01234567"].concat();
    greeted_with(garbage, 5).naming("not the one that was sent");
}

#[test]
fn a_server_that_stored_something_else_ends_it_with_5() {
    let (_directory, one) = file("one", 100);
    let lies = script(|talk, _| {
        let mut talk = talk.welcome();
        let name = talk.offered().unwrap();
        talk.say(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&values(&[])) });
        (0..3).for_each(|_| assert!(talk.hear(|_| {})));
        talk.say(&Frame::Stored(Stored { size: 100, digest: [9; 32], name: &name }));
        while talk.hear(|_| {}) {}
    });
    let depot = Depot::new(Store::default(), vec![lies]);
    send(&depot.at, &[&one]).with_code(5).naming("one").naming("0909");
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_told() {
    let (_directory, one) = file("one", 3 * CHUNK_SIZE);
    let path = PathBuf::from(&one);
    let slow = script(move |talk, store| {
        let mut talk = talk.welcome();
        talk.offered().unwrap();
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        talk.say(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
        talk.serve(store);
    });
    let depot = Depot::new(Store::default(), vec![slow]);
    send(&depot.at, &[&one]).with_code(1).naming("changed while it was sent");
    assert_eq!(depot.store().failed, [10]);
}

#[test]
fn links_and_pipes_are_left_out_and_told() {
    let (directory, _one) = file("one", 5);
    let pipe = directory.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let ended = send(&depot.at, &[directory.path().to_str().unwrap(), pipe.to_str().unwrap()]);
    ended.with_code(1).naming("link").naming("pipe").naming("through stdin");
    assert_eq!(depot.store().files.len(), 1);
}
