//! Frames: round trips, and the detection of changed, lost, duplicated and reordered bytes.

use proptest::prelude::*;

use crate::wire::file::codec::*;
use crate::wire::file::frame::{Failed, MAX_BODY_LEN, Offer, Stored};

fn frame_strategy() -> impl Strategy<Value = OwnedFrame> {
    let digest = any::<[u8; 32]>();
    prop_oneof![
        (any::<bool>(), any::<Option<u64>>(), any::<u32>(), any::<(i64, u32)>(), "[^/]{0,40}")
            .prop_map(|(is_directory, size, mode, modified, name)| {
                let size = size.filter(|size| *size != u64::MAX);
                OwnedFrame::Offer(is_directory, size, mode, modified, name.into_bytes())
            }),
        (any::<u64>(), digest).prop_map(|(count, hash)| OwnedFrame::Answer(count, hash)),
        any::<u64>().prop_map(OwnedFrame::Begin),
        (any::<u64>(), digest, prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(number, hash, bytes)| OwnedFrame::Data(number, hash, bytes)),
        (any::<u64>(), digest).prop_map(|(size, digest)| OwnedFrame::End(size, digest)),
        (any::<u64>(), digest, "\\PC{0,40}")
            .prop_map(|(size, digest, name)| OwnedFrame::Stored(size, digest, name)),
        (any::<u16>(), "\\PC{0,40}").prop_map(|(code, reason)| OwnedFrame::Failed(code, reason)),
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
            OwnedFrame::Answer(count, hash) => {
                Frame::Answer { chunk_count: *count, chunk_list_hash: *hash }
            }
            OwnedFrame::Begin(number) => Frame::Begin(*number),
            OwnedFrame::Data(number, hash, bytes) => {
                Frame::Data { number: *number, hash: *hash, bytes }
            }
            OwnedFrame::End(size, digest) => Frame::End { size: *size, digest: *digest },
            OwnedFrame::Stored(size, digest, name) => {
                Frame::Stored(Stored { size: *size, digest: *digest, name })
            }
            OwnedFrame::Failed(code, reason) => Frame::Failed(Failed { code: *code, reason }),
            OwnedFrame::Wait => Frame::Wait,
        }
    }
}

/// Encodes frames, and returns the bytes of each.
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

/// Decodes bytes in pieces of a given length. Returns the number of frames before the first error,
/// the result, and whether no partial frame is left.
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
fn bad_header_is_rejected_before_its_body() {
    let mut reader = FrameReader::default();
    reader.push(&[FrameKind::Offer as u8, 1, 0x20, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::TooLong));
    let mut reader = FrameReader::default();
    reader.push(&[9, 0, 0, 0, 0]);
    assert_eq!(reader.next_frame(), Err(FrameError::UnknownKind));
}

#[test]
fn long_reason_is_truncated_at_character_boundary() {
    let reason = "ä".repeat(MAX_BODY_LEN);
    let mut bytes = Vec::new();
    FrameWriter::default().write(&Frame::Failed(Failed { code: 1, reason: &reason }), &mut bytes);
    let mut reader = FrameReader::default();
    reader.push(&bytes);
    let Ok(Some(Frame::Failed(failed))) = reader.next_frame() else { panic!("no frame") };
    assert_eq!(failed.reason.len(), MAX_BODY_LEN - 2);
}

/// Encodes a data frame, and an `end` frame after it.
fn data_then_end() -> Vec<u8> {
    let data = OwnedFrame::Data(0, [1; 32], vec![7; 60_000]);
    encode_frames(&[data, OwnedFrame::End(5, [2; 32])]).concat()
}

