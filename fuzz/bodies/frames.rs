//! Frames of the file protocol on a connection that corrupts bytes.
//!
//! The input selects the frames, the corruptions of their bytes, and the pieces in which the bytes
//! arrive. Whatever the corruption, the decoded frames are the first of the encoded frames. The
//! bytes of a chunk are an exception, because only the chunk's hash covers them. Without a
//! corruption, all frames are decoded. An accepted file name stays below its directory.

use sockactors::wire::file::filename::SafeName;
use sockactors::wire::file::{Failed, Frame, FrameReader, FrameWriter, Offer, Stored};
use sockactors::wire::text::is_unsafe;

/// The unread part of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            byte => u64::from(byte),
        }
    }

    fn bytes(&mut self, max_len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(max_len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn index(&mut self, len: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % len.max(1)
    }
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let (frame_count, corruptions, pieces) = (input.byte() % 6, input.byte() % 4, input.byte());
    let mut writer = FrameWriter::default();
    let (mut bytes, mut frames) = (Vec::new(), Vec::new());
    for _ in 0..frame_count {
        let frame = read_frame(&mut input);
        writer.write(&frame, &mut bytes);
        frames.push(frame);
    }
    let original = bytes.clone();
    for _ in 0..corruptions {
        corrupt(&mut input, &mut bytes);
    }
    let piece_len = usize::from(pieces % 97) + 1;
    let (count, is_whole) = decode(&bytes, piece_len, &frames);
    assert!(bytes != original || (count == frames.len() && is_whole), "a frame was lost");
}

/// Decodes frames, and checks each of them against the next encoded one. Returns the number of
/// frames, and whether all bytes were decoded.
fn decode(bytes: &[u8], piece_len: usize, frames: &[Frame<'_>]) -> (usize, bool) {
    let (mut reader, mut count) = (FrameReader::default(), 0);
    for piece in bytes.chunks(piece_len) {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    let expected = frames.get(count).expect("decoded a frame that was not encoded");
                    assert_eq!(without_chunk(&frame), without_chunk(expected));
                    count += 1;
                }
                Ok(None) => break,
                Err(_) => return (count, false),
            }
        }
        if piece_len % 3 == 0 {
            reader.shrink();
        }
    }
    (count, !reader.has_partial_frame())
}

fn without_chunk<'a>(frame: &Frame<'a>) -> Frame<'a> {
    match frame {
        Frame::Data { number, hash, .. } => {
            Frame::Data { number: *number, hash: *hash, bytes: b"" }
        }
        frame => frame.clone(),
    }
}

/// Builds a frame from the input.
fn read_frame<'a>(input: &mut Input<'a>) -> Frame<'a> {
    let digest = [input.byte(); 32];
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or("");
    match input.byte() % 8 {
        0 => {
            let name = input.bytes(20);
            check_name(name);
            let is_directory = input.byte() % 2 == 0;
            // The largest number means an unknown size.
            let size = Some(input.number()).filter(|size| *size != u64::MAX);
            let (mode, modified) = (u32::from(input.byte()), (-1, u32::from(input.byte())));
            Frame::Offer(Offer { is_directory, size, mode, modified, name })
        }
        1 => Frame::Answer { chunk_count: input.number(), chunk_list_hash: digest },
        2 => Frame::Begin(input.number()),
        3 => Frame::Data { number: input.number(), hash: digest, bytes: input.bytes(30) },
        4 => Frame::End { size: input.number(), digest },
        5 => Frame::Stored(Stored { size: input.number(), digest, name: text(input.bytes(10)) }),
        6 => Frame::Failed(Failed { code: u16::from(input.byte()), reason: text(input.bytes(10)) }),
        _ => Frame::Wait,
    }
}

/// Flips a bit, truncates, duplicates or inserts bytes.
fn corrupt(input: &mut Input<'_>, bytes: &mut Vec<u8>) {
    let at = input.index(bytes.len());
    match input.byte() % 4 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << (input.byte() % 8),
        1 => bytes.truncate(at),
        2 => {
            let end = at + input.index(bytes.len() - at);
            let duplicate = bytes[at..end].to_vec();
            bytes.splice(end..end, duplicate);
        }
        _ => {
            let inserted = input.bytes(5).to_vec();
            bytes.splice(at..at, inserted);
        }
    }
}

/// Checks that an accepted name is a file below the directory, and is safe to show.
fn check_name(name: &[u8]) {
    let Ok(name) = SafeName::parse(name) else { return };
    let text = name.as_str();
    assert!(!text.contains(is_unsafe) && !text.starts_with('/'));
    for component in text.split('/') {
        assert!(!component.is_empty() && !component.starts_with('.'), "{text}");
    }
    assert!(name.partial_name().starts_with('.') && name.partial_name() != name.checksum_name());
}
