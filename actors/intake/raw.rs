//! A raw upload: the bytes are the file, which has neither a name nor a length.
//!
//! It is whole when the sender has closed its side, and gets the next number then.

use std::io;
use std::sync::Arc;

use blake3::Hasher;

use super::super::vault::Part;
use super::super::{Vault, VaultError};
use super::{News, PIECE, READ, Worked};
use crate::net::Stream;

/// A raw upload. Nothing is claimed before its first byte.
#[derive(Debug)]
pub(in super::super) struct Raw {
    vault: Arc<Vault>,
    part: Option<Part>,
    /// Where its digest is asked for.
    hasher: Option<Box<Hasher>>,
    /// What was read of it before it was known to be raw.
    first: Vec<u8>,
}

impl Raw {
    pub(in super::super) fn new(vault: Arc<Vault>, digest: bool, first: Vec<u8>) -> Raw {
        let hasher = digest.then(|| Box::new(Hasher::new()));
        Raw { vault, part: None, hasher, first }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.part.is_none() && self.first.is_empty()
    }

    pub(super) fn work(&mut self, stream: &Stream, news: &mut Vec<News>) -> Worked {
        match self.take(stream) {
            Ok(Taken::Idle) => Worked::Idle,
            Ok(Taken::More) => Worked::More,
            Ok(Taken::End) => match self.finish() {
                Ok(None) => Worked::Over(Ok("closed without sending anything".into())),
                Ok(Some(stored)) => {
                    news.push(stored);
                    Worked::Over(Ok("stored".into()))
                }
                Err(error) => Worked::Over(Err(error)),
            },
            Ok(Taken::Lost(why)) => Worked::Over(Ok(why)),
            Err(error) => {
                // Half an upload helps nobody; the space helps the others.
                if let Some(part) = self.part.take() {
                    part.discard();
                }
                Worked::Over(Err(error))
            }
        }
    }

    fn take(&mut self, stream: &Stream) -> Result<Taken, VaultError> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            self.write(&first)?;
        }
        let (mut taken, mut buffer) = (0, vec![0; READ]);
        while taken < PIECE {
            match stream.try_read(&mut buffer) {
                Ok(0) => return Ok(Taken::End),
                Ok(length) => {
                    self.write(&buffer[..length])?;
                    taken += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Taken::Idle),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Taken::Lost(error.to_string())),
            }
        }
        self.part.as_mut().map_or(Ok(()), Part::checkpoint)?;
        Ok(Taken::More)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        let part = match &mut self.part {
            Some(part) => part,
            none => none.insert(self.vault.claim_number()?),
        };
        part.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<News>, VaultError> {
        let Some(part) = self.part.take() else { return Ok(None) };
        let (length, digest) = (part.length(), self.hasher.as_ref().map(|h| h.finalize().into()));
        Ok(Some(News::Stored(length, digest, part.commit()?)))
    }

    pub(super) fn leave(self) -> Option<String> {
        let part = self.part?;
        let (length, name) = (part.length(), part.hidden_name());
        part.pause();
        Some(format!("the {length} bytes so far are kept in {name}"))
    }
}

/// What came of reading.
enum Taken {
    Idle,
    More,
    End,
    Lost(String),
}
