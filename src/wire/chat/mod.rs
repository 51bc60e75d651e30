//! The dialects of the chat port.
//!
//! Three kinds of clients share one port. A *lecture* client sends what its user typed as one chunk
//! without a newline, and waits for the receipt. A *line* client (netcat, telnet, this program)
//! sends lines. A line that begins with `/` is a command. An IRC client registers itself first.
//!
//! [`detect_dialect`] decides from the first bytes of a session. [`command::parse`] parses a line
//! after that. The sessions that act on the result are in `actors/`.

mod ack;
pub mod command;
mod dialect_detection;
pub mod history_record;
mod limits;
mod list;
mod names;
pub mod notice;
pub mod operator_command;

pub use ack::{ACK_OFF, ACK_ON, ACK_PREFIX};
pub use dialect_detection::{DETECT_TIMEOUT, DetectedDialect, MAX_DETECT_BYTES, detect_dialect};
pub use limits::{MAX_LINE_LEN, MAX_NICK_LEN};
pub use list::{NickList, format_list};
pub use names::{validate_nick, validate_room};
