//! Time limits, sizes and intervals of receiving files.

use std::time::Duration;

/// The time limit of each write of replies, in case the sender does not read them.
pub(super) const REPLY_WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time limit of closing a connection.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval of `wait` frames while the server still works on a file.
pub(super) const WAIT_FRAME_INTERVAL: Duration = Duration::from_secs(1);

/// The silence after which an upload yields its file to another connection that asks for it. That
/// connection is most likely from the same sender.
pub(super) const YIELD_AFTER: Duration = Duration::from_secs(2);

/// The silence after which the kernel probes the sender, if there is no idle timeout.
pub(super) const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);

/// The longest run of one job on the blocking pool. If others wait for a thread, a job ends after
/// its current step.
pub(super) const TIME_SLICE: Duration = Duration::from_millis(100);

/// The number of bytes read or hashed in one step, after which a job checks its time slice.
pub(super) const STEP_BYTES: usize = 8 << 20;

/// The number of hashes read from a checksum file in one step.
pub(super) const STEP_RECORDS: u64 = 16 << 10;

/// The number of answers that may wait to be written, after which no further frame is handled.
pub(super) const MAX_PENDING_ANSWERS: usize = 1;

/// The silence after which the space reserved for a file is released until its next data arrives.
pub(super) const RESERVATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The time over which the rate of a framed sender is averaged.
pub(super) const MIN_RATE_WINDOW: Duration = Duration::from_secs(60);

/// The longest file name in the log, in characters.
pub(super) const MAX_LOGGED_NAME: usize = 255;

/// The largest read, in bytes.
pub(super) const MAX_READ: usize = 256 << 10;

/// The size of a framed read, in bytes, as long as few bytes arrive. Clearing a large buffer costs
/// more than receiving the single bytes of a slow sender.
pub(super) const SMALL_READ: usize = 4 << 10;

/// The number of bytes in one job from which a sender is fast. The job waits for a fast sender on
/// its thread, because more bytes arrive soon.
pub(super) const FAST_SENDER_BYTES: u64 = 1 << 20;

/// The longest wait for a fast sender.
pub(super) const FAST_SENDER_WAIT: Duration = Duration::from_millis(2);

/// The number of raw bytes that are worth a job on the blocking pool. Fewer are buffered.
pub(super) const MIN_DISK_WRITE: usize = 4 << 10;

/// The longest time that raw bytes stay buffered.
pub(super) const MAX_BUFFER_AGE: Duration = Duration::from_secs(10);

/// The number of bytes from which a file's progress is reported. Otherwise many senders of single
/// bytes would cause a report for each byte.
pub(super) const MIN_PROGRESS_BYTES: u64 = 4 << 10;
