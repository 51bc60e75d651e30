//! A file on its way out: what a framed sender knows of it, whichever connection carries it.
//!
//! It reads and hashes each chunk once. The chunks' values are kept, so that after a lost connection the sender can tell
//! whether what the receiver holds is the beginning of this very file, without reading it again. All of this blocks: it
//! runs on a thread of the blocking pool.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::wire::digest::{Digest, Value, of_values, value};
use crate::wire::offer::{CHUNK, Frame, FrameWriter, Offer};

/// A file, or what comes through stdin.
#[derive(Debug)]
enum Source {
    File(File),
    Stdin,
}

/// A file on its way out.
#[derive(Debug)]
pub(super) struct Dispatch {
    source: Source,
    before: Option<Metadata>,
    /// The values of the chunks that were hashed.
    values: Vec<Value>,
    digest: Digest,
    /// The next chunk.
    number: u64,
    /// How many bytes were sent or skipped.
    at: u64,
    /// How many bytes were written into frames.
    pub(super) sent: u64,
    chunk: Box<[u8]>,
}

/// What came of filling a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is more.
    More,
    /// The file's end is in it, too: its size and its digest.
    End(u64, Value),
}

impl Dispatch {
    /// Opens a file, or stdin for `-`.
    ///
    /// # Errors
    ///
    /// What the file system says; a directory and a device are no files.
    pub(super) fn open(path: &Path) -> io::Result<Dispatch> {
        let (source, before) = if path.as_os_str() == "-" {
            (Source::Stdin, None)
        } else {
            let file = File::open(path)?;
            let before = file.metadata()?;
            match before.file_type() {
                kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                kind if !kind.is_file() => {
                    return Err(io::Error::other("it is no file; send it through stdin, as -"));
                }
                _ => (Source::File(file), Some(before)),
            }
        };
        let chunk = vec![0; CHUNK].into();
        let (values, digest) = (Vec::new(), Digest::default());
        Ok(Dispatch { source, before, values, digest, number: 0, at: 0, sent: 0, chunk })
    }

