//! The framed file client at its edges: connections that are lost again and again, answers out of place, Ctrl-C.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use crate::support::files::{content, send};
use crate::support::framed_server::{Depot, Store, Talk, cuts_after, script, takes_all};
use crate::support::{Program, directory, sockactors};
use sockactors::wire::file::codec::{CHUNK_SIZE, Frame, Stored};
use sockactors::wire::file::digest::hash_chunk_list;
use tempfile::TempDir;

/// A directory with a file `one` of some length in it.
fn file(length: usize) -> (TempDir, String) {
    let directory = directory();
    let path = directory.path().join("one");
    fs::write(&path, content(length)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (directory, path)
}

/// Hears an offer, and says that nothing is held of it.
fn holds_nothing(talk: &mut Talk) {
    talk.offered().unwrap();
    talk.say(&Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) });
}

/// Hears frames up to the file's end.
fn hear_to_the_end(talk: &mut Talk) {
    let mut ended = false;
    while !ended {
        assert!(talk.hear(|frame| ended = matches!(frame, Frame::End { .. })));
    }
}

/// A port of this machine at which nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn files_of_every_length_arrive_over_one_connection() {
    let source = directory();
    let lengths = [
        0,
        1,
        CHUNK_SIZE - 1,
        CHUNK_SIZE,
        CHUNK_SIZE + 1,
        16 * CHUNK_SIZE,
        16 * CHUNK_SIZE + 1,
        50 * CHUNK_SIZE + 7,
    ];
    let paths = lengths.map(|length| {
        let path = source.path().join(format!("of-{length}"));
        fs::write(&path, content(length)).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let depot = Depot::new(Store::default(), vec![takes_all()]);
    let ended = send(&depot.at, &paths.each_ref().map(String::as_str)).with_code(0);
    let store = depot.store();
    for length in lengths {
        let file = content(length);
        assert!(store.files[&format!("of-{length}")] == file, "{length}");
        assert!(ended.out().contains(blake3::hash(&file).to_hex().as_str()), "{length}: {ended:?}");
    }
    assert_eq!(store.done.len(), lengths.len());
}

#[test]
fn a_connection_that_is_lost_again_and_again_costs_no_chunk_twice() {
    let length = 30 * CHUNK_SIZE + 9;
    let (_directory, one) = file(length);
    let far = |chunks: usize| chunks * (CHUNK_SIZE + 53) + 1000;
    // The first one is made, so the others are lost. Each that gets no further is followed by one that does.
    let cuts =
        [12, far(1), 1, 3 * CHUNK_SIZE, 9, far(0), 10, 11, far(5) + 17, 100, far(4), far(12)];
    let mut scripts: Vec<_> = cuts.map(cuts_after).into_iter().collect();
    scripts.push(script(|talk, _| drop(talk)));
    scripts.push(takes_all());
    let depot = Depot::new(Store::default(), scripts);
    let ended = send(&depot.at, &[&one]).with_code(0);
    let store = depot.store();
    assert!(store.files["one"] == content(length));
    assert_eq!(store.moved, length);
    assert_eq!(ended.err().matches("trying again").count(), 13, "{ended:?}");
}

#[test]
fn a_server_that_spoke_the_protocol_before_is_asked_again_whatever_answers() {
    let (_directory, one) = file(3 * CHUNK_SIZE);
    let welcomed = script(|talk, _| holds_nothing(&mut talk.welcome()));
    let ends = script(|talk, _| drop(talk.greeted()));
    let proxy = script(|talk, _| {
        let mut talk = talk.greeted();
        talk.stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap();
    });
    let depot = Depot::new(Store::default(), vec![welcomed, ends, proxy, takes_all()]);
    send(&depot.at, &[&one]).with_code(0);
    assert_eq!(depot.store().done, ["one"]);
}

#[test]
fn a_server_that_does_not_come_back_is_asked_until_ctrl_c() {
    let (_directory, one) = file(5);
    let gone = || script(|talk, _| holds_nothing(&mut talk.welcome()));
    let depot = Depot::new(Store::default(), vec![gone(), gone()]);
    let mut program = Program::run(&["--scenario", "file", "--connect", &depot.at, &one]);
    program.close_stdin();
    program.wait_for_error_line(|line| line.contains("trying again") && line.contains("refused"));
    program.interrupt();
    program.wait().with_code(130);
    depot.store();
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let (_directory, one) = file(5);
    let at = nobody();
    let ended = sockactors(&["--scenario", "file", "--connect", &at, &one], "").with_code(3);
    assert!(!ended.naming(&at).err().contains("again"));
}

#[test]
fn without_a_file_that_can_be_read_nobody_is_called() {
    let args = ["--scenario", "file", "--connect", &nobody(), "/no/such/file"];
    sockactors(&args, "").with_code(1).naming("/no/such/file");
}

#[test]
fn a_client_is_ended_by_ctrl_c_while_its_server_is_silent() {
    let (_directory, one) = file(CHUNK_SIZE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut program = Program::run(&["--scenario", "file", "--connect", &at, &one]);
    program.close_stdin();
    let _stream = listener.accept().unwrap();
    program.interrupt();
    program.wait().with_code(130);
}

#[test]
fn a_file_that_changed_while_the_connection_was_lost_is_not_joined_to_its_beginning() {
    let (_directory, one) = file(400 * CHUNK_SIZE);
    let path = PathBuf::from(&one);
    let changes = script(move |talk, store| {
        let mut talk = talk.welcome();
        talk.left = 40 * CHUNK_SIZE;
        talk.serve(store);
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all(b"another beginning").unwrap();
    });
    let depot = Depot::new(Store::default(), vec![changes, takes_all()]);
    send(&depot.at, &[&one]).with_code(1).naming("changed");
    let store = depot.store();
    assert_eq!((store.done.len(), store.failed), (0, vec![10]));
}

#[test]
fn a_file_that_is_refused_once_all_of_it_came_is_told() {
    let (_directory, one) = file(40 * CHUNK_SIZE);
    for (code, expected) in [(1, 5), (5, 6), (7, 5), (3, 1), (6, 1), (11, 0)] {
        let refuses = script(move |talk, _| {
            let mut talk = talk.welcome();
            holds_nothing(&mut talk);
            hear_to_the_end(&mut talk);
            talk.fail(code, "that is why");
            while talk.hear(|_| {}) {}
        });
        let depot = Depot::new(Store::default(), vec![refuses]);
        let ended = send(&depot.at, &[&one]).with_code(expected);
        if code != 11 {
            ended.naming("one").naming("that is why");
        }
        depot.store();
    }
}

#[test]
fn a_server_that_stops_at_the_end_of_a_file_is_asked_again() {
    let (_directory, one) = file(40 * CHUNK_SIZE);
    let stops = script(|talk, _| {
        let mut talk = talk.welcome();
        holds_nothing(&mut talk);
        hear_to_the_end(&mut talk);
        talk.fail(9, "it stops");
    });
    let depot = Depot::new(Store::default(), vec![stops, takes_all()]);
    send(&depot.at, &[&one]).with_code(0).naming("it stops; trying again");
    assert_eq!(depot.store().done, ["one"]);
}

#[test]
fn more_than_there_is_of_a_file_cannot_be_held() {
    let (_directory, one) = file(10 * CHUNK_SIZE);
    for held in [10, 11, u64::MAX] {
        let holds = script(move |talk, store| {
            let mut talk = talk.welcome();
            talk.offered().unwrap();
            store.files.insert("one".into(), Vec::new());
            talk.say(&Frame::Answer { chunk_count: held, chunk_list_hash: [7; 32] });
            let mut begun = None;
            assert!(talk.hear(|frame| begun = Some(frame == Frame::Begin(0))));
            assert_eq!(begun, Some(true), "{held}");
            hear_to_the_end(&mut talk);
            let digest = blake3::hash(&content(10 * CHUNK_SIZE)).into();
            talk.say(&Frame::Stored(Stored { size: 10 * CHUNK_SIZE as u64, digest, name: "one" }));
        });
        let depot = Depot::new(Store::default(), vec![holds]);
        send(&depot.at, &[&one]).with_code(0);
        depot.store();
    }
}

#[test]
fn answers_out_of_place_are_told() {
    let (_directory, one) = file(5 * CHUNK_SIZE);
    let answers: [fn(&mut Talk); 4] = [
        |talk| talk.say(&Frame::Begin(0)),
        |talk| {
            let held = Frame::Answer { chunk_count: 0, chunk_list_hash: hash_chunk_list(&[]) };
            talk.say(&held);
            talk.say(&held);
        },
        |talk| talk.say(&Frame::Offer(crate::support::framed_client::offer(b"one", Some(1)))),
        |talk| talk.say(&Frame::Stored(Stored { size: 5, digest: [0; 32], name: "one" })),
    ];
    for answer in answers {
        let odd = script(move |talk, _| {
            let mut talk = talk.welcome();
            talk.offered().unwrap();
            answer(&mut talk);
            while talk.hear(|_| {}) {}
        });
        let depot = Depot::new(Store::default(), vec![odd]);
        send(&depot.at, &[&one]).with_code(1).naming(&depot.at).naming("no place");
        depot.store();
    }
}

#[test]
fn a_server_of_another_kind_is_told_with_what_helps() {
    let (_directory, one) = file(CHUNK_SIZE);
    let web = script(|talk, _| {
        let mut talk = talk.greeted();
        talk.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        while talk.hear(|_| {}) {}
    });
    let depot = Depot::new(Store::default(), vec![web]);
    send(&depot.at, &[&one]).with_code(1).naming(&depot.at).naming("--raw");
    depot.store();
}

#[test]
fn a_quiet_run_tells_results_alone() {
    let (_directory, one) = file(CHUNK_SIZE);
    let cut = || cuts_after(1000);
    let depot = Depot::new(Store::default(), vec![cut(), takes_all()]);
    let ended = send(&depot.at, &["--quiet", &one]).with_code(0);
    depot.store();
    assert!(ended.out().contains("one"), "{ended:?}");
    assert_eq!(ended.err(), "");
}
