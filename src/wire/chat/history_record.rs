//! The history of a chat as it lies on the disk: a segment is a head and then one record after the other.
//!
//! ```text
//! segment   "sockjrn" and the version, one byte (1), then records to the end of the file
//! record    length of the payload    4 bytes, little endian, at most PAYLOAD_MAX
//!           checksum                 8 bytes: the first of BLAKE3 over the length and the payload
//!           payload                  time, 8 bytes, little endian: milliseconds since 1970 in UTC, signed
//!                                    length of the room's name, 1 byte, and the name
//!                                    the line as the members were sent it, with its newline
//! ```
//!
//! Segments are only ever appended to, so what a crash or a full disk leaves is a whole beginning and at most one
//! record that is not. [`Records`] reads as far as all is well and tells where that ends. What it gives is as safe
//! for a terminal as what [`encode`] took: a line that nobody could have said is no record, whatever its checksum.

use std::str::from_utf8;

use crate::wire::chat::names::validate_room;
use crate::wire::text::is_unsafe;

/// What a segment begins with: a name, and the version of the format.
pub const SEGMENT_HEADER: [u8; 8] = *b"sockjrn\x01";

/// The longest payload. A longer one is not written, and its length not believed.
pub const MAX_PAYLOAD_LEN: usize = 64 << 10;

/// The bytes of a record before its payload.
const RECORD_HEADER_LEN: usize = 4 + 8;

/// The bytes of a payload before the room's name.
const FIXED_LEN: usize = 8 + 1;

/// One line that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// When: milliseconds since 1970, in UTC.
    pub timestamp_ms: i64,
    /// The room's name.
    pub room: &'a str,
    /// The line as it went to the members, with its newline.
    pub line: &'a str,
}

impl Record<'_> {
    /// Tells whether it can be written: its room is one that there can be, its line is one line, safe to show,
    /// and neither is too long.
    fn is_valid(&self) -> bool {
        let text = self.line.strip_suffix('\n');
        validate_room(self.room).is_ok() && text.is_some_and(|text| !text.contains(is_unsafe))
    }
}

/// Appends a record to `to`, and tells whether it did: one that [`Records`] would not give back is left out.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::history_record::{SEGMENT_HEADER, Record, Records, encode};
///
/// let mut segment = SEGMENT_HEADER.to_vec();
/// let said = Record { timestamp_ms: 1_700_000_000_000, room: "lobby", line: "ada: hello\n" };
/// assert!(encode(said, &mut segment));
/// assert!(!encode(Record { line: "two\nlines\n", ..said }, &mut segment));
///
/// let mut records = Records::new(&segment).unwrap();
/// assert_eq!(records.next(), Some(said));
/// assert_eq!(records.next(), None);
/// assert_eq!(records.valid_len(), segment.len());
/// ```
pub fn encode(record: Record<'_>, to: &mut Vec<u8>) -> bool {
    let length = FIXED_LEN + record.room.len() + record.line.len();
    let (Ok(length_field), Ok(name)) = (u32::try_from(length), u8::try_from(record.room.len()))
    else {
        return false;
    };
    if length > MAX_PAYLOAD_LEN || !record.is_valid() {
        return false;
    }
    let start = to.len();
    to.extend_from_slice(&length_field.to_le_bytes());
    to.extend_from_slice(&[0; 8]);
    to.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    to.push(name);
    to.extend_from_slice(record.room.as_bytes());
    to.extend_from_slice(record.line.as_bytes());
    let sum = checksum(length_field, &to[start + RECORD_HEADER_LEN..]);
    to[start + 4..start + RECORD_HEADER_LEN].copy_from_slice(&sum);
    true
}

fn checksum(length: u32, payload: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes()).update(payload);
    let mut sum = [0; 8];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// The records of a segment, as far as it is whole.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    valid_len: usize,
}

impl<'a> Records<'a> {
    /// Begins to read a segment; `None` where `bytes` are not the beginning of one.
    ///
    /// A head that is cut off makes a segment without records whose [`valid_len`](Records::valid_len) is 0.
    pub fn new(bytes: &'a [u8]) -> Option<Records<'a>> {
        if bytes.starts_with(&SEGMENT_HEADER) {
            return Some(Records { bytes, valid_len: SEGMENT_HEADER.len() });
        }
        SEGMENT_HEADER.starts_with(bytes).then_some(Records { bytes: &[], valid_len: 0 })
    }

    /// Returns where the records that were read so far end. Once there is no next one, and this is not the
    /// length of the segment, the rest is torn or corrupt.
    pub fn valid_len(&self) -> usize {
        self.valid_len
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (length, rest) = self.bytes.get(self.valid_len..)?.split_first_chunk::<4>()?;
        let (sum, rest) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(*length);
        let size = usize::try_from(length).ok().filter(|size| *size <= MAX_PAYLOAD_LEN)?;
        let payload = rest.get(..size)?;
        if checksum(length, payload) != *sum {
            return None;
        }
        let record = decode(payload).filter(Record::is_valid)?;
        self.valid_len += RECORD_HEADER_LEN + size;
        Some(record)
    }
}

fn decode(payload: &[u8]) -> Option<Record<'_>> {
    let (at, rest) = payload.split_first_chunk::<8>()?;
    let (name, rest) = rest.split_first()?;
    let (room, line) = rest.split_at_checked(usize::from(*name))?;
    let (room, line) = (from_utf8(room).ok()?, from_utf8(line).ok()?);
    Some(Record { timestamp_ms: i64::from_le_bytes(*at), room, line })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type OwnedRecord = (i64, String, String);