    /// Returns the offer of the file under a name.
    pub(super) fn offer<'a>(&self, name: &'a [u8]) -> Offer<'a> {
        let meta = self.before.as_ref();
        Offer {
            is_directory: false,
            size: meta.map(Metadata::len),
            mode: meta.map_or(0o644, Metadata::mode),
            modified: meta.map_or((0, 0), modified),
            name,
        }
    }

    /// Returns how many bytes of it were sent or held.
    pub(super) fn length(&self) -> u64 {
        self.at
    }

    /// Tells whether it can be sent once more from its beginning.
    pub(super) fn can_begin_again(&self) -> bool {
        matches!(self.source, Source::File(_)) || self.sent == 0
    }

    /// Begins, or begins again, with the chunk after those that the receiver holds if these are this file's; returns
    /// the number of that chunk.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(super) fn begin(&mut self, held: u64, digest: Value) -> io::Result<u64> {
        self.go_to(0);
        let Ok(count) = usize::try_from(held) else { return Ok(0) };
        let size = self.before.as_ref().map_or(0, Metadata::len);
        if count == 0 || held > size.div_ceil(CHUNK as u64) {
            return Ok(0);
        }
        while self.values.len() < count {
            let number = self.values.len() as u64;
            let length = self.read(number)?;
            if length == 0 {
                return Ok(0);
            }
            self.values.push(value(number, &self.chunk[..length]));
        }
        if of_values(&self.values[..count]) != digest {
            return Ok(0);
        }
        if held == 1 {
            // The digest of a file of one chunk is not told by its value.
            let length = self.read(0)?;
            self.digest.add(self.values[0], &self.chunk[..length]);
        } else {
            self.values[..count].iter().for_each(|value| self.digest.add_known(*value));
        }
        self.number = held;
        self.at = size.min(held * CHUNK as u64);
        Ok(held)
    }

    fn go_to(&mut self, number: u64) {
        (self.number, self.at, self.digest) = (number, 0, Digest::default());
    }

    /// Appends the frames of the next chunks, as long as there are fewer bytes than `most`.
    ///
    /// # Errors
    ///
    /// What the file system says, and `Other` for a file that changed since it was opened.
    pub(super) fn fill(
        &mut self,
        frames: &mut FrameWriter,
        to: &mut Vec<u8>,
        most: usize,
    ) -> io::Result<Filled> {
        while to.len() < most {
            let length = self.read(self.number)?;
            if length > 0 {
                let (number, bytes) = (self.number, &self.chunk[..length]);
                let value = match self.values.get(number as usize) {
                    Some(value) => *value,
                    None => value(number, bytes),
                };
                if number as usize == self.values.len() && self.before.is_some() {
                    self.values.push(value);
                }
                self.digest.add(value, bytes);
                frames.write(&Frame::Data { number, value, bytes }, to);
                self.number += 1;
                self.at += length as u64;
                self.sent += length as u64;
            }
            if length < CHUNK {
                let digest = std::mem::take(&mut self.digest).finish();
                let digest = digest.ok_or_else(|| io::Error::other("its digest is not known"))?;
                self.check()?;
                frames.write(&Frame::End { size: self.at, digest }, to);
                return Ok(Filled::End(self.at, digest));
            }
        }
        Ok(Filled::More)
    }

    /// Reads a chunk; it is shorter than others only at the end.
    fn read(&mut self, number: u64) -> io::Result<usize> {
        let mut length = 0;
        while length < CHUNK {
            let rest = &mut self.chunk[length..];
            let read = match &self.source {
                Source::File(file) => file.read_at(rest, number * CHUNK as u64 + length as u64),
                Source::Stdin => io::stdin().lock().read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(length)
    }

    /// Checks that the file is the one that was opened.
    fn check(&self) -> io::Result<()> {
        let (Source::File(file), Some(before)) = (&self.source, &self.before) else { return Ok(()) };
        let now = file.metadata()?;
        match now.len() == before.len() && modified(&now) == modified(before) && self.at == now.len()
        {
            true => Ok(()),
            false => Err(io::Error::other("it changed while it was sent; send it again")),
        }
    }
}

fn modified(meta: &Metadata) -> (i64, u32) {
    (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::offer::FrameReader;

    fn sent(dispatch: &mut Dispatch) -> (Vec<u64>, Filled) {
        let (mut frames, mut reader) = (FrameWriter::default(), FrameReader::default());
        let mut numbers = Vec::new();
        loop {
            let mut bytes = Vec::new();
            let filled = dispatch.fill(&mut frames, &mut bytes, 200_000).unwrap();
            reader.push(&bytes);
            while let Some(frame) = reader.next().unwrap() {
                if let Frame::Data { number, value: given, bytes } = frame {
                    assert_eq!(given, value(number, bytes));
                    numbers.push(number);
                }
            }
            if filled != Filled::More {
                return (numbers, filled);
            }
        }
    }

    #[test]
    fn a_file_is_sent_from_where_the_receiver_is_and_hashed_once() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 9 * CHUNK + 77] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let bytes: Vec<u8> = (0..length).map(|k| (k / 5) as u8).collect();
            std::fs::write(&file, &bytes).unwrap();
            let end = Filled::End(length as u64, blake3::hash(&bytes).into());
            let values: Vec<_> = (0..).zip(bytes.chunks(CHUNK)).map(|(k, c)| value(k, c)).collect();
            let mut dispatch = Dispatch::open(file.path()).unwrap();
            assert_eq!(dispatch.begin(0, [0; 32]).unwrap(), 0);
            assert_eq!(sent(&mut dispatch), ((0..values.len() as u64).collect(), end));
            for held in 0..=values.len() {
                // The same one after a lost connection, and another process's.
                for mut dispatch in [Dispatch::open(file.path()).unwrap()] {
                    let begun = dispatch.begin(held as u64, of_values(&values[..held])).unwrap();
                    assert_eq!(begun, held as u64);
                    let rest = (held as u64..values.len() as u64).collect();
                    assert_eq!(sent(&mut dispatch), (rest, end), "{length}, {held} held");
                }
            }
            assert_eq!(dispatch.begin(values.len() as u64, [7; 32]).unwrap(), 0);
            assert_eq!(dispatch.begin(u64::MAX, [7; 32]).unwrap(), 0);
            assert_eq!(sent(&mut dispatch).1, end);
        }
    }

    #[test]
    fn a_file_that_changes_meanwhile_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, vec![1; 3 * CHUNK]).unwrap();
        let mut dispatch = Dispatch::open(file.path()).unwrap();
        dispatch.begin(0, [0; 32]).unwrap();
        std::fs::write(&file, vec![1; 2 * CHUNK]).unwrap();
        let (mut frames, mut bytes) = (FrameWriter::default(), Vec::new());
        let error = dispatch.fill(&mut frames, &mut bytes, usize::MAX).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }

    #[test]
    fn directories_and_devices_are_no_files() {
        let directory = Dispatch::open(Path::new("/tmp")).unwrap_err();
        assert_eq!(directory.kind(), io::ErrorKind::IsADirectory);
        assert!(Dispatch::open(Path::new("/dev/null")).is_err());
    }
}
