//! The queue by which other threads hand runnable tasks to a worker.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use crate::sync::{Mutex, MutexGuard, lock};

/// A queue of items from other threads for one worker, with the waker of the worker's thread.
///
/// Only the first item of an empty queue wakes the worker: it takes all items at once.
pub(crate) struct Injector<T>(Mutex<InjectorState<T>>);

struct InjectorState<T> {
    items: VecDeque<T>,
    /// Wakes the worker's thread. `None` after the worker has ended.
    waker: Option<Waker>,
}

impl<T> Injector<T> {
    /// Creates an empty queue. `waker` wakes the worker's thread.
    pub(crate) fn new(waker: Waker) -> Injector<T> {
        Injector(Mutex::new(InjectorState { items: VecDeque::new(), waker: Some(waker) }))
    }

    fn state(&self) -> MutexGuard<'_, InjectorState<T>> {
        lock(&self.0)
    }

    /// Adds an item, and wakes the worker if the queue was empty.
    ///
    /// After the end of the worker the item stays in the queue and is not dropped here: the calling
    /// thread may hold a lock that the item's drop would wait for.
    pub(crate) fn push(&self, item: T) {
        let mut state = self.state();
        let waker = if state.items.is_empty() { state.waker.clone() } else { None };
        state.items.push_back(item);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Moves all items to the end of `items`. Returns whether there were any.
    pub(crate) fn take_into(&self, items: &mut VecDeque<T>) -> bool {
        let mut state = self.state();
        // Usually there are none, and appending none takes longer than this check.
        if state.items.is_empty() {
            return false;
        }
        items.append(&mut state.items);
        true
    }

    /// Forgets the waker, and drops the items and those that their drops add.
    pub(crate) fn close(&self) {
        loop {
            let mut state = self.state();
            let (items, waker) = (mem::take(&mut state.items), state.waker.take());
            drop(state);
            drop(waker);
            if items.is_empty() {
                return;
            }
            drop(items);
        }
    }
}
