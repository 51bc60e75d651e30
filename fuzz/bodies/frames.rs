//! Frames of the file protocol, on a line that does what lines do to bytes.
//!
//! The input says which frames are written, what befalls their bytes, and in which pieces they arrive. Whatever that is, the
//! frames that are read are the first of those that were written, but for what is in a chunk, which its own value covers;
//! and where nothing befell them, they are all of them. A name that is taken leads nowhere but beneath.

use sockactors::wire::file::filename::SafeName;
use sockactors::wire::file::{Failed, Frame, FrameReader, FrameWriter, Offer, Stored};
use sockactors::wire::text::is_unsafe;

/// What is left of the input.
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

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn place(&mut self, below: usize) -> usize {
        (usize::from(self.byte()) << 8 | usize::from(self.byte())) % below.max(1)
    }
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let (frames, changes, pieces) = (input.byte() % 6, input.byte() % 4, input.byte());
    let mut writer = FrameWriter::default();
    let (mut line, mut said) = (Vec::new(), Vec::new());
    for _ in 0..frames {
        let frame = frame(&mut input);
        writer.write(&frame, &mut line);
        said.push(frame);
    }
    let written = line.clone();
    for _ in 0..changes {
        change(&mut input, &mut line);
    }
    let step = usize::from(pieces % 97) + 1;
    let (heard, is_whole) = heard(&line, step, &said);
    assert!(line != written || (heard == said.len() && is_whole), "something was lost");
}

/// Reads frames, each of which must be the next that was said; tells how many there were, and whether that was all.
fn heard(line: &[u8], step: usize, said: &[Frame<'_>]) -> (usize, bool) {
    let (mut reader, mut heard) = (FrameReader::default(), 0);
    for piece in line.chunks(step) {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => {
                    let said = said.get(heard).expect("a frame that nobody said");
                    assert_eq!(without_chunk(&frame), without_chunk(said));
                    heard += 1;
                }
                Ok(None) => break,
                Err(_) => return (heard, false),
            }
        }
        if step % 3 == 0 {
            reader.shrink();
        }
    }
    (heard, !reader.has_partial_frame())
}

fn without_chunk<'a>(frame: &Frame<'a>) -> Frame<'a> {
    match frame {
        Frame::Data { number, hash: value, .. } => {
            Frame::Data { number: *number, hash: *value, bytes: b"" }
        }
        frame => frame.clone(),
    }
}

fn frame<'a>(input: &mut Input<'a>) -> Frame<'a> {
    let digest = [input.byte(); 32];
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or("");
    match input.byte() % 8 {
        0 => {
            let name = input.bytes(20);
            judge(name);
            let is_directory = input.byte() % 2 == 0;
            // The largest number says that there is none.
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

/// Does to bytes what a bad line does.
fn change(input: &mut Input<'_>, line: &mut Vec<u8>) {
    let at = input.place(line.len());
    match input.byte() % 4 {
        0 if !line.is_empty() => line[at] ^= 1 << (input.byte() % 8),
        1 => line.truncate(at),
        2 => {
            let until = at + input.place(line.len() - at);
            let again = line[at..until].to_vec();
            line.splice(until..until, again);
        }
        _ => {
            let other = input.bytes(5).to_vec();
            line.splice(at..at, other);
        }
    }
}

/// A name that is taken leads to one file beneath the directory, and shows as what it is.
fn judge(name: &[u8]) {
    let Ok(name) = SafeName::parse(name) else { return };
    let text = name.as_str();
    assert!(!text.contains(is_unsafe) && !text.starts_with('/'));
    for component in text.split('/') {
        assert!(!component.is_empty() && !component.starts_with('.'), "{text}");
    }
    assert!(name.partial_name().starts_with('.') && name.partial_name() != name.checksum_name());
}