    fn record((at, room, line): &OwnedRecord) -> Record<'_> {
        Record { timestamp_ms: *at, room, line }
    }

    /// A segment of these records, and where each of its whole beginnings ends.
    fn segment(records: &[OwnedRecord]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = SEGMENT_HEADER.to_vec();
        let mut ends = vec![bytes.len()];
        for one in records {
            assert!(encode(record(one), &mut bytes), "{one:?}");
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// What is read of `bytes`, and where it ends.
    fn read_all(bytes: &[u8]) -> (Vec<OwnedRecord>, usize) {
        let mut records = Records::new(bytes).expect("a segment");
        let read = records.by_ref().map(|r| (r.timestamp_ms, r.room.to_owned(), r.line.to_owned()));
        let read = read.collect();
        (read, records.valid_len())
    }

    fn record_strategy() -> impl Strategy<Value = Vec<OwnedRecord>> {
        let line = "[^\\p{Cc}\\p{Cf}\u{2028}\u{2029}]{0,40}\n";
        vec((any::<i64>(), "[a-z_-]{1,32}", line), 0..5)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(records in record_strategy()) {
            let (bytes, _) = segment(&records);
            prop_assert_eq!(read_all(&bytes), (records, bytes.len()));
        }

        #[test]
        fn a_cut_goes_back_to_the_last_whole_record(records in record_strategy()) {
            let (bytes, ends) = segment(&records);
            for cut in 0..bytes.len() {
                let whole = ends.iter().filter(|end| **end <= cut).count();
                let end = if whole == 0 { 0 } else { ends[whole - 1] };
                let kept = &records[..whole.saturating_sub(1)];
                prop_assert_eq!(read_all(&bytes[..cut]), (kept.to_vec(), end), "cut at {}", cut);
            }
        }

        #[test]
        fn a_byte_that_changed_is_noticed(records in record_strategy(), bit in 0_u32..8) {
            let (bytes, ends) = segment(&records);
            for place in SEGMENT_HEADER.len()..bytes.len() {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                let whole = ends.iter().filter(|end| **end <= place).count();
                prop_assert_eq!(read_all(&broken), (records[..whole - 1].to_vec(), ends[whole - 1]));
            }
        }

        #[test]
        fn no_bytes_do_harm(noise in vec(any::<u8>(), 0..200)) {
            let _ = Records::new(&noise).map(Iterator::count);
            let bytes = [&SEGMENT_HEADER[..], &noise].concat();
            prop_assert_eq!(read_all(&bytes).1, SEGMENT_HEADER.len());
        }
    }

    #[test]
    fn what_is_no_segment_is_not_read() {
        assert!(Records::new(b"sockjrn\x02").is_none());
        assert!(Records::new(b"once upon a time").is_none());
        assert_eq!(read_all(b""), (vec![], 0));
    }

    #[test]
    fn what_nobody_could_have_said_is_neither_written_nor_read() {
        let good = Record { timestamp_ms: 0, room: "lobby", line: "ada: hi\n" };
        let long = format!("{}\n", "x".repeat(MAX_PAYLOAD_LEN));
        let fits = format!("{}\n", "x".repeat(MAX_PAYLOAD_LEN - FIXED_LEN - "lobby".len() - 1));
        let mut bytes = SEGMENT_HEADER.to_vec();
        for bad in [
            Record { room: "two words", ..good },
            Record { room: "", ..good },
            Record { line: "no end", ..good },
            Record { line: "two\nlines\n", ..good },
            Record { line: "\u{1b}[2J\n", ..good },
            Record { line: &long, ..good },
        ] {
            assert!(!encode(bad, &mut bytes) && bytes == SEGMENT_HEADER, "{bad:?}");
        }
        assert!(encode(Record { line: &fits, ..good }, &mut bytes));
        assert_eq!(read_all(&bytes).1, bytes.len());
        // A checksum can be made for anything.
        let payload = [&[0; 8][..], b"\x05lobby\x1b[2J\n"].concat();
        let length = u32::try_from(payload.len()).unwrap();
        let forged =
            [&SEGMENT_HEADER[..], &length.to_le_bytes(), &checksum(length, &payload), &payload]
                .concat();
        assert_eq!(read_all(&forged), (vec![], SEGMENT_HEADER.len()));
    }
}
