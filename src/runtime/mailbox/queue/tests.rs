//! The queue by itself; see `control/tests.rs` for why this is not in the file that it tests.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::block_on;

use super::queue::{PushError, Queue};

#[derive(Default)]
struct SenderWaker(AtomicUsize);

impl Wake for SenderWaker {
    fn wake(self: Arc<SenderWaker>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A sender that waits, and how often it was woken.
fn counting_waker() -> (Arc<SenderWaker>, Waker) {
    let woken = Arc::new(SenderWaker::default());
    (woken.clone(), Waker::from(woken))
}

fn wake_count(woken: &SenderWaker) -> usize {
    woken.0.load(Ordering::SeqCst)
}

#[test]
fn the_sender_that_has_waited_longest_is_woken_first_and_one_for_each_place() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let mut waiting: Vec<_> = (1..=3).map(|number| (number, counting_waker(), None)).collect();
    for (number, (_, waker), place) in &mut waiting {
        let cx = Context::from_waker(waker);
        assert_eq!(queue.push_or_register(*number, place, &cx), Err(PushError::Full(*number)));
    }
    assert_eq!(queue.try_pop(), Some(0));
    let woken: Vec<_> = waiting.iter().map(|(_, (woken, _), _)| wake_count(woken)).collect();
    assert_eq!(woken, [1, 0, 0]);
}

#[test]
fn a_sender_that_is_woken_in_vain_keeps_its_place_before_the_others() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let ((first, one), (second, other)) = (counting_waker(), counting_waker());
    let (mut place, mut behind) = (None, None);
    let wait = |place: &mut _, waker| queue.push_or_register(1, place, &Context::from_waker(waker));
    assert!(wait(&mut place, &one).is_err() && wait(&mut behind, &other).is_err());
    assert_eq!(queue.try_pop(), Some(0));
    // Somebody else was quicker.
    queue.try_push(2).unwrap();
    assert!(wait(&mut place, &one).is_err());
    assert_eq!(queue.try_pop(), Some(2));
    assert_eq!((wake_count(&first), wake_count(&second)), (2, 0));
}

#[test]
fn a_sender_that_was_woken_and_gives_up_hands_the_room_on() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let ((first, one), (second, other)) = (counting_waker(), counting_waker());
    let (mut place, mut behind) = (None, None);
    let wait = |place: &mut _, waker| queue.push_or_register(1, place, &Context::from_waker(waker));
    assert!(wait(&mut place, &one).is_err() && wait(&mut behind, &other).is_err());
    assert_eq!(queue.try_pop(), Some(0));
    assert_eq!((wake_count(&first), wake_count(&second)), (1, 0));
    queue.cancel_push(place.unwrap());
    assert_eq!(wake_count(&second), 1);
    // Who gives up without having been woken takes nobody's room.
    queue.try_push(3).unwrap();
    assert!(wait(&mut behind, &other).is_err());
    queue.cancel_push(behind.unwrap());
    assert_eq!(queue.try_pop(), Some(3));
    assert_eq!(wake_count(&second), 1);
}

#[test]
fn a_close_refuses_those_who_wait_and_hands_over_what_waits() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let (woken, waker) = counting_waker();
    let (mut place, cx) = (None, Context::from_waker(&waker));
    assert!(queue.push_or_register(1, &mut place, &cx).is_err());
    assert_eq!(queue.close(), [0]);
    assert_eq!(wake_count(&woken), 1);
    assert_eq!(queue.push_or_register(1, &mut place, &cx), Err(PushError::Closed(1)));
    assert_eq!((queue.force_push(2), queue.len()), (Err(PushError::Closed(2)), 0));
}

#[test]
fn the_reader_is_woken_by_a_message_and_forgotten_when_it_leaves() {
    let queue = Queue::new(4);
    let (woken, waker) = counting_waker();
    let cx = Context::from_waker(&waker);
    assert!(queue.poll_pop(&cx).is_pending());
    queue.try_push(1).unwrap();
    queue.try_push(2).unwrap();
    assert_eq!(wake_count(&woken), 1);
    assert_eq!(block_on(poll_fn(|cx| queue.poll_pop(cx))), 1);
    assert_eq!(queue.poll_pop(&cx), Poll::Ready(2));
    assert!(queue.poll_pop(&cx).is_pending());
    queue.clear_reader();
    queue.try_push(3).unwrap();
    assert_eq!(wake_count(&woken), 1);
}
