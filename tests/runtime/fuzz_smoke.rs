//! The bodies of the fuzz targets with seeded inputs, for users without a nightly compiler.
//!
//! Inputs are made of chat commands, of random bytes, and of each other. `SOCKACTORS_SEEDS` sets
//! their number. A run of more than a million prints its progress and its memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[path = "../../fuzz/bodies/client.rs"]
mod client;
#[path = "../../fuzz/bodies/file_client.rs"]
mod file_client;
#[path = "../../fuzz/bodies/file_session.rs"]
mod file_session;
#[path = "../../fuzz/bodies/frames.rs"]
mod frames;
#[path = "../../fuzz/bodies/lines.rs"]
mod lines;
#[path = "../../fuzz/bodies/session.rs"]
mod session;

/// Chat input, lines of a chat server, and the other operations of the session and client bodies.
const PIECES: [&[u8]; 52] = [
    b"y\xfb\x3f\ny\xfb\x3f\ny\xfb\x3f\ny\xfb\x3f\n",
    LONG_AGO,
    b"hello\n",
    b"\n",
    b"\r\n",
    b"/nick bob\n",
    b"/nick ada\n",
    b"/nick b\x1bb\n",
    b"/join den\n",
    b"/join lobby\n",
    b"/leave\n",
    b"/msg ada psst\n",
    b"/msg bob me\n",
    b"/me waves\n",
    b"/who\n",
    b"/rooms\n",
    b"/topic\n",
    b"/topic tea\n",
    b"/topic \xe2\x80\xae\n",
    b"/history\n",
    b"/history 100\n",
    b"/time on\n",
    b"/ack off\n",
    b"/ack on\n",
    b"/help\n",
    b"/quit\n",
    WELCOME,
    TWO_WELCOMES,
    b"* you are now eve\n",
    b"* you left lobby; /join ROOM goes to another one\n",
    b"* you were kicked; good bye\n",
    b"* in lobby: ada, bob and 3 others\n",
    b"[15:04] ada: hello\n",
    b"* receipts are off\n",
    b"Server received your message: /ack off",
    b"\xfc\x01",
    b"//\n",
    b"/",
    b"\xf8",
    b"\xf8",
    b"\xf9",
    b"\xfa\x01",
    b"\xfa\xff",
    b"\xfb\x02",
    b"\xfb\x41",
    b"\xfc",
    b"\xfd",
    b"\xfe",
    b"\xff\xff",
    b"\x1b[2J",
    b"\xc3",
    b"\xf0\x9f\xa6\x80",
];

/// The notice that admits a client.
const WELCOME: &[u8] = b"* you are ada in lobby, with 2 others; /help lists the commands\n";

/// Two of them, with the reply to the request that the first one causes.
const TWO_WELCOMES: &[u8] = b"* you are ada in lobby, with 2 others; /help lists the commands\n\
    * in lobby: ada, bob and 3 others\n\
    * you are ada in den, with 1 other; /help lists the commands\n";

/// The number of inputs that a thread takes at a time.
const BLOCK: u64 = 1000;

/// The number of floods among them.
const FLOODS: usize = 2;

/// More than a client should receive at once.
const LONG_AGO: &[u8] = &{
    let (line, mut lines) = (*b"/history 100\n", [0; 13 * 13]);
    let mut k = 0;
    while k < lines.len() {
        lines[k] = line[k % line.len()];
        k += 1;
    }
    lines
};

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Returns the input of a seed.
fn input(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut input = vec![rng.below(256) as u8, rng.below(256) as u8];
    // Most inputs are short, so that more of them fit the same time. The floods have the long ones.
    let is_long = rng.below(24) == 0;
    for _ in 0..if is_long { rng.below(25) } else { rng.below(7) } {
        match rng.below(5) {
            0 => (0..rng.below(9)).for_each(|_| input.push(rng.below(256) as u8)),
            1 => {
                let from = rng.below(input.len());
                input.extend_from_within(from..);
            }
            _ if is_long => input.extend_from_slice(PIECES[rng.below(PIECES.len())]),
            _ => input.extend_from_slice(PIECES[FLOODS + rng.below(PIECES.len() - FLOODS)]),
        }
        input.truncate(4096);
    }
    input
}

