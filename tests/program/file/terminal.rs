//! A server at a terminal shows the progress of uploads.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::support::directory;
use crate::support::framed_client::{FramedClient, FramedReply, end_frame};
use crate::support::terminal::Terminal;
use crate::support::uploads::seeded_bytes;
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame};

/// The number of chunks of a file, more than arrive before its bar is shown.
const CHUNKS: u64 = 2000;

/// Starts a server at a terminal.
fn server(out: &str) -> Option<(Terminal, SocketAddr)> {
    let listen = ["--listen", "127.0.0.1:0"];
    let terminal = Terminal::run(&[&["--scenario", "file", "--out", out], &listen[..]].concat())?;
    let endpoint = |screen: &str| {
        let (_, rest) = screen.split_once("127.0.0.1:")?;
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        format!("127.0.0.1:{port}").parse().ok()
    };
    let screen = terminal.wait_for("an endpoint", |screen| endpoint(screen).is_some());
    Some((terminal, endpoint(&screen).unwrap()))
}

fn has_bar(screen: &str, name: &str) -> bool {
    screen.lines().any(|line| line.starts_with(name) && line.trim_end().ends_with('s'))
}

#[test]
fn framed_upload_shows_progress_bar() {
    let out = directory();
    let Some((terminal, at)) = server(out.path().to_str().unwrap()) else { return };
    let file = seeded_bytes("bar", CHUNK_SIZE);
    let whole = file.repeat(CHUNKS as usize);
    let mut peer = FramedClient::open(TcpStream::connect(at).unwrap());
    assert!(matches!(peer.send_offer("a\u{1b}[2Jb", Some(1)), FramedReply::Failed(..)));
    let size = Some(whole.len() as u64);
    assert!(matches!(peer.send_offer("large.img", size), FramedReply::ResumeAt(..)));
    peer.send_frames(&[Frame::Begin(0)]).unwrap();
    let mut seen = None;
    for number in 0..CHUNKS {
        let chunk = Frame::Data { number, hash: hash_chunk(number, &file), bytes: &file };
        peer.send_frames(&[chunk]).unwrap();
        let is_seen = || has_bar(&terminal.screen(), "large.img");
        if seen.is_none() && is_seen() {
            seen = Some(number);
            assert!(terminal.screen().contains("of   125 MiB"), "{}", terminal.screen());
        }
    }
    assert!(seen.is_some(), "{}", terminal.screen());
    peer.send_frames(&[end_frame(&whole)]).unwrap();
    assert!(matches!(peer.recv(), FramedReply::Stored(..)));
    terminal.wait_for("the end of the bar", |screen| {
        screen.contains("large.img") && !has_bar(screen, "large.img")
    });
}

#[test]
fn raw_upload_shows_progress_bar() {
    let out = directory();
    let Some((terminal, at)) = server(out.path().to_str().unwrap()) else { return };
    let piece = seeded_bytes("bar", CHUNK_SIZE);
    let mut peer = TcpStream::connect(at).unwrap();
    let sent = (0..CHUNKS).find(|_| {
        peer.write_all(&piece).unwrap();
        has_bar(&terminal.screen(), "output0.txt")
    });
    assert!(sent.is_some(), "{}", terminal.screen());
    drop(peer);
    terminal.wait_for("the end of the bar", |screen| {
        screen.contains("New filename is: output0.txt") && !has_bar(screen, "output0.txt")
    });
}
