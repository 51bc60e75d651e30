//! The records of the chat history on disk.
//!
//! The history is a series of segment files. A segment is a header, followed by records.
//!
//! ```text
//! segment   "sockjrn" and the version, one byte (1), then records to the end of the file
//! record    length of the payload    4 bytes, little endian, at most MAX_PAYLOAD_LEN
//!           checksum                 8 bytes: the first of BLAKE3 over the length and the payload
//!           payload                  time, 8 bytes, little endian: milliseconds since 1970 in UTC,
//!                                    signed
//!                                    length of the room's name, 1 byte, and the name
//!                                    the line as it was sent to the members, with its newline
//! ```
//!
//! Segments are only appended to. So after a crash or on a full disk a segment has valid records,
//! and at most one invalid record at its end. A failing disk may damage any byte. [`Records`] skips
//! a damaged record and continues at the next valid one. A text cannot contain a record: the third
//! or fourth byte of a record is zero, and a line has no control characters.
//!
//! A line that no member could have sent is not a valid record, whatever its checksum. So the lines
//! are as safe to show as those that [`encode`] accepts.

use std::str::from_utf8;

use memchr::memchr;

use crate::wire::chat::names::validate_room;
use crate::wire::text::is_safe_text;

/// The first bytes of a segment: the name of the format, and its version.
pub const SEGMENT_HEADER: [u8; 8] = *b"sockjrn\x01";

/// The longest payload in bytes. A longer one is neither written nor accepted.
pub const MAX_PAYLOAD_LEN: usize = 64 << 10;

/// The part of a record before its payload, in bytes.
const RECORD_HEADER_LEN: usize = 4 + 8;

/// The part of a payload before the name of the room, in bytes.
const FIXED_LEN: usize = 8 + 1;

/// A line of the chat history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The time of the message, in milliseconds since 1970 in UTC.
    pub timestamp_ms: i64,
    /// The name of the room.
    pub room: &'a str,
    /// The line as it was sent to the members, with its newline.
    pub line: &'a str,
}

impl Record<'_> {
    /// Returns whether the room name is valid, and the line is one line that is safe to show.
    fn is_valid(&self) -> bool {
        let text = self.line.strip_suffix('\n');
        validate_room(self.room).is_ok() && text.is_some_and(is_safe_text)
    }
}

/// Appends a record to a segment. Returns false if the record is invalid.
///
/// A record that [`Records`] would not return is left out: the room name is not valid, or the line
/// is too long, is not one line, or contains unsafe characters.
///
/// # Examples
///
/// ```
/// use sockactors::wire::chat::history_record::{Record, Records, SEGMENT_HEADER, encode};
///
/// let mut segment = SEGMENT_HEADER.to_vec();
/// let record =
///     Record { timestamp_ms: 1_700_000_000_000, room: "lobby", line: "ada: hello\n" };
/// assert!(encode(record, &mut segment));
/// assert!(!encode(Record { line: "two\nlines\n", ..record }, &mut segment));
///
/// let mut records = Records::new(&segment).unwrap();
/// assert_eq!(records.next(), Some(record));
/// assert_eq!(records.next(), None);
/// assert_eq!(records.valid_len(), segment.len());
/// ```
pub fn encode(record: Record<'_>, to: &mut Vec<u8>) -> bool {
    let length = FIXED_LEN + record.room.len() + record.line.len();
    let (Ok(length_field), Ok(room_len)) = (u32::try_from(length), u8::try_from(record.room.len()))
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
    to.push(room_len);
    to.extend_from_slice(record.room.as_bytes());
    to.extend_from_slice(record.line.as_bytes());
    let checksum = checksum(length_field, &to[start + RECORD_HEADER_LEN..]);
    to[start + 4..start + RECORD_HEADER_LEN].copy_from_slice(&checksum);
    true
}

/// Returns the checksum of a record.
fn checksum(length: u32, payload: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes()).update(payload);
    let mut checksum = [0; 8];
    hasher.finalize_xof().fill(&mut checksum);
    checksum
}

