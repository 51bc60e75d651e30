//! Panics: the hook that records their location, and the functions that catch them.

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

/// Makes the exits of panicked actors carry a backtrace in their place, which costs milliseconds and tens
/// of megabytes for each panic. Off unless asked for.
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
            let mut place = info.location().map_or_else(String::new, ToString::to_string);
            if RECORD_BACKTRACES.load(Ordering::Relaxed) {
                place = format!("{place}\n{}", Backtrace::force_capture());
            }
            PANIC_LOCATION.set(Some(place));
        }));
    });
}

/// Runs `body` and turns a panic in it into an exit.
pub(crate) fn catch_panic<T>(body: impl FnOnce() -> T) -> Result<T, Exit> {
    let outer = CATCHING_PANICS.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    CATCHING_PANICS.set(outer);
    result.map_err(|thrown| Exit::Panicked {
        text: panic_text(thrown.as_ref()).into(),
        location: PANIC_LOCATION.take().unwrap_or_else(|| "an unknown place".into()).into(),
    })
}

/// Runs what is not ours, whose panic is told in the log and goes no further.
pub(crate) fn catch_and_log(whose: &str, body: impl FnOnce()) {
    if let Err(exit) = catch_panic(body) {
        log::error!("{whose} {exit}");
    }
}

fn panic_text(thrown: &(dyn Any + Send)) -> String {
    if let Some(text) = thrown.downcast_ref::<&str>() {
        (*text).into()
    } else if let Some(text) = thrown.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".into()
    }
}

/// Turns a panic of the runtime itself, or of an observer that it calls, into an exit.
pub(crate) async fn catch_runtime_panic(life: impl Future<Output = Exit>) -> Exit {
    let life = AssertUnwindSafe(life).catch_unwind();
    life.await.unwrap_or_else(|thrown| Exit::Panicked {
        text: panic_text(thrown.as_ref()).into(),
        location: "the runtime".into(),
    })
}
