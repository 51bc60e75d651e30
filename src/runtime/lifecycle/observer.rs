//! Receivers of lifecycle events: observers, which are called, and streams, which are read.
//!
//! An observer is called where the event happens, so it must be quick. A stream of [`Events`] can
//! be read at any speed: it holds a bounded number of events, drops the oldest for a new one, and
//! counts the dropped ones.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender};
use futures_lite::Stream;

use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::panic;
use crate::sync::lock;

/// The callbacks and streams that receive a system's lifecycle events.
#[derive(Clone, Default)]
pub(crate) struct Observer {
    callback: Option<ObserverFn>,
    broadcaster: Arc<EventBroadcaster>,
}

type ObserverFn = Arc<dyn Fn(&Lifecycle) + Send + Sync>;

impl Observer {
    /// Sends events to the streams of `broadcaster` too.
    pub(crate) fn with_broadcaster(self, broadcaster: Arc<EventBroadcaster>) -> Observer {
        Observer { broadcaster, ..self }
    }

    /// Adds `callback`, which is called after those added before it.
    pub(crate) fn chain(self, callback: impl Fn(&Lifecycle) + Send + Sync + 'static) -> Observer {
        let callback: ObserverFn = match self.callback {
            None => Arc::new(callback),
            Some(first) => Arc::new(move |event| {
                first(event);
                callback(event);
            }),
        };
        Observer { callback: Some(callback), ..self }
    }

    /// Publishes an event. The event is only made if there is a callback or a stream.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Lifecycle) {
        let has_subscribers = self.broadcaster.has_subscribers.load(Ordering::Relaxed);
        if self.callback.is_none() && !has_subscribers {
            return;
        }
        let event = event();
        if let Some(callback) = &self.callback {
            // A panic in a callback must crash neither the actor of the event nor its supervisor.
            panic::catch_and_log("an observer", || callback(&event));
        }
        if has_subscribers {
            self.broadcaster.send(&event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.callback.is_some() { "Observer(..)" } else { "Observer(none)" })
    }
}

/// The streams of a system's events. A stream can subscribe before the system runs or later.
#[derive(Debug, Default)]
pub(crate) struct EventBroadcaster {
    has_subscribers: AtomicBool,
    is_closed: AtomicBool,
    senders: Mutex<Vec<EventSender>>,
}

#[derive(Debug)]
struct EventSender {
    sender: Sender<Lifecycle>,
    missed: Arc<AtomicU64>,
}

impl EventBroadcaster {
    /// Returns a new stream of at most `capacity` events (at least 1).
    pub(crate) fn subscribe(&self, capacity: usize) -> Events {
        let (sender, receiver) = async_channel::bounded(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let mut senders = self.senders();
        if !self.is_closed.load(Ordering::SeqCst) {
            senders.push(EventSender { sender, missed: missed.clone() });
            self.has_subscribers.store(true, Ordering::SeqCst);
        }
        drop(senders);
        Events { receiver: Box::pin(receiver), missed }
    }

    fn senders(&self) -> MutexGuard<'_, Vec<EventSender>> {
        lock(&self.senders)
    }

    fn send(&self, event: &Lifecycle) {
        let mut senders = self.senders();
        senders.retain(|sender| match sender.sender.force_send(event.clone()) {
            Ok(oldest) => {
                sender.missed.fetch_add(u64::from(oldest.is_some()), Ordering::Relaxed);
                true
            }
            // The stream was dropped.
            Err(_) => false,
        });
        self.has_subscribers.store(!senders.is_empty(), Ordering::SeqCst);
    }

    /// Ends every stream after the events that it holds.
    pub(crate) fn close(&self) {
        let mut senders = self.senders();
        self.is_closed.store(true, Ordering::SeqCst);
        senders.clear();
    }
}

/// A stream of a system's lifecycle events, made by
/// [`Handle::events`](crate::runtime::Handle::events).
#[derive(Debug)]
pub struct Events {
    receiver: Pin<Box<Receiver<Lifecycle>>>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// Returns the number of events that were dropped because the stream was full.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Stream for Events {
    type Item = Lifecycle;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Lifecycle>> {
        self.receiver.as_mut().poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::StreamExt;
    use futures_lite::future::block_on;

    use super::*;
    use crate::runtime::tree::path::{Name, Path};

    fn event(number: u64) -> Lifecycle {
        Lifecycle::Ignored { path: Path::root(Name::Number(number)) }
    }

    #[test]
    fn full_stream_keeps_newest_events() {
        let broadcaster = Arc::new(EventBroadcaster::default());
        let observer = Observer::default().with_broadcaster(broadcaster.clone());
        observer.emit(|| unreachable!("there is no subscriber"));
        let events = broadcaster.subscribe(2);
        for number in 0..5 {
            observer.emit(|| event(number));
        }
        broadcaster.close();
        assert_eq!(events.missed(), 3);
        let paths: Vec<_> = block_on(events.map(|event| event.path().to_string()).collect());
        assert_eq!(paths, ["3", "4"]);
    }

    #[test]
    fn dropped_stream_is_removed() {
        let broadcaster = Arc::new(EventBroadcaster::default());
        let observer = Observer::default().with_broadcaster(broadcaster.clone());
        drop(broadcaster.subscribe(1));
        observer.emit(|| event(0));
        observer.emit(|| unreachable!("the only subscriber is gone"));
    }
}
