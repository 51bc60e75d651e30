//! Names of a hostile sender. None leaves the directory, and none reaches a terminal, a log or the
//! directory unescaped.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::chat_client::connect;
use crate::support::framed_client::{FramedClient, FramedReply, offer};
use crate::support::uploads::{seeded_bytes, seeded_number};
use crate::support::{Program, directory};
use sockactors::wire::file::{Frame, Offer};

/// The number of names.
const NAMES: usize = 500;

/// The parts that names are made of.
const PIECES: [&[u8]; 40] = [
    b"..",
    b".",
    b"/",
    b"//",
    b"/etc/passwd",
    b"etc",
    b"link",
    b"out",
    b"~",
    b"-rf",
    b"a",
    b"name.txt",
    b"\\..\\",
    b"C:",
    b"\0",
    b"\n",
    b"\r",
    b"\t",
    b"\x1b[2J",
    b"\x1b]0;title\x07",
    b"\x07",
    b"\x7f",
    b"\xc2\x9b31m",
    b"\xe2\x80\xae",
    b"\xe2\x80\x8f",
    b"\xe2\x81\xa6",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"$(touch pwned)",
    b"`id`",
    b"; rm -rf ~",
    b".part",
    b".sums",
    b".bashrc",
    b"%2e%2e%2f",
    b"CON",
    b" ",
    b"%s%n",
];

/// Names from known attacks.
const KNOWN: [&[u8]; 24] = [
    b"",
    b".",
    b"..",
    b"/",
    b"../x",
    b"a/../../x",
    b"/tmp/x",
    b"a//b",
    b"a/./b",
    b"a/",
    b"./a",
    b"link/x",
    b"link",
    b"out-link/x",
    b"a\0b",
    b"..\\x",
    b"\xe2\x80\xaegnp.exe",
    b"name\nGot connection from 1.2.3.4",
    b"\x1b[31mred",
    b"a/\x1b]52;c;eA==\x07",
    b".name.part",
    b"deep/.hidden",
    b"fifo",
    b"file/below",
];

/// Returns a name, always the same for a number.
fn name(k: usize) -> Vec<u8> {
    if let Some(known) = KNOWN.get(k) {
        return known.to_vec();
    }
    if k % 50 == 0 {
        return vec![b'x'; 200 + k * 10];
    }
    if k % 50 == 1 {
        return b"d/".repeat(k);
    }
    let pieces = 1 + seeded_number(format!("{k} length"), 6);
    let piece = |at| PIECES[seeded_number(format!("{k} {at}"), PIECES.len())];
    (0..pieces).flat_map(|at| piece(at).iter().copied()).collect()
}

/// Returns all paths below a directory, without following links.
fn paths(directory: &Path, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path().into_os_string().into_string().expect("a name is UTF-8");
        if entry.file_type().unwrap().is_dir() {
            paths(&entry.path(), into);
        }
        into.insert(path);
    }
}

/// Returns whether a character controls a terminal or changes how text is displayed.
fn is_raw(text: &str) -> Option<char> {
    text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    })
}

#[test]
fn hostile_names_stay_inside_and_escaped() {
    let around = directory();
    let out = around.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::create_dir(around.path().join("secret")).unwrap();
    symlink(around.path().join("secret"), out.join("link")).unwrap();
    symlink("..", out.join("out-link")).unwrap();
    fs::write(out.join("file"), "mine").unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(out.join("fifo")).status().unwrap();
    assert!(fifo.success());
    let mut before = BTreeSet::new();
    paths(around.path(), &mut before);
    let flags = ["--scenario", "file", "-v", "--out", out.to_str().unwrap()];
    let plain = Program::server(&flags);
    let json = Program::server(&[&flags[..], &["--json"]].concat());

    let (mut stored, mut refused) = (0, 0);
    for k in 0..NAMES {
        let name = name(k);
        // The bytes are the same whenever a name is drawn again.
        let file = seeded_bytes(&name, 10);
        let server = if k % 2 == 0 { &plain } else { &json };
        let mut client = FramedClient::open(connect(server.endpoint()));
        let is_directory = k % 7 == 6;
        let size = Some(if is_directory { 0 } else { file.len() as u64 });
        client.send_frames(&[Frame::Offer(Offer { is_directory, ..offer(&name, size) })]).unwrap();
        let said = match client.recv() {
            FramedReply::ResumeAt(held, _) => {
                client.send_chunks(&file, held, 1).unwrap();
                client.send_frames(&[crate::support::framed_client::end_frame(&file)]).unwrap();
                client.recv()
            }
            reply => reply,
        };
        match said {
            FramedReply::Stored(_, given) => {
                stored += 1;
                assert_eq!(given.as_bytes(), name, "{k}");
                assert_eq!(is_raw(&given), None, "{given:?}");
            }
            FramedReply::Failed(_, why) => {
                refused += 1;
                assert_eq!(is_raw(&why), None, "{why:?}");
            }
            reply => panic!("{k} {:?}: {reply:?}", String::from_utf8_lossy(&name)),
        }
    }
    println!("{stored} stored, {refused} refused");
    assert!(stored > 10 && refused > NAMES / 2, "{stored} stored, {refused} refused");

    let mut after = BTreeSet::new();
    paths(around.path(), &mut after);
    let inside = format!("{}/", out.display());
    for path in after.difference(&before) {
        assert!(path.starts_with(&inside), "{path:?} is outside");
        assert_eq!(is_raw(path), None, "{path:?}");
        let hidden = path[inside.len()..].split('/').any(|part| part.starts_with('.'));
        assert!(!hidden, "{path:?} is hidden");
    }
    assert!(before.is_subset(&after), "something is gone");
    assert_eq!(fs::read(out.join("file")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(around.path().join("secret")).unwrap().count(), 0);
    for server in [plain, json] {
        server.terminate();
        let ended = server.wait();
        for sink in [&ended.stdout, &ended.stderr] {
            let text = std::str::from_utf8(sink).expect("the output is UTF-8");
            assert_eq!(is_raw(text), None, "{text:?}");
        }
        assert_eq!(ended.code, 0);
    }
}
