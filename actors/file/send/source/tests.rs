//! Tests of a file on its way out.

use crate::actors::file::send::source::*;
use crate::wire::file::FrameReader;
use crate::wire::file::digest::hash_chunk_list;

/// Sends the rest; returns the numbers of the chunks that were in the frames, and how it ended.
fn send_remainder(dispatch: &mut SourceFile) -> (Vec<u64>, io::Result<FillOutcome>) {
    let (mut frames, mut reader) = (FrameWriter::default(), FrameReader::default());
    let (mut batch, mut numbers) = (FrameBatch::new(), Vec::new());
    loop {
        let filled = dispatch.fill(&mut frames, &mut batch);
        reader.push(batch.frames());
        while let Some(frame) = reader.next_frame().unwrap() {
            if let Frame::Data { number, hash: given, bytes } = frame {
                assert_eq!(given, hash_chunk(number, bytes));
                numbers.push(number);
            }
        }
        if !matches!(filled, Ok(FillOutcome::More)) {
            return (numbers, filled);
        }
    }
}

fn send_to_end(dispatch: &mut SourceFile) -> (Vec<u64>, FillOutcome) {
    let (numbers, filled) = send_remainder(dispatch);
    (numbers, filled.unwrap())
}

#[test]
fn a_file_is_sent_from_where_the_receiver_is() {
    for length in
        [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 9 * CHUNK_SIZE + 77, 40 * CHUNK_SIZE]
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..length).map(|k| (k / 5) as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        let end = FillOutcome::End(blake3::hash(&bytes).into());
        let values: Vec<_> =
            (0..).zip(bytes.chunks(CHUNK_SIZE)).map(|(k, c)| hash_chunk(k, c)).collect();
        let numbers = |from: usize| (from as u64..values.len() as u64).collect::<Vec<_>>();
        let mut used = SourceFile::open(file.path(), None).unwrap();
        assert_eq!(used.start_after(0, &[0; 32]).unwrap(), 0);
        assert_eq!(send_to_end(&mut used), (numbers(0), end));
        for held in (0..=values.len()).rev() {
            // The same one after a lost connection, and another process's.
            let mut fresh = SourceFile::open(file.path(), None).unwrap();
            for dispatch in [&mut used, &mut fresh] {
                let begun =
                    dispatch.start_after(held as u64, &hash_chunk_list(&values[..held])).unwrap();
                assert_eq!(begun, held as u64);
                assert_eq!(send_to_end(dispatch), (numbers(held), end), "{length}, {held} held");
                assert_eq!(dispatch.position(), length as u64);
            }
        }
        assert_eq!(used.start_after(values.len() as u64, &[7; 32]).unwrap(), 0);
        assert_eq!(used.start_after(u64::MAX, &[7; 32]).unwrap(), 0);
        assert_eq!(send_to_end(&mut used), (numbers(0), end));
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for length in [2 * CHUNK_SIZE, 4 * CHUNK_SIZE] {
        std::fs::write(&file, vec![1; 3 * CHUNK_SIZE]).unwrap();
        let mut dispatch = SourceFile::open(file.path(), None).unwrap();
        dispatch.start_after(0, &[0; 32]).unwrap();
        std::fs::write(&file, vec![1; length]).unwrap();
        let error = send_remainder(&mut dispatch).1.unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
    }
}

#[test]
fn a_file_that_grows_is_not_read_further_than_it_was() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![1; 3 * CHUNK_SIZE]).unwrap();
    let mut dispatch = SourceFile::open(file.path(), None).unwrap();
    dispatch.start_after(0, &[0; 32]).unwrap();
    std::fs::write(&file, vec![1; 90 * CHUNK_SIZE]).unwrap();
    let (numbers, end) = send_remainder(&mut dispatch);
    assert!(end.unwrap_err().to_string().contains("changed"));
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn stdin_is_sent_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, vec![1; 2 * CHUNK_SIZE + 3]).unwrap();
    let stdin = Arc::new(File::open(&file).unwrap());
    let mut dispatch = SourceFile::open(Path::new("-"), Some(stdin)).unwrap();
    assert_eq!(dispatch.offer(b"stdin").size, None);
    assert!(dispatch.is_rewindable());
    // What the receiver holds of another one's stdin is not looked at.
    assert_eq!(
        dispatch.start_after(1, &hash_chunk_list(&[hash_chunk(0, &[1; CHUNK_SIZE])])).unwrap(),
        0
    );
    assert_eq!(send_to_end(&mut dispatch).0, [0, 1, 2]);
    assert!(!dispatch.is_rewindable());
}

#[test]
fn what_the_kernel_makes_up_has_no_size_before() {
    let mut dispatch = SourceFile::open(Path::new("/proc/version"), None).unwrap();
    assert_eq!(dispatch.offer(b"version").size, None);
    let version = std::fs::read("/proc/version").unwrap();
    assert_eq!(
        send_to_end(&mut dispatch),
        (vec![0], FillOutcome::End(blake3::hash(&version).into()))
    );
}

#[test]
fn directories_pipes_and_devices_are_no_files() {
    let directory = SourceFile::open(Path::new("/tmp"), None).unwrap_err();
    assert_eq!(directory.kind(), io::ErrorKind::IsADirectory);
    let device = SourceFile::open(Path::new("/dev/null"), None).unwrap_err();
    assert!(device.to_string().contains("through stdin"), "{device}");
}