/// An iterator over the valid records of a segment.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    valid_len: usize,
    skipped_len: usize,
}

impl<'a> Records<'a> {
    /// Creates an iterator over a segment. Returns `None` if `bytes` are not a segment.
    ///
    /// A truncated header is a segment without records, whose [`valid_len`](Records::valid_len) is
    /// 0.
    pub fn new(bytes: &'a [u8]) -> Option<Records<'a>> {
        let (bytes, valid_len) = match bytes.starts_with(&SEGMENT_HEADER) {
            true => (bytes, SEGMENT_HEADER.len()),
            false if SEGMENT_HEADER.starts_with(bytes) => (&[][..], 0),
            false => return None,
        };
        Some(Records { bytes, valid_len, skipped_len: 0 })
    }

    /// Returns the length of the segment up to the end of the last record read so far, in bytes.
    ///
    /// After the last record, the bytes beyond this length are incomplete or corrupt.
    pub fn valid_len(&self) -> usize {
        self.valid_len
    }

    /// Returns the number of corrupt bytes before the last record read so far.
    pub fn skipped_len(&self) -> usize {
        self.skipped_len
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        for start in self.valid_len..self.bytes.len() {
            if let Some((record, length)) = parse_record(&self.bytes[start..]) {
                self.skipped_len += start - self.valid_len;
                self.valid_len = start + length;
                return Some(record);
            }
        }
        None
    }
}

/// Parses the record at the start of `bytes`, and returns it with its length.
fn parse_record(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*length);
    let size = usize::try_from(length).ok().filter(|size| *size <= MAX_PAYLOAD_LEN)?;
    let payload = rest.get(..size)?;
    // The checksum comes last, because a search for the next record tries each byte.
    let record = decode(payload).filter(Record::is_valid)?;
    (checksum(length, payload) == *expected).then_some((record, RECORD_HEADER_LEN + size))
}

