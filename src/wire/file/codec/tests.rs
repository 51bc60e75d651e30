//! Frames: round trips, and whatever may happen to their bytes on the way.

use crate::wire::file::codec::*;
use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Owned> {
    let digest = any::<[u8; 32]>();
    prop_oneof![
        (any::<bool>(), any::<Option<u64>>(), any::<u32>(), any::<(i64, u32)>(), "[^/]{0,40}")
            .prop_map(|(is_directory, size, mode, modified, name)| {
                let size = size.filter(|size| *size != u64::MAX);
                Owned::Offer(is_directory, size, mode, modified, name.into_bytes())
            }),
        (any::<u64>(), digest).prop_map(|(held, digest)| Owned::Answer(held, digest)),
        any::<u64>().prop_map(Owned::Begin),
        (any::<u64>(), digest, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(number, value, bytes)| Owned::Data(number, value, bytes)),
        (any::<u64>(), digest).prop_map(|(size, digest)| Owned::End(size, digest)),
        (any::<u64>(), digest, "\\PC{0,40}").prop_map(|(s, d, name)| Owned::Stored(s, d, name)),
        (any::<u16>(), "\\PC{0,40}").prop_map(|(code, why)| Owned::Failed(code, why)),
        Just(Owned::Wait),
    ]
}

/// A frame that borrows nothing.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Offer(bool, Option<u64>, u32, (i64, u32), Vec<u8>),
    Answer(u64, [u8; 32]),
    Begin(u64),
    Data(u64, [u8; 32], Vec<u8>),
    End(u64, [u8; 32]),
    Stored(u64, [u8; 32], String),
    Failed(u16, String),
    Wait,
}

impl Owned {
    fn borrowed(&self) -> Frame<'_> {
        match self {
            Owned::Offer(is_directory, size, mode, modified, name) => Frame::Offer(Offer {
                is_directory: *is_directory,
                size: *size,
                mode: *mode,
                modified: *modified,
                name,
            }),
            Owned::Answer(held, digest) => Frame::Answer { held: *held, digest: *digest },
            Owned::Begin(number) => Frame::Begin(*number),
            Owned::Data(number, value, bytes) => {
                Frame::Data { number: *number, value: *value, bytes }
            }
            Owned::End(size, digest) => Frame::End { size: *size, digest: *digest },
            Owned::Stored(size, digest, name) => {
                Frame::Stored(Stored { size: *size, digest: *digest, name })
            }
            Owned::Failed(code, why) => Frame::Failed(Failed { code: *code, why }),
            Owned::Wait => Frame::Wait,
        }
    }
}

/// Writes frames; returns the bytes of each.
fn written(frames: &[Owned]) -> Vec<Vec<u8>> {
    let mut writer = FrameWriter::default();
    frames
        .iter()
        .map(|frame| {
            let mut bytes = Vec::new();
            writer.write(&frame.borrowed(), &mut bytes);
            bytes
        })
        .collect()
}

/// Reads bytes in pieces of this length: the frames until an error, and whether all of them was read.
fn read(bytes: &[u8], piece: usize, frames: &[Owned]) -> (usize, Result<(), FrameError>, bool) {
    let mut reader = FrameReader::default();
    let mut count = 0;
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    assert_eq!(frame, frames[count].borrowed(), "frame {count}");
                    count += 1;
                }
                Ok(None) => break,
                Err(error) => return (count, Err(error), false),
            }
        }
    }
    (count, Ok(()), !reader.is_within())
}

#[test]
fn a_beginning_is_told_at_its_first_wrong_byte() {
    let hello = hello();
    for length in 0..hello.len() {
        assert_eq!(beginning(&hello[..length]), Beginning::Wait, "{length}");
    }
    assert_eq!(beginning(&hello), Beginning::Framed(10, VERSION));
    for length in 1..=8 {
        let mut wrong = hello[..length].to_vec();
        wrong[length - 1] ^= 1;
        assert_eq!(beginning(&wrong), Beginning::Raw);
    }
    let newer = [&SIGNATURE[..], &[VERSION + 1, VERSION + 3]].concat();
    assert_eq!(beginning(&newer), Beginning::Framed(10, 0));
    let wider = [&SIGNATURE[..], &[0, 255, 7]].concat();
    assert_eq!(beginning(&wider), Beginning::Framed(10, VERSION));
}

