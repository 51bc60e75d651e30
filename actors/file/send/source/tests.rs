//! Tests of reading a file in chunks, together with the batches that carry them.

use crate::actors::file::send::pipeline::{FillOutcome, FrameBatch};
use crate::actors::file::send::source::*;
use crate::wire::file::digest::hash_chunk_list;
use crate::wire::file::{Frame, FrameReader, FrameWriter};

/// Sends the rest of a file. Returns the numbers of the chunks in the frames, and the last outcome.
fn send_remainder(source: &mut SourceFile) -> (Vec<u64>, io::Result<FillOutcome>) {
    let (mut frame_writer, mut reader) = (FrameWriter::default(), FrameReader::default());
    let (mut batch, mut numbers) = (FrameBatch::new(), Vec::new());
    loop {
        let filled = batch.fill(source, &mut frame_writer);
        reader.push(batch.frames());
        while let Some(frame) = reader.next_frame().unwrap() {
            if let Frame::Data { number, hash, bytes } = frame {
                assert_eq!(hash, hash_chunk(number, bytes));
                numbers.push(number);
            }
        }
        if !matches!(filled, Ok(FillOutcome::More)) {
            return (numbers, filled);
        }
    }
}

fn send_to_end(source: &mut SourceFile) -> (Vec<u64>, FillOutcome) {
    let (numbers, filled) = send_remainder(source);
    (numbers, filled.unwrap())
}

#[test]
fn source_starts_after_chunks_of_receiver() {
    for length in
        [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 9 * CHUNK_SIZE + 77, 40 * CHUNK_SIZE]
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..length).map(|k| (k / 5) as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        let end = FillOutcome::End(blake3::hash(&bytes).into());
        let hashes: Vec<_> =
            (0..).zip(bytes.chunks(CHUNK_SIZE)).map(|(k, c)| hash_chunk(k, c)).collect();
        let numbers = |from: usize| (from as u64..hashes.len() as u64).collect::<Vec<_>>();
        let mut used = SourceFile::open(file.path(), None).unwrap();
        assert_eq!(used.start_after(0, &[0; 32]).unwrap(), 0);
        assert_eq!(send_to_end(&mut used), (numbers(0), end));
        for count in (0..=hashes.len()).rev() {
            // `used` is the same source after a lost connection, `fresh` that of a new process.
            let mut fresh = SourceFile::open(file.path(), None).unwrap();
            for source in [&mut used, &mut fresh] {
                let next =
                    source.start_after(count as u64, &hash_chunk_list(&hashes[..count])).unwrap();
                assert_eq!(next, count as u64);
                assert_eq!(send_to_end(source), (numbers(count), end), "{length}, {count} chunks");
                assert_eq!(source.position(), length as u64);
            }
        }
        assert_eq!(used.start_after(hashes.len() as u64, &[7; 32]).unwrap(), 0);
        assert_eq!(used.start_after(u64::MAX, &[7; 32]).unwrap(), 0);
        assert_eq!(send_to_end(&mut used), (numbers(0), end));
    }
}

#[test]
fn changed_file_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for length in [2 * CHUNK_SIZE, 4 * CHUNK_SIZE] {
        std::fs::write(&file, vec![1; 3 * CHUNK_SIZE]).unwrap();
        let mut source = SourceFile::open(file.path(), None).unwrap();
        source.start_after(0, &[0; 32]).unwrap();
        std::fs::write(&file, vec![1; length]).unwrap();
        let error = send_remainder(&mut source).1.unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }
}

#[test]
fn growing_file_is_read_to_its_first_size() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![1; 3 * CHUNK_SIZE]).unwrap();
    let mut source = SourceFile::open(file.path(), None).unwrap();
    source.start_after(0, &[0; 32]).unwrap();
    std::fs::write(&file, vec![1; 90 * CHUNK_SIZE]).unwrap();
    let (numbers, end) = send_remainder(&mut source);
    assert!(end.unwrap_err().to_string().contains("changed"));
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn stdin_is_sent_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![1; 2 * CHUNK_SIZE + 3]).unwrap();
    let stdin = Arc::new(File::open(&file).unwrap());
    let mut source = SourceFile::open(Path::new("-"), Some(stdin)).unwrap();
    assert_eq!(source.offer(b"stdin").size, None);
    assert!(source.is_rewindable());
    // Chunks of an earlier stdin on the server are ignored.
    assert_eq!(
        source.start_after(1, &hash_chunk_list(&[hash_chunk(0, &[1; CHUNK_SIZE])])).unwrap(),
        0
    );
    assert_eq!(send_to_end(&mut source).0, [0, 1, 2]);
    assert!(!source.is_rewindable());
}

#[test]
fn generated_file_has_unknown_size() {
    let mut source = SourceFile::open(Path::new("/proc/version"), None).unwrap();
    assert_eq!(source.offer(b"version").size, None);
    let version = std::fs::read("/proc/version").unwrap();
    assert_eq!(
        send_to_end(&mut source),
        (vec![0], FillOutcome::End(blake3::hash(&version).into()))
    );
}

#[test]
fn directories_and_devices_are_rejected() {
    let directory = SourceFile::open(Path::new("/tmp"), None).unwrap_err();
    assert_eq!(directory.kind(), io::ErrorKind::IsADirectory);
    let device = SourceFile::open(Path::new("/dev/null"), None).unwrap_err();
    assert!(device.to_string().contains("through stdin"), "{device}");
}