/// Decodes a payload, or returns `None` if it is malformed.
fn decode(payload: &[u8]) -> Option<Record<'_>> {
    let (timestamp_ms, rest) = payload.split_first_chunk::<8>()?;
    let (room_len, rest) = rest.split_first()?;
    let (room, line) = rest.split_at_checked(usize::from(*room_len))?;
    // Each record has a zero, so a search looks at few bytes more than once.
    if memchr(0, line).is_some() {
        return None;
    }
    let (room, line) = (from_utf8(room).ok()?, from_utf8(line).ok()?);
    Some(Record { timestamp_ms: i64::from_le_bytes(*timestamp_ms), room, line })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::wire::chat::limits::{MAX_LINE_LEN, MAX_NICK_LEN};
    use crate::wire::text::escape;

    type OwnedRecord = (i64, String, String);

    fn record((timestamp_ms, room, line): &OwnedRecord) -> Record<'_> {
        Record { timestamp_ms: *timestamp_ms, room, line }
    }

    /// Returns a segment with these records, and its length before and after each of them.
    fn segment(records: &[OwnedRecord]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = SEGMENT_HEADER.to_vec();
        let mut ends = vec![bytes.len()];
        for owned in records {
            assert!(encode(record(owned), &mut bytes), "{owned:?}");
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// Returns all valid records of a segment, and their end.
    fn read_all(bytes: &[u8]) -> (Vec<OwnedRecord>, usize) {
        let mut records = Records::new(bytes).expect("a segment");
        let read = records.by_ref().map(|r| (r.timestamp_ms, r.room.to_owned(), r.line.to_owned()));
        let read = read.collect();
        (read, records.valid_len())
    }

    fn record_strategy() -> impl Strategy<Value = Vec<OwnedRecord>> {
        let line = any::<String>().prop_map(|text| format!("{}\n", escape(&text)));
        vec((any::<i64>(), "[a-z_-]{1,32}", line), 0..5)
    }

    proptest! {
        #[test]
        fn records_round_trip(records in record_strategy()) {
            let (bytes, _) = segment(&records);
            prop_assert_eq!(read_all(&bytes), (records, bytes.len()));
        }

        #[test]
        fn truncation_keeps_whole_records(records in record_strategy()) {
            let (bytes, ends) = segment(&records);
            for cut in 0..bytes.len() {
                let whole = ends.iter().filter(|end| **end <= cut).count();
                let end = if whole == 0 { 0 } else { ends[whole - 1] };
                let kept = &records[..whole.saturating_sub(1)];
                prop_assert_eq!(read_all(&bytes[..cut]), (kept.to_vec(), end), "cut at {}", cut);
            }
        }

        #[test]
        fn changed_byte_loses_only_its_record(records in record_strategy(), bit in 0_u32..8) {
            let (bytes, ends) = segment(&records);
            for place in SEGMENT_HEADER.len()..bytes.len() {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                let lost = ends.iter().filter(|end| **end <= place).count() - 1;
                let mut expected = records.clone();
                expected.remove(lost);
                let is_last = lost + 1 == records.len();
                let end = if is_last { ends[lost] } else { bytes.len() };
                prop_assert_eq!(read_all(&broken), (expected, end));
                let mut read = Records::new(&broken).expect("a segment");
                read.by_ref().for_each(drop);
                let skipped = if is_last { 0 } else { ends[lost + 1] - ends[lost] };
                prop_assert_eq!(read.skipped_len(), skipped);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(noise in vec(any::<u8>(), 0..200)) {
            let _ = Records::new(&noise).map(Iterator::count);
            let bytes = [&SEGMENT_HEADER[..], &noise].concat();
            prop_assert_eq!(read_all(&bytes).1, SEGMENT_HEADER.len());
        }
    }

    #[test]
    fn search_for_next_record_is_fast_in_any_bytes() {
        // Each of these headers announces the longest payload, which the checksum would read.
        let mut header = u32::try_from(MAX_PAYLOAD_LEN).unwrap().to_le_bytes().to_vec();
        header.extend([0; 8 + 8]);
        header.extend(b"\x01a");
        let text = [&header[..], &[b'x'; 40], b"\n"].concat();
        let hostile = [&SEGMENT_HEADER[..], &text.repeat((4 << 20) / text.len())].concat();
        let started_at = std::time::Instant::now();
        assert_eq!(read_all(&hostile).1, SEGMENT_HEADER.len());
        // With the checksum first it would hash four gigabytes.
        assert!(started_at.elapsed().as_secs() < 2, "{:?}", started_at.elapsed());
    }

    #[test]
    fn longest_line_of_a_member_fits_into_a_record() {
        // Nothing grows more when it is escaped than a control character.
        let text = escape(&"\u{1}".repeat(MAX_LINE_LEN)).into_owned();
        let line = format!("** {} {text}\n", "n".repeat(MAX_NICK_LEN));
        let room = "r".repeat(MAX_NICK_LEN);
        assert!(encode(Record { timestamp_ms: 0, room: &room, line: &line }, &mut Vec::new()));
    }

    #[test]
    fn other_format_is_not_a_segment() {
        assert!(Records::new(b"sockjrn\x02").is_none());
        assert!(Records::new(b"once upon a time").is_none());
        assert_eq!(read_all(b""), (vec![], 0));
    }

    #[test]
    fn impossible_line_is_neither_written_nor_read() {
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
        // A valid checksum does not make an unsafe line valid.
        let payload = [&[0; 8][..], b"\x05lobby\x1b[2J\n"].concat();
        let length = u32::try_from(payload.len()).unwrap();
        let forged =
            [&SEGMENT_HEADER[..], &length.to_le_bytes(), &checksum(length, &payload), &payload]
                .concat();
        assert_eq!(read_all(&forged), (vec![], SEGMENT_HEADER.len()));
    }
}
