//! Who is told of lifecycle events: observers, which are called, and streams, which are read.
//!
//! An observer is called where the event happens, so it must be quick. A stream of [`Events`] may be read at
//! leisure: it holds a bounded number of events, drops the oldest for a new one, and counts what it dropped.

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

/// Whoever watches the lives of a system's actors.
#[derive(Clone, Default)]
pub(crate) struct Observer {
    callback: Option<ObserverFn>,
    broadcaster: Arc<EventBroadcaster>,
}

type ObserverFn = Arc<dyn Fn(&Lifecycle) + Send + Sync>;

impl Observer {
    /// Tells those that subscribe to `broadcaster` too.
    pub(crate) fn with_broadcaster(self, hub: Arc<EventBroadcaster>) -> Observer {
        Observer { broadcaster: hub, ..self }
    }

    /// Adds `callback` behind those that are there already.
    pub(crate) fn chain(self, watch: impl Fn(&Lifecycle) + Send + Sync + 'static) -> Observer {
        let watch: ObserverFn = match self.callback {
            None => Arc::new(watch),
            Some(first) => Arc::new(move |event| {
                first(event);
                watch(event);
            }),
        };
        Observer { callback: Some(watch), ..self }
    }

    /// Tells an event, made only if somebody watches.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Lifecycle) {
        let subscribed = self.broadcaster.has_subscribers.load(Ordering::Relaxed);
        if self.callback.is_none() && !subscribed {
            return;
        }
        let event = event();
        if let Some(watch) = &self.callback {
            // What it throws is nobody's crash: neither the actor's that it is told of, nor the supervisor's.
            panic::catch_and_log("an observer", || watch(&event));
        }
        if subscribed {
            self.broadcaster.send(&event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.callback.is_some() { "Observer(..)" } else { "Observer(nobody)" })
    }
}

/// Where streams of events are subscribed to, before the system runs or later.
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
    pub(crate) fn subscribe(&self, capacity: usize) -> Events {
        let (sender, receiver) = async_channel::bounded(capacity.max(1));
        let missed = Arc::new(AtomicU64::new(0));
        let mut subscribers = self.senders();
        if !self.is_closed.load(Ordering::SeqCst) {
            subscribers.push(EventSender { sender, missed: missed.clone() });
            self.has_subscribers.store(true, Ordering::SeqCst);
        }
        drop(subscribers);
        Events { receiver: Box::pin(receiver), missed }
    }

    fn senders(&self) -> MutexGuard<'_, Vec<EventSender>> {
        lock(&self.senders)
    }

    fn send(&self, event: &Lifecycle) {
        let mut subscribers = self.senders();
        subscribers.retain(|subscriber| match subscriber.sender.force_send(event.clone()) {
            Ok(oldest) => {
                subscriber.missed.fetch_add(u64::from(oldest.is_some()), Ordering::Relaxed);
                true
            }
            // The stream was dropped.
            Err(_) => false,
        });
        self.has_subscribers.store(!subscribers.is_empty(), Ordering::SeqCst);
    }

    /// Ends every stream behind the events that it holds.
    pub(crate) fn close(&self) {
        let mut subscribers = self.senders();
        self.is_closed.store(true, Ordering::SeqCst);
        subscribers.clear();
    }
}

/// A stream of a system's lifecycle events; made by [`Handle::events`](crate::runtime::Handle::events).
#[derive(Debug)]
pub struct Events {
    receiver: Pin<Box<Receiver<Lifecycle>>>,
    missed: Arc<AtomicU64>,
}

impl Events {
    /// Returns how many events were dropped because the stream held as many as it may.
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
    use crate::runtime::Path;
    use crate::runtime::tree::path::Name;

    fn event(number: u64) -> Lifecycle {
        Lifecycle::Ignored { path: Path::root(Name::Number(number)) }
    }

    #[test]
    fn a_stream_holds_the_newest_events_and_counts_the_rest() {
        let hub = Arc::new(EventBroadcaster::default());
        let observer = Observer::default().with_broadcaster(hub.clone());
        observer.emit(|| unreachable!("nobody watches"));
        let events = hub.subscribe(2);
        for number in 0..5 {
            observer.emit(|| event(number));
        }
        hub.close();
        assert_eq!(events.missed(), 3);
        let seen: Vec<_> = block_on(events.map(|event| event.path().to_string()).collect());
        assert_eq!(seen, ["3", "4"]);
    }

    #[test]
    fn a_dropped_stream_is_forgotten() {
        let hub = Arc::new(EventBroadcaster::default());
        let observer = Observer::default().with_broadcaster(hub.clone());
        drop(hub.subscribe(1));
        observer.emit(|| event(0));
        observer.emit(|| unreachable!("nobody watches any more"));
    }
}
