//! The preamble of a framed connection: the signature, and the version that both sides speak.
//!
//! ```text
//! client hello   signature, lowest version, highest version
//! server hello   signature, chosen version; 0 if the server speaks none of them
//! ```
//!
//! A connection that does not begin with the signature is a raw upload: its bytes are the file.

use crate::wire::file::frame::{FrameError, VERSION};

/// The first bytes of a framed connection. No text begins with them.
pub const SIGNATURE: [u8; 8] = *b"\x89SAF\r\n\x1a\n";

/// The kind of a connection, as far as its first bytes show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// Undecided: more bytes are needed.
    Pending,
    /// A raw upload: the bytes are a file.
    Raw,
    /// A framed connection: the length of the client hello in bytes, and the version to speak.
    ///
    /// The version is 0 if both sides have none in common.
    Framed(usize, u8),
}

/// Detects the kind of a connection from its first bytes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::{Preamble, client_hello, detect_preamble};
///
/// assert_eq!(detect_preamble(b"\x89"), Preamble::Pending);
/// assert_eq!(detect_preamble(b"Hello"), Preamble::Raw);
/// assert_eq!(detect_preamble(&client_hello()), Preamble::Framed(10, 1));
/// ```
pub fn detect_preamble(bytes: &[u8]) -> Preamble {
    if !is_signature_prefix(bytes) {
        return Preamble::Raw;
    }
    match bytes.get(SIGNATURE.len()..SIGNATURE.len() + 2) {
        Some(&[lowest, highest]) => {
            let version = if (lowest..=highest).contains(&VERSION) { VERSION } else { 0 };
            Preamble::Framed(SIGNATURE.len() + 2, version)
        }
        _ => Preamble::Pending,
    }
}

/// Returns the client hello: the first bytes that a client sends.
pub fn client_hello() -> Vec<u8> {
    [&SIGNATURE[..], &[VERSION, VERSION]].concat()
}

/// Returns the server hello for `version`: the answer to a client hello.
pub fn server_hello(version: u8) -> Vec<u8> {
    [&SIGNATURE[..], &[version]].concat()
}

/// Parses a server hello, and returns its length in bytes and the server's version.
///
/// Returns `None` if more bytes are needed.
///
/// # Errors
///
/// Fails with [`FrameError::Signature`] if the peer does not speak this protocol, and with
/// [`FrameError::Version`] if it speaks another version.
pub fn parse_server_hello(bytes: &[u8]) -> Result<Option<(usize, u8)>, FrameError> {
    if !is_signature_prefix(bytes) {
        return Err(FrameError::Signature);
    }
    match bytes.get(SIGNATURE.len()) {
        Some(&VERSION) => Ok(Some((SIGNATURE.len() + 1, VERSION))),
        Some(_) => Err(FrameError::Version),
        None => Ok(None),
    }
}

/// Returns whether `bytes` begin with the signature, or are a prefix of it.
fn is_signature_prefix(bytes: &[u8]) -> bool {
    let len = bytes.len().min(SIGNATURE.len());
    bytes[..len] == SIGNATURE[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preamble_is_detected_at_first_wrong_byte() {
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
    fn server_hello_is_parsed_with_its_version() {
        assert_eq!(parse_server_hello(&server_hello(VERSION)), Ok(Some((9, VERSION))));
        assert_eq!(parse_server_hello(&server_hello(VERSION)[..8]), Ok(None));
        assert_eq!(parse_server_hello(&server_hello(0)), Err(FrameError::Version));
        assert_eq!(parse_server_hello(b"220 ftp"), Err(FrameError::Signature));
    }
}