#[test]
fn skipped_data_frame_is_not_buffered() {
    let bytes = data_then_end();
    let mut reader = FrameReader::default();
    let (last, pieces) = (bytes.len() - 20, bytes[..bytes.len() - 20].chunks(1000));
    for piece in pieces {
        reader.push(piece);
        assert_eq!(reader.next_frame_with(DataFrames::Skip), Ok(None));
        reader.shrink();
        assert!(reader.has_partial_frame() && reader.buffer.capacity() <= 1000);
    }
    reader.push(&bytes[last..]);
    let end = Frame::End { size: 5, digest: [2; 32] };
    assert_eq!(reader.next_frame_with(DataFrames::Skip), Ok(Some(end)));
    assert!(!reader.has_partial_frame());
}

#[test]
fn rejected_data_frame_fails_at_header() {
    let mut reader = FrameReader::default();
    reader.push(&data_then_end()[..FRAME_HEADER_LEN]);
    assert_eq!(reader.next_frame_with(DataFrames::Reject), Err(FrameError::UnexpectedData));
}

#[test]
fn lost_skipped_frame_is_detected() {
    let data = OwnedFrame::Data(0, [1; 32], vec![7; 100]);
    let each = encode_frames(&[data.clone(), data, OwnedFrame::End(5, [2; 32])]);
    let mut reader = FrameReader::default();
    reader.push(&[&each[0][..], &each[2]].concat());
    assert_eq!(reader.next_frame_with(DataFrames::Skip), Err(FrameError::Checksum));
}

proptest! {
    #[test]
    fn frames_round_trip_in_any_pieces(
        frames in prop::collection::vec(frame_strategy(), 1..6), piece in 1_usize..300
    ) {
        let bytes = encode_frames(&frames).concat();
        prop_assert_eq!(decode_frames(&bytes, piece, &frames), (frames.len(), Ok(()), true));
    }

    #[test]
    fn truncation_is_detected(
        frames in prop::collection::vec(frame_strategy(), 1..4),
        at in any::<prop::sample::Index>(),
    ) {
        let each = encode_frames(&frames);
        let bytes = each.concat();
        let cut = at.index(bytes.len());
        let (count, result, is_whole) = decode_frames(&bytes[..cut], 64, &frames);
        let boundary = (0..each.len()).any(|k| each[..k].concat().len() == cut);
        prop_assert!(result.is_ok() && count < frames.len());
        prop_assert_eq!(is_whole, boundary);
    }

    #[test]
    fn flipped_bit_is_detected_outside_of_chunks(
        frames in prop::collection::vec(frame_strategy(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
    ) {
        let each = encode_frames(&frames);
        let mut bytes = each.concat();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        // The chunk's hash covers the chunk, and the checksum covers the hash.
        let (mut start, mut frame) = (0, 0);
        while start + each[frame].len() <= at {
            start += each[frame].len();
            frame += 1;
        }
        let within = at - start;
        if matches!(frames[frame], OwnedFrame::Data(..))
            && (DATA_HEADER_LEN..each[frame].len() - CHECKSUM_LEN).contains(&within)
        {
            return Ok(());
        }
        let (count, result, is_whole) = decode_frames(&bytes, 64, &frames);
        prop_assert!(count <= frame && (result.is_err() || !is_whole), "{count} {result:?}");
    }

    #[test]
    fn duplicated_lost_or_reordered_frame_is_detected(
        frames in prop::collection::vec(frame_strategy(), 2..5), at in any::<prop::sample::Index>()
    ) {
        let each = encode_frames(&frames);
        let at = at.index(each.len() - 1);
        let duplicated = [&each[..=at], &each[at..]].concat().concat();
        prop_assert_eq!(decode_frames(&duplicated, 64, &frames).1, Err(FrameError::Checksum));
        let lost = [&each[..at], &each[at + 1..]].concat().concat();
        prop_assert_eq!(decode_frames(&lost, 64, &frames).1, Err(FrameError::Checksum));
        let mut reordered = each.clone();
        reordered.swap(at, at + 1);
        let reordered = reordered.concat();
        prop_assert_eq!(decode_frames(&reordered, 64, &frames).1, Err(FrameError::Checksum));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50
    ) {
        let mut reader = FrameReader::default();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}