#[test]
fn a_welcome_names_the_version() {
    assert_eq!(welcomed(&welcome(VERSION)), Ok(Some((9, VERSION))));
    assert_eq!(welcomed(&welcome(VERSION)[..8]), Ok(None));
    assert_eq!(welcomed(&welcome(0)), Err(FrameError::Version));
    assert_eq!(welcomed(b"220 ftp"), Err(FrameError::Signature));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let mut reader = FrameReader::default();
    reader.push(&[Kind::Offer as u8, 1, 0x20, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::TooLong));
    let mut reader = FrameReader::default();
    reader.push(&[9, 0, 0, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::Kind));
}

#[test]
fn a_sentence_that_is_too_long_is_cut_at_a_character() {
    let why = "ä".repeat(BODY_MAX);
    let mut bytes = Vec::new();
    FrameWriter::default().write(&Frame::Failed(Failed { code: 1, why: &why }), &mut bytes);
    let mut reader = FrameReader::default();
    reader.push(&bytes);
    let Ok(Some(Frame::Failed(failed))) = reader.next_frame() else { panic!("no frame") };
    assert_eq!(failed.why.len(), BODY_MAX - 2);
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written(
        frames in prop::collection::vec(frames(), 1..6), piece in 1_usize..300
    ) {
        let bytes = written(&frames).concat();
        prop_assert_eq!(read(&bytes, piece, &frames), (frames.len(), Ok(()), true));
    }

    #[test]
    fn a_cut_is_seen(frames in prop::collection::vec(frames(), 1..4), at in any::<prop::sample::Index>()) {
        let each = written(&frames);
        let bytes = each.concat();
        let cut = at.index(bytes.len());
        let (count, result, is_whole) = read(&bytes[..cut], 64, &frames);
        let boundary = (0..each.len()).any(|k| each[..k].concat().len() == cut);
        prop_assert!(result.is_ok() && count < frames.len());
        prop_assert_eq!(is_whole, boundary);
    }

    #[test]
    fn a_flipped_bit_is_seen_or_is_in_a_chunk(
        frames in prop::collection::vec(frames(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let each = written(&frames);
        let mut bytes = each.concat();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // A chunk's bytes are judged by their chaining value, which is covered.
        let (mut start, mut frame) = (0, 0);
        while start + each[frame].len() <= at {
            start += each[frame].len();
            frame += 1;
        }
        let within = at - start;
        if matches!(frames[frame], Owned::Data(..))
            && (HEAD + DATA_HEAD..each[frame].len() - CHECK).contains(&within)
        {
            return Ok(());
        }
        let (count, result, is_whole) = read(&bytes, 64, &frames);
        prop_assert!(count <= frame && (result.is_err() || !is_whole), "{count} {result:?}");
    }

    #[test]
    fn a_frame_that_is_doubled_left_out_or_moved_is_seen(
        frames in prop::collection::vec(frames(), 2..5), at in any::<prop::sample::Index>()
    ) {
        let each = written(&frames);
        let at = at.index(each.len() - 1);
        let doubled = [&each[..=at], &each[at..]].concat().concat();
        prop_assert_eq!(read(&doubled, 64, &frames).1, Err(FrameError::Check));
        let left_out = [&each[..at], &each[at + 1..]].concat().concat();
        prop_assert_eq!(read(&left_out, 64, &frames).1, Err(FrameError::Check));
        let mut moved = each.clone();
        moved.swap(at, at + 1);
        prop_assert_eq!(read(&moved.concat(), 64, &frames).1, Err(FrameError::Check));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let mut reader = FrameReader::default();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}
