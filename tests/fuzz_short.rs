//! The bodies of the fuzz targets on inputs from a seeded generator, for those without a nightly compiler.
//!
//! Inputs are made of pieces that mean something to a chat, of random bytes, and of one another. `SOCKACTORS_SEEDS`
//! sets how many there are of each.

#[path = "../fuzz/bodies/lines.rs"]
mod lines;
#[path = "../fuzz/bodies/session.rs"]
mod session;

/// What a chat client might say, and what a session's body does beside sending.
const PIECES: [&[u8]; 42] = [
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

/// More than anybody should be told at once.
const LONG_AGO: &[u8] = &{
    let (line, mut lines) = (*b"/history 100\n", [0; 13 * 13]);
    let mut k = 0;
    while k < lines.len() {
        lines[k] = line[k % line.len()];
        k += 1;
    }
    lines
};

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// Makes the input of a seed.
fn input(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut input = vec![dice.below(256) as u8, dice.below(256) as u8];
    for _ in 0..dice.below(25) {
        match dice.below(5) {
            0 => (0..dice.below(9)).for_each(|_| input.push(dice.below(256) as u8)),
            1 => {
                let from = dice.below(input.len());
                input.extend_from_within(from..);
            }
            _ => input.extend_from_slice(PIECES[dice.below(PIECES.len())]),
        }
        input.truncate(4096);
    }
    input
}

/// Checks many inputs, and names the one that failed.
fn all(seeds: u64, check: impl Fn(&[u8])) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input of seed {} failed: {:?}", self.0, input(self.0));
            }
        }
    }
    let seeds = std::env::var("SOCKACTORS_SEEDS").map_or(seeds, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let _named = Named(seed);
        check(&input(seed));
    }
}

#[test]
fn any_bytes_are_the_same_lines_however_they_are_cut() {
    all(50_000, lines::check);
}

#[test]
fn a_session_bears_any_bytes_and_nobody_else_notices() {
    all(3_000, session::check);
}