/// Checks many inputs on `SOCKACTORS_THREADS` threads (default 1), and names a failed one.
fn all(seeds: u64, check: impl Fn(&[u8]) + Sync) {
    all_inputs(seeds, input, check);
}

/// Checks the inputs that `input` makes of the seeds.
fn all_inputs(seeds: u64, input: fn(u64) -> Vec<u8>, check: impl Fn(&[u8]) + Sync) {
    struct Named(u64, fn(u64) -> Vec<u8>);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input of seed {} failed: {:?}", self.0, self.1(self.0));
            }
        }
    }
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seeds, threads) = (number("SOCKACTORS_SEEDS", seeds), number("SOCKACTORS_THREADS", 1));
    let (begun, next, done) = (Instant::now(), AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let first = next.fetch_add(BLOCK, Ordering::Relaxed);
            let block = first..seeds.min(first + BLOCK);
            if block.is_empty() {
                return;
            }
            for seed in block.clone() {
                let _named = Named(seed, input);
                check(&input(seed));
            }
            let count = block.end - block.start;
            let done = done.fetch_add(count, Ordering::Relaxed) + count;
            if done % 1_000_000 < count {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let peak =
                    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
                eprintln!("{done} inputs in {:.0} s, {peak}", begun.elapsed().as_secs_f64());
            }
        }
    };
    std::thread::scope(|scope| {
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
}

#[test]
fn line_parser_ignores_input_splits() {
    all(200_000, lines::check);
}

#[test]
fn corrupt_frames_are_never_accepted() {
    all(200_000, frames::check);
}

#[test]
fn session_survives_any_bytes() {
    all(12_000, session::check);
}

/// Returns the input of a seed for the file session: actions with random arguments, among them
/// whole uploads.
fn file_session_input(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut input = vec![rng.below(256) as u8, rng.below(256) as u8];
    for _ in 0..rng.below(12) {
        let peer = 128 * rng.below(2) as u8;
        match rng.below(3) {
            0 => input.extend([peer | rng.below(128) as u8, rng.below(256) as u8]),
            1 => {
                let size_and_name = rng.below(256) as u8;
                input.extend([peer, size_and_name, peer | 11, peer | 3, 255]);
                (0..rng.below(5)).for_each(|_| input.push(peer | 4));
                input.extend([peer | 6, peer | 11]);
            }
            _ => input.push(peer | (11 + rng.below(3) as u8)),
        }
    }
    input
}

#[test]
fn file_server_survives_any_session() {
    for seed in ["stored_twice", "taken_over", "raw"] {
        let path = format!("{}/fuzz/seeds/file_session/{seed}", env!("CARGO_MANIFEST_DIR"));
        file_session::check(&std::fs::read(path).unwrap());
    }
    all_inputs(2_000, file_session_input, file_session::check);
}

#[test]
fn client_survives_any_server() {
    all(12_000, client::check);
}

/// Returns the input of a seed for the file client: actions of the server with random arguments,
/// among them those of an honest one.
fn file_client_input(seed: u64) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut input = vec![rng.below(256) as u8, rng.below(256) as u8];
    for _ in 0..rng.below(10) {
        match rng.below(4) {
            0 => input.push(rng.below(256) as u8),
            1 => input.extend([0, 2, 1, 5]),
            // The last answer, and the last reply, of an honest server are replaced.
            2 => input.extend([0, rng.below(256) as u8, 1, 5]),
            _ => input.extend([0, 3 | (16 * rng.below(4) as u8), 1, rng.below(256) as u8]),
        }
    }
    input
}

#[test]
fn file_client_survives_any_server() {
    all_inputs(2_000, file_client_input, file_client::check);
}
