//! Tests of the queue alone. They are not in `queue.rs`, because `tests/loom` includes that file.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::future::block_on;

use crate::runtime::mailbox::queue::{PushError, Queue};

/// A waker that counts its wake-ups.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<CountingWaker>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting_waker() -> (Arc<CountingWaker>, Waker) {
    let counter = Arc::new(CountingWaker::default());
    (counter.clone(), Waker::from(counter))
}

fn wake_count(counter: &CountingWaker) -> usize {
    counter.0.load(Ordering::SeqCst)
}

#[test]
fn free_place_wakes_longest_waiting_sender() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let mut waiting: Vec<_> = (1..=3).map(|number| (number, counting_waker(), None)).collect();
    for (number, (_, waker), waiter_id) in &mut waiting {
        let cx = Context::from_waker(waker);
        assert_eq!(queue.push_or_register(*number, waiter_id, &cx), Err(PushError::Full(*number)));
    }
    assert_eq!(queue.try_pop(), Some(0));
    let woken: Vec<_> = waiting.iter().map(|(_, (counter, _), _)| wake_count(counter)).collect();
    assert_eq!(woken, [1, 0, 0]);
}

#[test]
fn sender_keeps_position_after_vain_wake() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let ((first, first_waker), (second, second_waker)) = (counting_waker(), counting_waker());
    let (mut first_id, mut second_id) = (None, None);
    let wait = |id: &mut _, waker| queue.push_or_register(1, id, &Context::from_waker(waker));
    assert!(
        wait(&mut first_id, &first_waker).is_err() && wait(&mut second_id, &second_waker).is_err()
    );
    assert_eq!(queue.try_pop(), Some(0));
    // Another message takes the room first.
    queue.try_push(2).unwrap();
    assert!(wait(&mut first_id, &first_waker).is_err());
    assert_eq!(queue.try_pop(), Some(2));
    assert_eq!((wake_count(&first), wake_count(&second)), (2, 0));
}

#[test]
fn cancelled_sender_passes_room_on() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let ((first, first_waker), (second, second_waker)) = (counting_waker(), counting_waker());
    let (mut first_id, mut second_id) = (None, None);
    let wait = |id: &mut _, waker| queue.push_or_register(1, id, &Context::from_waker(waker));
    assert!(
        wait(&mut first_id, &first_waker).is_err() && wait(&mut second_id, &second_waker).is_err()
    );
    assert_eq!(queue.try_pop(), Some(0));
    assert_eq!((wake_count(&first), wake_count(&second)), (1, 0));
    queue.cancel_push(first_id.unwrap());
    assert_eq!(wake_count(&second), 1);
    // A sender that gives up without a wake-up has no room to pass on.
    queue.try_push(3).unwrap();
    assert!(wait(&mut second_id, &second_waker).is_err());
    queue.cancel_push(second_id.unwrap());
    assert_eq!(queue.try_pop(), Some(3));
    assert_eq!(wake_count(&second), 1);
}

#[test]
fn close_rejects_senders_and_returns_messages() {
    let queue = Queue::new(1);
    queue.try_push(0).unwrap();
    let (counter, waker) = counting_waker();
    let (mut waiter_id, cx) = (None, Context::from_waker(&waker));
    assert!(queue.push_or_register(1, &mut waiter_id, &cx).is_err());
    assert_eq!(queue.close(), [0]);
    assert_eq!(wake_count(&counter), 1);
    assert_eq!(queue.push_or_register(1, &mut waiter_id, &cx), Err(PushError::Closed(1)));
    assert_eq!((queue.force_push(2), queue.len()), (Err(PushError::Closed(2)), 0));
}

#[test]
fn message_wakes_reader_until_cleared() {
    let queue = Queue::new(4);
    let (counter, waker) = counting_waker();
    let cx = Context::from_waker(&waker);
    assert!(queue.poll_pop(&cx).is_pending());
    queue.try_push(1).unwrap();
    queue.try_push(2).unwrap();
    assert_eq!(wake_count(&counter), 1);
    assert_eq!(block_on(poll_fn(|cx| queue.poll_pop(cx))), 1);
    assert_eq!(queue.poll_pop(&cx), Poll::Ready(2));
    assert!(queue.poll_pop(&cx).is_pending());
    queue.clear_reader();
    queue.try_push(3).unwrap();
    assert_eq!(wake_count(&counter), 1);
}
