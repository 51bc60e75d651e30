//! The raw file server through the built program: a client's bytes until it closes are a file.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use crate::support::chat_client::connect;
use crate::support::files::{SmallDisk, names, server};
use crate::support::peers::{Family, Peer, PeerAddress};
use crate::support::{Program, directory, sockactors};
use rustix::net::sockopt::set_socket_linger;

/// Sends bytes, closes, and waits until the server reports the file.
#[track_caller]
fn send(server: &Program, bytes: &[u8], name: &str) {
    connect(server.endpoint()).write_all(bytes).unwrap();
    server.wait_for_line(|line| line == stored(name));
}

/// Returns the server's line for a stored file.
fn stored(name: &str) -> String {
    format!("Received successfully! New filename is: {name}")
}

/// Every byte value, not valid UTF-8.
fn binary() -> Vec<u8> {
    (0..300_000u32).map(|i| (i ^ (i >> 8)) as u8).collect()
}

/// Sends a file from every installed peer to our server, over one family.
fn our_server_stores_what_every_peer_sends(family: Family) {
    let directory = directory();
    let Some(listen) = family.listen(directory.path()) else { return };
    let (out, source) = (directory.path().join("out"), directory.path().join("source"));
    fs::create_dir(&out).unwrap();
    fs::write(&source, binary()).unwrap();
    let server = server(&out, &["--listen", &listen]);
    let at = PeerAddress::parse(server.endpoint());
    for (k, peer) in Peer::all().into_iter().enumerate() {
        let mut client = Program::start(&mut peer.sender("file", &at));
        if peer == Peer::Python {
            client.write(format!("no such file\n{}\n", source.display()));
        } else {
            client.write(binary());
        }
        let ended = client.wait().with_code(0);
        assert_eq!(ended.out().contains("invalid filename"), peer == Peer::Python, "{ended:?}");
        let name = format!("output{k}.txt");
        server.wait_for_line(|line| line == stored(&name));
        assert!(fs::read(out.join(name)).unwrap() == binary(), "{peer:?}");
    }
    server.terminate();
    let ended = server.wait().with_code(0);
    let connected =
        ended.lines().iter().filter(|line| line.starts_with("Connected with client ")).count();
    assert_eq!(connected, Peer::all().len(), "{ended:?}");
    assert_eq!(names(&out).len(), Peer::all().len(), "nothing but the files is left");
}

#[test]
fn server_stores_uploads_of_every_peer_over_ipv4() {
    our_server_stores_what_every_peer_sends(Family::V4);
}

#[test]
fn server_stores_uploads_of_every_peer_over_ipv6() {
    our_server_stores_what_every_peer_sends(Family::V6);
}

#[test]
fn server_stores_uploads_of_every_peer_over_unix() {
    our_server_stores_what_every_peer_sends(Family::Unix);
}

#[test]
fn empty_upload_creates_no_file() {
    let out = directory();
    let server = server(out.path(), &[]);
    for _ in 0..3 {
        let mut silent = connect(server.endpoint());
        silent.shutdown(std::net::Shutdown::Write).unwrap();
        // The server closes when it has finished with this client. It never sends data.
        assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0);
    }
    send(&server, b"one byte more", "output0.txt");
    assert_eq!(names(out.path()), ["output0.txt"]);
}

#[test]
fn files_are_numbered_from_zero() {
    let out = directory();
    let server = server(out.path(), &[]);
    for k in 0..3 {
        send(&server, &[k], &format!("output{k}.txt"));
    }
    assert_eq!(names(out.path()), ["output0.txt", "output1.txt", "output2.txt"]);
    assert_eq!(fs::read(out.path().join("output2.txt")).unwrap(), [2]);
}

#[test]
fn existing_file_is_never_overwritten() {
    let out = directory();
    fs::write(out.path().join("output0.txt"), "precious").unwrap();
    fs::write(out.path().join("output2.txt"), "precious too").unwrap();
    let server = server(out.path(), &[]);
    send(&server, b"first", "output1.txt");
    send(&server, b"second", "output3.txt");
    let content = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(content("output0.txt"), "precious");
    assert_eq!(content("output1.txt"), "first");
    assert_eq!(content("output2.txt"), "precious too");
    assert_eq!(content("output3.txt"), "second");
}

