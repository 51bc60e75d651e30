//! The output of the file client and the file server.

use std::fs;

use crate::support::files::distinct_chunks;
use crate::support::framed_server::{ScriptedServer, ServerFiles, accept_all, script};
use crate::support::{DEADLINE, Program, ProgramOutput, directory, sockactors};
use sockactors::wire::file::CHUNK_SIZE;

fn send(at: &str, args: &[&str]) -> ProgramOutput {
    sockactors(&[&["--scenario", "file", "--connect", at], args].concat(), "")
}

fn server(out: &str, args: &[&str]) -> Program {
    Program::server(&[&["--scenario", "file", "--out", out], args].concat())
}

#[test]
fn client_output_fits_80_columns() {
    let (from, to) = (directory(), directory());
    let tree = from.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..150 {
        fs::write(tree.join(format!("{number:03}")), vec![b'x'; 5690]).unwrap();
    }
    let server = server(to.path().to_str().unwrap(), &[]);
    let ended = send(server.endpoint(), &[tree.to_str().unwrap()]).with_code(0);
    let lines = ended.lines();
    assert_eq!(lines.len(), 151, "{ended:?}");
    assert!(lines[..150].iter().all(|line| line.starts_with("Sent ") && line.contains("5.55 KiB")));
    assert!(lines[150].starts_with("150 files, 833 KiB in "), "{:?}", lines[150]);
    assert!(lines.iter().all(|line| line.len() <= 80), "{ended:?}");
    let digest = blake3::hash(&vec![b'x'; 5690]).to_string();
    assert!(!(ended.out() + &ended.err()).contains(&digest), "{ended:?}");
}

#[test]
fn verbose_client_logs_digest() {
    let (from, to) = (directory(), directory());
    let one = from.path().join("one");
    fs::write(&one, "one").unwrap();
    let server = server(to.path().to_str().unwrap(), &[]);
    let ended = send(server.endpoint(), &["-v", one.to_str().unwrap()]).with_code(0);
    let digest = blake3::hash(b"one").to_string();
    assert!(ended.err().contains(&format!("one: BLAKE3 {digest}")), "{ended:?}");
    assert_eq!(ended.lines().len(), 1, "{ended:?}");
}

#[test]
fn repeated_file_is_reported_as_already_there() {
    let (from, to) = (directory(), directory());
    let one = from.path().join("one");
    fs::write(&one, "one").unwrap();
    let (out, path) = (to.path().to_str().unwrap(), one.to_str().unwrap());
    let server = server(out, &[]);
    let ended = send(server.endpoint(), &[path]).with_code(0);
    assert!(ended.out().starts_with("Sent "), "{ended:?}");
    server.wait_for_line(|line| line == "Received successfully! New filename is: one");
    server.wait_for_line(|line| {
        line.starts_with("one: 3 B in ") && line.contains("s from 127.0.0.1:")
    });
    let ended = send(server.endpoint(), &[path]).with_code(0);
    assert_eq!(ended.lines(), [format!("{path}: already there, not sent again")]);
    fs::write(&one, "other").unwrap();
    let ended = send(server.endpoint(), &[path]).with_code(1);
    assert!(ended.err().contains("--on-conflict"), "{ended:?}");
}

#[test]
fn resumed_file_names_its_start() {
    let from = directory();
    let one = from.path().join("one");
    let bytes = distinct_chunks(48 * CHUNK_SIZE);
    fs::write(&one, &bytes).unwrap();
    let held = [("one".to_owned(), bytes[..32 * CHUNK_SIZE].to_vec())].into();
    let store = ServerFiles { files: held, ..ServerFiles::default() };
    let stub = ScriptedServer::new(store, vec![accept_all()]);
    let ended = send(&stub.address, &[one.to_str().unwrap()]).with_code(0);
    assert!(ended.out().contains(": 3 MiB in ") && ended.out().contains(", resumed at 2 MiB"));
    assert_eq!(stub.join().resume_points, [32]);
}

#[test]
fn interrupted_client_tells_how_to_continue() {
    let from = directory();
    let one = from.path().join("one");
    fs::write(&one, distinct_chunks(64 * CHUNK_SIZE)).unwrap();
    let (sender, started) = std::sync::mpsc::channel();
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let stub = ScriptedServer::new(
        ServerFiles::default(),
        vec![script(move |talk, store| {
            let mut talk = talk.handshake();
            let mut reads = 0;
            talk.before_read = Some(Box::new(move || {
                reads += 1;
                // The offer has been read. The client waits for the end of the file.
                if reads == 3 {
                    sender.send(()).unwrap();
                    let _ = finished.recv_timeout(DEADLINE);
                }
            }));
            talk.serve(store);
        })],
    );
    let path = one.to_str().unwrap();
    let client = Program::run(&["--scenario", "file", "--connect", &stub.address, path]);
    started.recv_timeout(DEADLINE).unwrap();
    client.interrupt();
    let ended = client.wait_while_stdin_is_open(DEADLINE).with_code(130);
    assert!(ended.err().contains("one is not stored; send it again to continue"), "{ended:?}");
    drop(finish);
}
