//! What goes over a socket, as pure functions on bytes.
//!
//! Everything here takes bytes or text and gives bytes, text or a value. Nothing reads a socket,
//! waits, allocates without a bound that the caller set, or knows who is at the other end. That
//! makes the wire the easiest part of the crate to test: a property that holds for any input is
//! checked with any input.
//!
//! | module | what it is for |
//! |---|---|
//! | [`text`] | peer's text made safe to show |
//! | [`lines`] | a byte stream cut into lines, with a limit |
//! | [`chat`] | the chat port's dialects: commands, nicknames, receipts |
//! | [`filename`] | the name that a peer chose for a file, refused or safe |
//! | [`journal`] | what was said, as it is kept on the disk |
//! | [`utf8`] | UTF-8 that arrives in chunks |
//! | [`units`] | durations and sizes as people write them |
//!
//! A role in `actors/` owns the socket, feeds what it reads to a value from here, and acts on what
//! comes out:
//!
//! ```
//! use sockactors::wire::chat;
//! use sockactors::wire::chat::command::{self, Command};
//! use sockactors::wire::lines::{Line, LineBuffer};
//!
//! let mut lines = LineBuffer::new(chat::MAX_LINE_LEN);
//! lines.push(b"/nick ada\r\nhello\nunfinished");
//!
//! let mut heard = Vec::new();
//! while let Some(Line::Complete(bytes)) = lines.next_line() {
//!     let line = String::from_utf8(bytes).unwrap();
//!     heard.push(match command::parse(&line) {
//!         Command::Nick(name) => format!("now called {name}"),
//!         Command::Message(text) => format!("says {text}"),
//!         other => format!("{other:?}"),
//!     });
//! }
//! assert_eq!(heard, ["now called ada", "says hello"]);
//! assert_eq!(lines.partial(), b"unfinished");
//! ```

pub mod chat;
pub mod date;
pub mod file;
pub mod lines;
pub mod text;
pub mod units;
pub mod utf8;
