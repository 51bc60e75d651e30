//! Rejections of framed files, and their replies.

use std::fs;
use std::io::Write;
use std::net::Shutdown;

use crate::support::files::{distinct_chunks, open_framed, server, stored_reply};
use crate::support::framed_client::FramedReply;
use crate::support::{DEADLINE, directory};
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame};

#[test]
fn corrupt_upload_is_never_stored() {
    let out = directory();
    let server = server(out.path(), &[]);
    let file = distinct_chunks(3 * CHUNK_SIZE);
    let data = |number, value, bytes| Frame::Data { number, hash: value, bytes };
    let first = &file[..CHUNK_SIZE];
    let four = [&file[..], b"more"].concat();
    let beyond: Vec<_> = std::iter::once(Frame::Begin(0))
        .chain(
            (0..)
                .zip(four.chunks(CHUNK_SIZE))
                .map(|(k, chunk)| data(k, hash_chunk(k, chunk), chunk)),
        )
        .collect();
    let wrongs: [&[Frame<'_>]; 7] = [
        &[Frame::Begin(1)],
        &[Frame::Begin(0), data(0, [0; 32], first)],
        &[Frame::Begin(0), data(1, hash_chunk(1, first), first)],
        &[Frame::Begin(0), data(0, [0; 32], b"")],
        &[Frame::Begin(0), Frame::Begin(0)],
        &[Frame::Wait],
        &beyond,
    ];
    for wrong in wrongs {
        let mut client = open_framed(&server);
        client.send_offer("file", Some(file.len() as u64));
        client.send_frames(wrong).unwrap();
        assert!(matches!(client.recv(), FramedReply::Failed(1, _)), "{wrong:?}");
        assert_eq!(client.recv(), FramedReply::Closed);
    }
    // A wrong digest of the whole file, or a wrong size, leaves nothing of the file.
    for (size, digest) in [(file.len() as u64, [0; 32]), (5, blake3::hash(&file).into())] {
        let mut client = open_framed(&server);
        let said = client.send_offer("file", Some(file.len() as u64));
        assert!(matches!(said, FramedReply::ResumeAt(..)), "{said:?}");
        client.send_chunks(&file, 0, 3).unwrap();
        client.send_frames(&[Frame::End { size, digest }]).unwrap();
        assert!(matches!(client.recv(), FramedReply::Failed(7, _)));
        // The connection continues.
        assert!(matches!(client.send_offer("file", Some(1)), FramedReply::ResumeAt(0, _)));
        // The file belongs to this connection until the server has seen its end.
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.recv(), FramedReply::Closed);
    }
    let flipped = {
        let mut client = open_framed(&server);
        client.send_offer("file", Some(file.len() as u64));
        let mut bytes = Vec::new();
        client.frames.write(&Frame::Begin(0), &mut bytes);
        bytes[6] ^= 1;
        client.stream.write_all(&bytes).unwrap();
        client.recv()
    };
    assert!(matches!(flipped, FramedReply::Failed(1, _)));
    assert!(!out.path().join("file").exists());
}

#[test]
fn rejections_have_codes_and_connection_continues() {
    let out = directory();
    fs::write(out.path().join("mine"), "mine").unwrap();
    let server = server(out.path(), &["--max-size", "1KiB"]);
    let mut client = open_framed(&server);
    let code = |said| match said {
        FramedReply::Failed(code, why) => {
            assert!(!why.is_empty());
            code
        }
        reply => panic!("{reply:?}"),
    };
    assert_eq!(code(client.upload("../out", b"x")), 2);
    assert_eq!(code(client.upload(".hidden", b"x")), 2);
    assert_eq!(code(client.upload("mine", b"x")), 3);
    assert_eq!(code(client.upload("large", &distinct_chunks(1025))), 4);
    let mut other = open_framed(&server);
    assert!(matches!(other.send_offer("busy", Some(2)), FramedReply::ResumeAt(..)));
    other.send_chunks(b"x", 0, 1).unwrap();
    let deadline = std::time::Instant::now() + DEADLINE;
    while !out.path().join(".busy.part").exists() {
        assert!(std::time::Instant::now() < deadline, "the file does not begin");
    }
    assert_eq!(code(client.upload("busy", b"x")), 8);
    assert_eq!(client.upload("good", b"x"), stored_reply(1, "good"));
    let full = self::server(out.path(), &["--keep-free", "1048576TiB"]);
    assert_eq!(code(open_framed(&full).upload("more", b"x")), 5);
    let skips = self::server(out.path(), &["--on-conflict", "skip"]);
    assert_eq!(code(open_framed(&skips).upload("mine", b"x")), 11);
    let renames = self::server(out.path(), &["--on-conflict", "rename"]);
    assert_eq!(open_framed(&renames).upload("mine", b"x"), stored_reply(1, "mine-1"));
    let overwrites = self::server(out.path(), &["--on-conflict", "overwrite"]);
    assert_eq!(open_framed(&overwrites).upload("mine", b"x"), stored_reply(1, "mine"));
    assert_eq!(fs::read(out.path().join("mine")).unwrap(), b"x");
}
