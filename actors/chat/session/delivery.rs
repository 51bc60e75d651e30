//! How a room's lines pass from the ring to a peer.
//!
//! As they are, and with one call, as long as the peer takes what it is sent; what it does not take is held in its
//! outbox, and nothing more is heard for it until that is written.

use std::cell::RefCell;
use std::io;
use std::task::Poll;

use crate::actors::chat::broadcast::subscription::{Ear, Heard, Lines};
use crate::actors::chat::session::io::ENOUGH;
use crate::actors::chat::session::outbox::Outbox;
use crate::net::Stream;

thread_local! {
    static LINES: RefCell<Lines> = const { RefCell::new(Lines::new()) };
}

/// Writes what there is to hear as it is, many lines in one piece. Is pending once the peer took all that there is; what
/// it did not take is in the outbox.
pub(crate) fn poll_pass(
    stream: &Stream,
    outbox: &mut Outbox,
    ear: &mut Ear,
) -> Poll<io::Result<()>> {
    LINES.with_borrow_mut(|lines| {
        let more = match ear.gather(lines, ENOUGH) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        };
        let passed = pass(stream, outbox, ear, lines, more);
        // What is shared is not held on to until the next session's turn.
        lines.clear();
        passed
    })
}

/// Writes what was gathered; `more` tells whether that was all.
fn pass(
    stream: &Stream,
    outbox: &mut Outbox,
    ear: &mut Ear,
    lines: &Lines,
    more: Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let mut written = 0;
    if lines.length > 0 {
        written = match lines.write(|slices| stream.try_write_vectored(slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            tried => tried?,
        };
    }
    let Lines { ends, after, .. } = lines;
    let whole = ends.partition_point(|(end, _)| *end <= written);
    let Some((end, next)) = ends.get(whole) else {
        if lines.length == 0 && more.is_ready() {
            // It was overtaken, and is told so.
            take_in(ear, outbox, as_it_is);
        } else {
            ear.go_to(*after);
        }
        return more;
    };
    let (begin, at) = if whole > 0 { ends[whole - 1] } else { (0, ear.at()) };
    ear.go_to(at);
    if written > begin {
        outbox.rest(lines.part(written, *end).into());
        ear.go_to(*next);
    }
    take_in(ear, outbox, as_it_is);
    Poll::Ready(Ok(()))
}

/// Takes what there is to hear into the outbox.
pub(crate) fn take_in(
    ear: &mut Ear,
    outbox: &mut Outbox,
    mut word: impl FnMut(Heard, &mut Outbox),
) {
    ear.hear(|heard| {
        word(heard, outbox);
        outbox.len() < ENOUGH
    });
}

/// Puts what was heard into the outbox as it is.
pub(crate) fn as_it_is(heard: Heard, outbox: &mut Outbox) {
    match heard {
        Heard::Said(said) => outbox.share(said),
        Heard::Missed(missed) => outbox.push(format!("* you missed {missed} messages\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::actors::chat::broadcast::log::Ring;

    #[test]
    fn what_a_slow_peer_does_not_take_at_once_it_is_sent_later_and_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let ring = Ring::default();
        let (mut ear, mut outbox) = (ring.ear(1), Outbox::default());
        let (mut expected, mut heard) = (Vec::new(), Vec::new());
        for k in 0..3000 {
            let line = format!("{k} {}\n", "x".repeat(k % if k % 50 == 3 { 3000 } else { 300 }));
            let own = k % 5 == 0;
            if !own {
                expected.extend_from_slice(line.as_bytes());
            }
            ring.say(own.then_some(1), line, SystemTime::UNIX_EPOCH);
        }
        let mut was_cut = false;
        while heard.len() < expected.len() {
            outbox.flush(&ours, Instant::now).unwrap();
            if outbox.is_empty() {
                if let Poll::Ready(passed) = poll_pass(&ours, &mut outbox, &mut ear) {
                    passed.unwrap();
                }
                was_cut |= outbox.own() > 0;
            }
            theirs.try_read_with(|bytes| heard.extend_from_slice(bytes)).unwrap();
        }
        assert!(was_cut && heard == expected);
    }
}
