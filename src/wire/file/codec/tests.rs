//! Frames: round trips, and whatever may happen to their bytes on the way.

use crate::wire::file::codec::*;
use proptest::prelude::*;

fn frame_strategy() -> impl Strategy<Value = OwnedFrame> {
    let digest = any::<[u8; 32]>();
    prop_oneof![
        (any::<bool>(), any::<Option<u64>>(), any::<u32>(), any::<(i64, u32)>(), "[^/]{0,40}")
            .prop_map(|(is_directory, size, mode, modified, name)| {
                let size = size.filter(|size| *size != u64::MAX);
                OwnedFrame::Offer(is_directory, size, mode, modified, name.into_bytes())
            }),
        (any::<u64>(), digest).prop_map(|(held, digest)| OwnedFrame::Answer(held, digest)),
        any::<u64>().prop_map(OwnedFrame::Begin),
        (any::<u64>(), digest, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(number, value, bytes)| OwnedFrame::Data(number, value, bytes)),
        (any::<u64>(), digest).prop_map(|(size, digest)| OwnedFrame::End(size, digest)),
        (any::<u64>(), digest, "\\PC{0,40}")
            .prop_map(|(s, d, name)| OwnedFrame::Stored(s, d, name)),
        (any::<u16>(), "\\PC{0,40}").prop_map(|(code, why)| OwnedFrame::Failed(code, why)),
        Just(OwnedFrame::Wait),
    ]
}

/// A frame that borrows nothing.
#[derive(Debug, Clone, PartialEq)]
enum OwnedFrame {
    Offer(bool, Option<u64>, u32, (i64, u32), Vec<u8>),
    Answer(u64, [u8; 32]),
    Begin(u64),
    Data(u64, [u8; 32], Vec<u8>),
    End(u64, [u8; 32]),
    Stored(u64, [u8; 32], String),
    Failed(u16, String),
    Wait,
}

impl OwnedFrame {
    fn as_frame(&self) -> Frame<'_> {
        match self {
            OwnedFrame::Offer(is_directory, size, mode, modified, name) => Frame::Offer(Offer {
                is_directory: *is_directory,
                size: *size,
                mode: *mode,
                modified: *modified,
                name,
            }),
            OwnedFrame::Answer(held, digest) => {
                Frame::Answer { chunk_count: *held, chunk_list_hash: *digest }
            }
            OwnedFrame::Begin(number) => Frame::Begin(*number),
            OwnedFrame::Data(number, value, bytes) => {
                Frame::Data { number: *number, hash: *value, bytes }
            }
            OwnedFrame::End(size, digest) => Frame::End { size: *size, digest: *digest },
            OwnedFrame::Stored(size, digest, name) => {
                Frame::Stored(Stored { size: *size, digest: *digest, name })
            }
            OwnedFrame::Failed(code, why) => Frame::Failed(Failed { code: *code, reason: why }),
            OwnedFrame::Wait => Frame::Wait,
        }
    }
}

/// Writes frames; returns the bytes of each.
fn encode_frames(frames: &[OwnedFrame]) -> Vec<Vec<u8>> {
    let mut writer = FrameWriter::default();
    frames
        .iter()
        .map(|frame| {
            let mut bytes = Vec::new();
            writer.write(&frame.as_frame(), &mut bytes);
            bytes
        })
        .collect()
}

/// Reads bytes in pieces of this length: the frames until an error, and whether all of them was read.
fn decode_frames(
    bytes: &[u8],
    piece: usize,
    frames: &[OwnedFrame],
) -> (usize, Result<(), FrameError>, bool) {
    let mut reader = FrameReader::default();
    let mut count = 0;
    for piece in bytes.chunks(piece.max(1)) {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    assert_eq!(frame, frames[count].as_frame(), "frame {count}");
                    count += 1;
                }
                Ok(None) => break,
                Err(error) => return (count, Err(error), false),
            }
        }
    }
    (count, Ok(()), !reader.has_partial_frame())
}

