//! The framed file client with hostile servers, in virtual time.

use std::fs;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::actors::{FramedSender, Reporter};
use sockactors::net::Stream;
use sockactors::runtime::{Child, Clock, Context, Lifecycle, Outcome, Strategy, Supervisor};
use sockactors::testing::Simulation;
use sockactors::wire::file::digest::hash_chunk_list;
use sockactors::wire::file::{Frame, FrameReader, FrameWriter, Stored, server_hello};

/// The `--timeout` of the client.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The bound for all `wait` frames before a reply.
const MAX_REPLY_TIME: Duration = Duration::from_secs(15 * 60);

/// The server's side of a connection in memory.
struct Server {
    stream: Stream,
    clock: Clock,
    writer: FrameWriter,
    reader: FrameReader,
}

impl Server {
    /// Returns frames as bytes.
    fn encode(&mut self, frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| self.writer.write(frame, &mut bytes));
        bytes
    }

    /// Sends frames. Returns `false` after the client has closed the connection.
    async fn send(&mut self, frames: &[Frame<'_>]) -> bool {
        let bytes = self.encode(frames);
        self.stream.write_all(&bytes).await.is_ok()
    }

    /// Reads frames up to the one that `is_last` accepts.
    async fn recv(&mut self, is_last: impl Fn(&Frame<'_>) -> bool) {
        let mut bytes = [0; 4096];
        loop {
            while let Some(frame) = self.reader.next_frame().unwrap() {
                if is_last(&frame) {
                    return;
                }
            }
            match self.stream.read(&mut bytes).await {
                Ok(length @ 1..) => self.reader.push(&bytes[..length]),
                _ => return,
            }
        }
    }

    /// Accepts the offered file, and reads it to its end.
    async fn accept_file(&mut self) {
        self.recv(|frame| matches!(frame, Frame::Offer(_))).await;
        let chunk_list_hash = hash_chunk_list(&[]);
        self.send(&[Frame::Answer { chunk_count: 0, chunk_list_hash }]).await;
        self.recv(|frame| matches!(frame, Frame::End { .. })).await;
    }
}

/// Sends the files `a` and `b` to a server without reconnecting. Returns the client's error, and
/// the virtual time until it closed the connection.
fn run_client<F, Fut>(serve: F) -> (String, Duration)
where
    F: FnOnce(Server) -> Fut + Send + 'static,
    Fut: Future<Output = Server> + Send,
{
    let directory = tempfile::tempdir().unwrap();
    let files = ["a", "b"].map(|name| directory.path().join(name));
    files.iter().for_each(|file| fs::write(file, "text").unwrap());
    let (ours, theirs) = Stream::duplex(64 << 10);
    let (once, elapsed) = (Mutex::new(Some((serve, theirs))), Arc::new(Mutex::new(TIMEOUT)));
    let measured = elapsed.clone();
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let server = move || {
        let (serve, stream) = once.lock().unwrap().take().expect("it is started once");
        let measured = measured.clone();
        async move |ctx: Context<()>| -> Outcome {
            let start = ctx.now();
            let (clock, reader) = (ctx.clock().clone(), FrameReader::default());
            stream.read(&mut [0; 10]).await?;
            stream.write_all(&server_hello(1)).await?;
            let server = Server { stream, clock, writer: FrameWriter::default(), reader };
            let server = serve(server).await;
            while let Ok(1..) = server.stream.read(&mut [0; 4096]).await {}
            *measured.lock().unwrap() = ctx.now() - start;
            // Let the client end first.
            ctx.sleep(Duration::from_secs(1)).await;
            Ok(())
        }
    };
    tree.child(Child::new("server", server).temporary().significant());
    let ours = Mutex::new(Some(ours));
    let client = move || {
        let stream = ours.lock().unwrap().take().expect("it is started once");
        let endpoint = "127.0.0.1:1".parse().unwrap();
        FramedSender::new(endpoint, files.to_vec(), TIMEOUT, Reporter::disabled())
            .resume(false)
            .streams(vec![stream])
    };
    tree.child(Child::new("client", client).temporary());
    let error = Arc::new(Mutex::new(String::new()));
    let seen = error.clone();
    let observe = move |event: &Lifecycle| match event {
        Lifecycle::Exited { path, exit, .. } if path.name() == "client" => {
            *seen.lock().unwrap() = exit.error().map(ToString::to_string).unwrap_or_default();
        }
        _ => {}
    };
    Simulation::new(1).observe(observe).run(tree).unwrap();
    let (error, elapsed) = (error.lock().unwrap().clone(), *elapsed.lock().unwrap());
    (error, elapsed)
}

#[test]
fn endless_wait_frames_end_after_15_minutes() {
    let (error, elapsed) = run_client(|mut server| async {
        server.accept_file().await;
        while server.send(&[Frame::Wait]).await {
            server.clock.sleep(Duration::from_secs(1)).await;
        }
        server
    });
    assert!(error.contains("still works on the file after 900s"), "{error:?}");
    assert!(elapsed >= MAX_REPLY_TIME, "{elapsed:?}");
    assert!(elapsed < MAX_REPLY_TIME + Duration::from_secs(3), "{elapsed:?}");
}

#[test]
fn wait_frames_extend_timeout_of_slow_server() {
    let (error, elapsed) = run_client(|mut server| async {
        for name in ["a", "b"] {
            server.accept_file().await;
            for _ in 0..100 {
                server.clock.sleep(Duration::from_secs(8)).await;
                server.send(&[Frame::Wait]).await;
            }
            let digest = blake3::hash(b"text").into();
            server.send(&[Frame::Stored(Stored { size: 4, digest, name })]).await;
        }
        server
    });
    assert_eq!(error, "");
    assert!(elapsed >= Duration::from_secs(1600), "{elapsed:?}");
}

#[test]
fn flood_of_wait_frames_is_protocol_error() {
    let (error, elapsed) = run_client(|mut server| async {
        server.accept_file().await;
        while server.send(&[const { Frame::Wait }; 100]).await {}
        server
    });
    assert!(error.contains("unexpected reply"), "{error:?}");
    assert!(elapsed < TIMEOUT, "{elapsed:?}");
}

#[test]
fn bytes_of_partial_frame_do_not_extend_timeout() {
    let (error, elapsed) = run_client(|mut server| async {
        server.accept_file().await;
        for byte in server.encode(&[Frame::Wait]) {
            server.clock.sleep(TIMEOUT - Duration::from_secs(1)).await;
            if server.stream.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        server
    });
    assert!(error.contains("no reply"), "{error:?}");
    assert!(elapsed < TIMEOUT * 2, "{elapsed:?}");
}

#[test]
fn surplus_reply_is_protocol_error() {
    let (error, _) = run_client(|mut server| async {
        server.accept_file().await;
        let digest = blake3::hash(b"text").into();
        let stored = Frame::Stored(Stored { size: 4, digest, name: "a" });
        server.send(&[stored.clone(), stored]).await;
        server
    });
    assert!(error.contains("unexpected reply"), "{error:?}");
}

#[test]
fn long_frame_is_rejected_at_its_header() {
    let (error, _) = run_client(|mut server| async {
        server.recv(|frame| matches!(frame, Frame::Offer(_))).await;
        let data = Frame::Data { number: 0, hash: [0; 32], bytes: &[b'x'; 100] };
        let bytes = server.encode(&[data]);
        // The rest of the frame never comes.
        let _ = server.stream.write_all(&bytes[..5]).await;
        server
    });
    assert!(error.contains("data"), "{error:?}");
}
