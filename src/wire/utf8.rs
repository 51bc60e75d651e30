//! UTF-8 that arrives in chunks.
//!
//! The message of a lecture client is the result of one read, and a read may end in the middle of a
//! character. Decoding each chunk alone would turn that character into replacement characters.
//! [`Utf8Decoder`] keeps its first bytes for the next chunk instead.

/// A decoder of UTF-8 that arrives in chunks.
///
/// It keeps at most three bytes between two chunks, because a character has at most four. Invalid
/// bytes become U+FFFD by the rules of [`String::from_utf8_lossy`]. The result does not depend on
/// how the stream is split into chunks.
///
/// # Examples
///
/// ```
/// use sockactors::wire::utf8::Utf8Decoder;
///
/// let mut decoder = Utf8Decoder::new();
/// assert_eq!(decoder.push(b"caf\xc3"), "caf");
/// assert_eq!(decoder.push(b"\xa9!"), "é!");
/// assert_eq!(decoder.push(b"\xff"), "\u{fffd}");
/// assert_eq!(decoder.finish(), "");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Utf8Decoder {
    pending: Vec<u8>,
}

impl Utf8Decoder {
    /// Creates an empty decoder.
    pub fn new() -> Utf8Decoder {
        Utf8Decoder::default()
    }

    /// Decodes a chunk, together with the incomplete character at the end of the last one.
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

    /// Ends the stream. Returns U+FFFD for an incomplete character at its end, otherwise the empty
    /// string.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// Returns the length of the incomplete character at the end of `bytes`.
fn incomplete_tail_len(bytes: &[u8]) -> usize {
    // It has at most three bytes, because four bytes complete any character.
    (1..=bytes.len().min(3))
        .rev()
        .find(|&length| {
            let tail = &bytes[bytes.len() - length..];
            // `error_len` is `None` only if the tail begins a character. A tail that begins with a
            // continuation byte has an error of known length.
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
    fn character_split_into_bytes_is_decoded() {
        assert_eq!(decode("🦀".as_bytes().chunks(1)), "🦀");
    }

    #[test]
    fn incomplete_character_is_replaced_at_end() {
        let mut decoder = Utf8Decoder::new();
        assert_eq!(decoder.push(b"a\xf0\x9f\xa6"), "a");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn text_survives_any_split(text in any::<String>(), size in 1_usize..6) {
            prop_assert_eq!(decode(text.as_bytes().chunks(size)), text);
        }

        #[test]
        fn invalid_bytes_decode_as_in_one_piece(
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
