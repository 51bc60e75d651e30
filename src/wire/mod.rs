//! Protocols as pure functions on bytes.
//!
//! Every function here takes bytes or text, and returns bytes, text or a value. None of them reads
//! a socket or waits. Their memory is bounded by the input or by a limit. So property tests can
//! check them with any input.
//!
//! | module | purpose |
//! |---|---|
//! | [`chat`] | the chat port: dialects, names, commands, notices, history records |
//! | [`date`] | times of day and dates |
//! | [`file`](mod@file) | the file port: frames, digests, file names |
//! | [`lines`] | a byte stream split into lines, with a length limit |
//! | [`text`] | a peer's text made safe to show |
//! | [`units`] | durations and sizes, parsed and formatted |
//! | [`utf8`] | UTF-8 that arrives in chunks |
//!
//! A role in `actors/` owns the socket. It passes the bytes that it reads to one of these types,
//! and acts on the result:
//!
//! ```
//! use sockactors::wire::chat;
//! use sockactors::wire::chat::command::{self, Command};
//! use sockactors::wire::lines::{Line, LineBuffer};
//!
//! let mut lines = LineBuffer::new(chat::MAX_LINE_LEN);
//! lines.push(b"/nick ada\r\nhello\nunfinished");
//!
//! let mut actions = Vec::new();
//! while let Some(Line::Complete(bytes)) = lines.next_line() {
//!     let line = String::from_utf8(bytes).unwrap();
//!     actions.push(match command::parse(&line) {
//!         Command::Nick(name) => format!("now called {name}"),
//!         Command::Message(text) => format!("says {text}"),
//!         other => format!("{other:?}"),
//!     });
//! }
//! assert_eq!(actions, ["now called ada", "says hello"]);
//! assert_eq!(lines.partial(), b"unfinished");
//! ```

pub mod chat;
pub mod date;
pub mod file;
pub mod lines;
pub mod text;
pub mod units;
pub mod utf8;
