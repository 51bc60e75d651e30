//! UTF-8 that arrives in chunks.
//!
//! A lecture session's message is whatever one read brought, and a read may end in the middle of a
//! character. To decode each chunk by itself would turn that character into two replacement marks;
//! [`Utf8Decoder`] keeps its first bytes for the next chunk instead.

/// Decodes UTF-8 chunk by chunk.
///
/// At most three bytes are kept between two chunks, since a character has at most four. What is not
/// UTF-8 becomes U+FFFD by the rules of [`String::from_utf8_lossy`]: all chunks joined decode to
/// the same text.
///
/// # Examples
///
/// ```
/// use sockactors::wire::utf8::Utf8Decoder;
///
/// let mut chunks = Utf8Decoder::new();
/// assert_eq!(chunks.push(b"caf\xc3"), "caf");
/// assert_eq!(chunks.push(b"\xa9!"), "é!");
/// assert_eq!(chunks.push(b"\xff"), "\u{fffd}");
/// assert_eq!(chunks.finish(), "");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Utf8Decoder {
    pending: Vec<u8>,
}

impl Utf8Decoder {
    /// Creates a decoder that keeps nothing yet.
    pub fn new() -> Utf8Decoder {
        Utf8Decoder::default()
    }

    /// Decodes the chunk, together with what the last one left incomplete.
    pub fn push(&mut self, chunk: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.extend_from_slice(chunk);
        let complete = bytes.len() - incomplete_tail_len(&bytes);
        self.pending = bytes.split_off(complete);
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }

    /// Ends the stream: gives U+FFFD for a character that was never completed, otherwise the empty
    /// text.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Counts the bytes at the end that begin a character and do not complete it.
fn incomplete_tail_len(bytes: &[u8]) -> usize {
    // Only the last three bytes can: a fourth would complete any character.
    (1..=bytes.len().min(3))
        .rev()
        .find(|&length| {
            let tail = &bytes[bytes.len() - length..];
            // A continuation byte at the front fails with a length, so only a true beginning
            // counts.
            std::str::from_utf8(tail)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> String {
        let mut decoder = Utf8Decoder::new();
        let mut text = String::new();
        for chunk in chunks {
            text.push_str(&decoder.push(chunk));
            assert!(decoder.pending.len() <= 3);
        }
        text + &decoder.finish()
    }

    #[test]
    fn a_character_cut_in_four_comes_out_whole() {
        assert_eq!(decode("🦀".as_bytes().chunks(1)), "🦀");
    }

    #[test]
    fn a_character_that_never_ends_is_replaced_at_the_end() {
        let mut decoder = Utf8Decoder::new();
        assert_eq!(decoder.push(b"a\xf0\x9f\xa6"), "a");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn text_survives_any_cut(text in any::<String>(), size in 1_usize..6) {
            prop_assert_eq!(decode(text.as_bytes().chunks(size)), text);
        }

        #[test]
        fn any_bytes_decode_as_they_would_in_one_piece(
            bytes in proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0xf0), Just(0x9f), Just(0xc3)],
                0..60,
            ),
            size in 1_usize..6,
        ) {
            prop_assert_eq!(decode(bytes.chunks(size)), String::from_utf8_lossy(&bytes));
        }
    }
}