#[test]
fn clients_are_served_concurrently() {
    let out = directory();
    let server = server(out.path(), &["--clients", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| connect(server.endpoint())).collect();
    for round in 0..10u8 {
        for client in &mut clients {
            client.write_all(&[round; 1000]).unwrap();
        }
    }
    drop(clients);
    server.wait().with_code(0);
    let expected: Vec<u8> = (0..10u8).flat_map(|round| [round; 1000]).collect();
    assert_eq!(names(out.path()), ["output0.txt", "output1.txt", "output2.txt"]);
    for name in names(out.path()) {
        assert!(fs::read(out.path().join(&name)).unwrap() == expected, "{name}");
    }
}

#[test]
fn default_output_is_working_directory() {
    let directory = directory();
    let mut command = Command::new(crate::support::BINARY);
    command.args(["--scenario", "file", "--listen", "127.0.0.1:0"]).current_dir(directory.path());
    let server = Program::start(&mut command).listening();
    send(&server, b"here", "output0.txt");
    assert_eq!(fs::read(directory.path().join("output0.txt")).unwrap(), b"here");
}

#[test]
fn a_client_that_resets_leaves_the_server_serving() {
    let out = directory();
    let server = server(out.path(), &[]);
    let mut rude = connect(server.endpoint());
    rude.write_all(b"half a fi").unwrap();
    server.wait_for_line(|line| line.starts_with("Connected with client "));
    set_socket_linger(&rude, Some(std::time::Duration::ZERO)).unwrap();
    drop(rude);
    connect(server.endpoint()).write_all(b"whole").unwrap();
    let line = server.wait_for_line(|line| line.starts_with("Received successfully!"));
    let name = line.rsplit(' ').next().unwrap();
    assert_eq!(fs::read(out.path().join(name)).unwrap(), b"whole");
}

#[test]
fn oversized_upload_is_reported_and_removed() {
    let out = directory();
    let server = server(out.path(), &["--max-size", "1KiB"]);
    let mut large = connect(server.endpoint());
    large.write_all(&[7; 512]).unwrap();
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while names(out.path()) != [".output0.txt.part"] {
        assert!(std::time::Instant::now() < deadline, "the upload never began");
    }
    // The server may close before it has read everything.
    let _ = large.write_all(&[7; 100 << 10]);
    server.wait_for_error_line(|line| line.contains("exceeds the size limit of 1 KiB"));
    // The data is removed before the rejection is reported.
    send(&server, b"small", "output1.txt");
    assert_eq!(names(out.path()), ["output1.txt"]);
}

#[test]
fn missing_output_directory_is_reported_at_start() {
    let args = ["--scenario", "file", "--listen", "127.0.0.1:0", "--out", "/no/such/directory"];
    let ended = sockactors(&args, "").with_stderr("/no/such/directory");
    assert!(ended.code != 0 && !ended.err().contains("panicked"), "{ended:?}");
    assert!(
        !ended.err().contains("listening on"),
        "it took clients that it could not serve\n{ended:?}"
    );
}

#[test]
fn output_directory_that_is_file_is_reported_at_start() {
    let directory = directory();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let args = ["--scenario", "file", "--listen", "127.0.0.1:0", "--out", file];
    let ended = sockactors(&args, "").with_stderr(file);
    assert!(ended.code != 0 && !ended.err().contains("panicked"), "{ended:?}");
}

#[test]
fn full_disk_disconnects_client_and_server_continues() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let server = server(disk.path(), &["--keep-free", "0B"]);
    let mut greedy = connect(server.endpoint());
    let flood = (0..100).try_for_each(|_| greedy.write_all(&[7; 64 * 1024]));
    let mut answer = Vec::new();
    let cut = flood.is_err() || greedy.read_to_end(&mut answer).is_err();
    assert!(cut || answer.is_empty(), "the server never speaks on a raw stream");
    drop(greedy);
    // Its remaining data would keep the disk full.
    connect(server.endpoint()).write_all(b"a small one").unwrap();
    let line = server.wait_for_line(|line| line.starts_with("Received successfully!"));
    let name = line.rsplit(' ').next().unwrap();
    assert_eq!(fs::read(disk.path().join(name)).unwrap(), b"a small one");
    let output =
        String::from_utf8([server.stdout(), server.stderr()].concat()).unwrap().to_lowercase();
    assert!(["no space", "disk", "full"].iter().any(|word| output.contains(word)), "{output}");
    server.terminate();
    server.wait();
}

#[test]
fn full_disk_does_not_set_exit_code() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    let server = server(disk.path(), &["--keep-free", "0B", "--clients", "1"]);
    let mut greedy = connect(server.endpoint());
    let _ = (0..100).try_for_each(|_| greedy.write_all(&[7; 64 * 1024]));
    drop(greedy);
    server.wait().with_code(0).with_stderr("disk");
}

#[test]
fn keep_free_rejects_uploads() {
    let Some(disk) = SmallDisk::mount("size=1m") else { return };
    // The default keeps 64 MiB free, and this disk has one.
    let server = server(disk.path(), &[]);
    let mut client = connect(server.endpoint());
    let _ = client.write_all(&[7; 64 * 1024]);
    let _ = client.read_to_end(&mut Vec::new());
    assert_eq!(names(disk.path()), [""; 0]);
    server.terminate();
    server.wait();
}
