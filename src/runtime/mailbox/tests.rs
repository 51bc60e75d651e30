//! Tests of the overflow rules, and of a closed mailbox.

use std::future::poll_fn;

use futures_lite::future::{block_on, poll_once};

use crate::runtime::mailbox::*;

fn full_mailbox(overflow: Overflow) -> Arc<Mailbox<u8>> {
    let mailbox = Mailbox::new(2);
    mailbox.set_overflow(overflow);
    mailbox.try_send(1).unwrap();
    mailbox.try_send(2).unwrap();
    mailbox
}

fn drain_queue(mailbox: &Mailbox<u8>) -> Vec<u8> {
    std::iter::from_fn(|| mailbox.queue().try_pop()).collect()
}

#[test]
fn wait_delays_sender() {
    let mailbox = full_mailbox(Overflow::Wait);
    assert_eq!(mailbox.try_send(3), Err(SendError::Full(3)));
    let mut send = Box::pin(mailbox.send(3));
    assert!(block_on(poll_once(&mut send)).is_none());
    assert_eq!(mailbox.queue().try_pop(), Some(1));
    block_on(send).unwrap();
    assert_eq!((drain_queue(&mailbox), mailbox.dropped()), (vec![2, 3], 0));
}

#[test]
fn drop_newest_keeps_queued_messages() {
    let mailbox = full_mailbox(Overflow::DropNewest);
    assert_eq!(block_on(mailbox.send(3)), Ok(()));
    assert_eq!((drain_queue(&mailbox), mailbox.dropped()), (vec![1, 2], 1));
}

#[test]
fn drop_oldest_keeps_new_messages() {
    let mailbox = full_mailbox(Overflow::DropOldest);
    assert_eq!(block_on(mailbox.send(3)), Ok(()));
    assert_eq!(mailbox.try_send(4), Ok(()));
    assert_eq!((drain_queue(&mailbox), mailbox.dropped()), (vec![3, 4], 2));
}

#[test]
fn fail_returns_message() {
    let mailbox = full_mailbox(Overflow::Fail);
    assert_eq!(block_on(mailbox.send(3)), Err(SendError::Full(3)));
    assert_eq!((drain_queue(&mailbox), mailbox.dropped()), (vec![1, 2], 0));
}

#[test]
fn messages_of_other_thread_arrive_in_order() {
    let mailbox = Mailbox::new(2);
    let sender = mailbox.clone();
    let sending = std::thread::spawn(move || {
        (0..20).for_each(|n| block_on(sender.send(n)).unwrap());
    });
    let next = || block_on(poll_fn(|cx| mailbox.queue().poll_pop(cx)));
    let seen: Vec<u8> = (0..20).map(|_| next()).collect();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    sending.join().unwrap();
    mailbox.close();
}

#[test]
fn closed_mailbox_rejects_under_every_rule() {
    for overflow in [Overflow::Wait, Overflow::DropNewest, Overflow::DropOldest, Overflow::Fail] {
        let mailbox = full_mailbox(overflow);
        mailbox.close();
        assert_eq!(block_on(mailbox.send(3)), Err(SendError::Closed(3)));
    }
}
