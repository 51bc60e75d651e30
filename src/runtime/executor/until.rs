//! Waiting for a condition that others bring about.

use event_listener::Event;

/// Waits until `ready`, which can only become so when `changed` is notified behind it. Cancel-safe.
pub(crate) async fn wait_until(changed: &Event, ready: impl Fn() -> bool) {
    while !ready() {
        let notified = changed.listen();
        // A change that came before the listener was there notified nobody: look again.
        if ready() {
            return;
        }
        notified.await;
    }
}
