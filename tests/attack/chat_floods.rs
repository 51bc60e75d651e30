//! Floods of a chat server, and what a source may do in all its sessions together.

use std::io::Write;

use crate::support::Program;
use crate::support::chat_client::LineClient;

#[test]
fn pipelined_history_requests_reach_quit() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut ada = LineClient::joined(server.endpoint());
    ada.send("/ack off");
    for _ in 0..100 {
        ada.send("x".repeat(1000));
    }
    ada.send("/who");
    ada.wait_for(|line| line.starts_with("* in lobby"));
    // Each reply has 32 KiB, so the third one exceeds the 64 KiB that may be pending.
    let mut eve = LineClient::connect(server.endpoint());
    let history = "/history 100\n".repeat(3);
    eve.stream.write_all(format!("/ack off\n{history}/quit\n").as_bytes()).unwrap();
    // The end of the stream, not the timeout of a read.
    while eve.next_line().expect("the session handles /quit").is_some() {}
    assert_eq!(eve.count("lines:"), 3, "{}", eve.received());
}
