//! Panics: the process's panic hook, and the functions that catch a panic in user code.
//!
//! A panic in an actor must end that actor and nothing else. The catching functions turn a panic
//! into an [`Exit`] with the panic's text and location. The location comes from a panic hook, since
//! `catch_unwind` does not return it. The hook prints nothing for a panic that is being caught
//! here: the lifecycle event reports it. Every other panic goes to the hook that was installed
//! before.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::FutureExt;

use crate::runtime::lifecycle::exit::Exit;

thread_local! {
    static CATCHING_PANICS: Cell<bool> = const { Cell::new(false) };
    static PANIC_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

static RECORD_BACKTRACES: AtomicBool = AtomicBool::new(false);

/// Sets whether [`Exit::Panicked`] carries a backtrace behind its location. Off by default.
///
/// The setting holds for the whole process. A backtrace costs milliseconds and tens of megabytes
/// for each panic.
pub fn record_backtraces(on: bool) {
    RECORD_BACKTRACES.store(on, Ordering::Relaxed);
}

/// Installs the panic hook, once for the process.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CATCHING_PANICS.get() {
                return previous(info);
            }
            let mut location = info.location().map_or_else(String::new, ToString::to_string);
            if RECORD_BACKTRACES.load(Ordering::Relaxed) {
                location = format!("{location}\n{}", Backtrace::force_capture());
            }
            PANIC_LOCATION.set(Some(location));
        }));
    });
}

/// Runs `body` and turns a panic in it into an exit.
pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, Exit> {
    let outer = CATCHING_PANICS.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    CATCHING_PANICS.set(outer);
    result.map_err(|payload| Exit::Panicked {
        text: panic_text(payload.as_ref()).into(),
        location: PANIC_LOCATION.take().unwrap_or_else(|| "an unknown location".into()).into(),
    })
}

/// Runs user code whose panic must not spread, and logs its panic. `subject` names the code.
pub(crate) fn catch_and_log(subject: &str, body: impl FnOnce()) {
    if let Err(exit) = catch_panic(body) {
        log::error!("{subject} {exit}");
    }
}

/// Turns a panic of the runtime itself, or of an observer that it calls, into an exit.
pub(crate) async fn catch_runtime_panic(incarnation: impl Future<Output = Exit>) -> Exit {
    let incarnation = AssertUnwindSafe(incarnation).catch_unwind();
    incarnation.await.unwrap_or_else(|payload| Exit::Panicked {
        text: panic_text(payload.as_ref()).into(),
        location: "the runtime".into(),
    })
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a payload that is not a string".into()
    }
}