#[test]
fn a_beginning_is_told_at_its_first_wrong_byte() {
    let hello = client_hello();
    for length in 0..hello.len() {
        assert_eq!(detect_preamble(&hello[..length]), Preamble::Pending, "{length}");
    }
    assert_eq!(detect_preamble(&hello), Preamble::Framed(10, VERSION));
    for length in 1..=8 {
        let mut wrong = hello[..length].to_vec();
        wrong[length - 1] ^= 1;
        assert_eq!(detect_preamble(&wrong), Preamble::Raw);
    }
    let newer = [&SIGNATURE[..], &[VERSION + 1, VERSION + 3]].concat();
    assert_eq!(detect_preamble(&newer), Preamble::Framed(10, 0));
    let wider = [&SIGNATURE[..], &[0, 255, 7]].concat();
    assert_eq!(detect_preamble(&wider), Preamble::Framed(10, VERSION));
}

#[test]
fn a_welcome_names_the_version() {
    assert_eq!(parse_server_hello(&server_hello(VERSION)), Ok(Some((9, VERSION))));
    assert_eq!(parse_server_hello(&server_hello(VERSION)[..8]), Ok(None));
    assert_eq!(parse_server_hello(&server_hello(0)), Err(FrameError::Version));
    assert_eq!(parse_server_hello(b"220 ftp"), Err(FrameError::Signature));
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let mut reader = FrameReader::default();
    reader.push(&[FrameKind::Offer as u8, 1, 0x20, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::TooLong));
    let mut reader = FrameReader::default();
    reader.push(&[9, 0, 0, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::UnknownKind));
}

#[test]
fn a_sentence_that_is_too_long_is_cut_at_a_character() {
    let why = "ä".repeat(MAX_BODY_LEN);
    let mut bytes = Vec::new();
    FrameWriter::default().write(&Frame::Failed(Failed { code: 1, reason: &why }), &mut bytes);
    let mut reader = FrameReader::default();
    reader.push(&bytes);
    let Ok(Some(Frame::Failed(failed))) = reader.next_frame() else { panic!("no frame") };
    assert_eq!(failed.reason.len(), MAX_BODY_LEN - 2);
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written(
        frames in prop::collection::vec(frame_strategy(), 1..6), piece in 1_usize..300
    ) {
        let bytes = encode_frames(&frames).concat();
        prop_assert_eq!(decode_frames(&bytes, piece, &frames), (frames.len(), Ok(()), true));
    }

    #[test]
    fn a_cut_is_seen(frames in prop::collection::vec(frame_strategy(), 1..4), at in any::<prop::sample::Index>()) {
        let each = encode_frames(&frames);
        let bytes = each.concat();
        let cut = at.index(bytes.len());
        let (count, result, is_whole) = decode_frames(&bytes[..cut], 64, &frames);
        let boundary = (0..each.len()).any(|k| each[..k].concat().len() == cut);
        prop_assert!(result.is_ok() && count < frames.len());
        prop_assert_eq!(is_whole, boundary);
    }

    #[test]
    fn a_flipped_bit_is_seen_or_is_in_a_chunk(
        frames in prop::collection::vec(frame_strategy(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let each = encode_frames(&frames);
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
        if matches!(frames[frame], OwnedFrame::Data(..))
            && (FRAME_HEADER_LEN + DATA_PREFIX_LEN..each[frame].len() - CHECKSUM_LEN).contains(&within)
        {
            return Ok(());
        }
        let (count, result, is_whole) = decode_frames(&bytes, 64, &frames);
        prop_assert!(count <= frame && (result.is_err() || !is_whole), "{count} {result:?}");
    }

    #[test]
    fn a_frame_that_is_doubled_left_out_or_moved_is_seen(
        frames in prop::collection::vec(frame_strategy(), 2..5), at in any::<prop::sample::Index>()
    ) {
        let each = encode_frames(&frames);
        let at = at.index(each.len() - 1);
        let doubled = [&each[..=at], &each[at..]].concat().concat();
        prop_assert_eq!(decode_frames(&doubled, 64, &frames).1, Err(FrameError::Checksum));
        let left_out = [&each[..at], &each[at + 1..]].concat().concat();
        prop_assert_eq!(decode_frames(&left_out, 64, &frames).1, Err(FrameError::Checksum));
        let mut moved = each.clone();
        moved.swap(at, at + 1);
        prop_assert_eq!(decode_frames(&moved.concat(), 64, &frames).1, Err(FrameError::Checksum));
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
