//! Signals: requests to stop, and callbacks.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;

use crate::runtime::lifecycle::panic;
use crate::runtime::system::handle::SystemShared;
use crate::runtime::tree::snapshot::Snapshot;

/// The time that a tree has to end after the second signal. Then the process exits.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// A function that takes the state of the tree.
type SnapshotCallback = Box<dyn Fn(&Snapshot) + Send>;

/// The functions that signals call.
#[derive(Default)]
pub(super) struct SignalCallbacks {
    /// At SIGUSR1.
    pub(super) usr1: Option<SnapshotCallback>,
    /// At SIGHUP. Without it, SIGHUP stops the tree.
    pub(super) hangup: Option<Box<dyn Fn() + Send>>,
}

impl fmt::Debug for SignalCallbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (usr1, hangup) = (self.usr1.is_some(), self.hangup.is_some());
        write!(f, "SignalCallbacks {{ usr1: {usr1}, hangup: {hangup} }}")
    }
}

/// Registers handlers in the place of the kernel's default actions. Logs an error.
///
/// A signal that the process ignores gets no handler.
pub(super) fn register_signals(callbacks: &SignalCallbacks) -> Option<Signals> {
    let mut signals = vec![Signal::Int, Signal::Term, Signal::Hup];
    if callbacks.usr1.is_some() {
        signals.push(Signal::Usr1);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_signals(&status);
    signals.retain(|signal| ignored & (1 << (*signal as i32 - 1)) == 0);
    match Signals::new(signals) {
        Ok(signals) => Some(signals),
        Err(error) => {
            log::error!("cannot handle signals: {error}");
            None
        }
    }
}

/// Returns the signals that a process ignores, from the text of its `/proc/PID/status` (proc(5)).
/// Bit 0 is signal 1.
fn ignored_signals(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Turns signals into stop requests and calls of the callbacks.
pub(super) async fn handle_signals(
    mut signals: Signals,
    shared: Arc<SystemShared>,
    callbacks: SignalCallbacks,
) {
    while let Some(signal) = signals.next().await {
        let signal = match signal {
            Ok(signal) => signal,
            Err(error) => {
                log::error!("cannot read a signal: {error}");
                continue;
            }
        };
        let Some((root, scheduler)) = shared.root.get() else { continue };
        match (signal, &callbacks) {
            (Signal::Usr1, SignalCallbacks { usr1: Some(callback), .. }) => {
                panic::catch_and_log("the callback for SIGUSR1", || {
                    callback(&root.snapshot(scheduler.now()));
                });
            }
            (Signal::Hup, SignalCallbacks { hangup: Some(callback), .. }) => {
                panic::catch_and_log("the callback for SIGHUP", callback);
            }
            _ if shared.signal.swap(signal as i32, Ordering::SeqCst) == 0 => root.control.stop(),
            // A terminal that closes sends several.
            (Signal::Hup, _) => {}
            _ => {
                shared.second_signal.store(true, Ordering::SeqCst);
                root.control.kill();
                // An actor that never returns to the executor is not waited for.
                scheduler.sleep(KILL_TIMEOUT).await;
                std::process::exit(128 + signal as i32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), 1 | 1 << 12);
        assert_eq!(ignored_signals("SigIgn:\tnonsense\n"), 0);
        assert_eq!(ignored_signals(""), 0);
    }
}
