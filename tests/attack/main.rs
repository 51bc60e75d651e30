//! Attacks on the built program, each with the bound that `docs/security.md` promises.
//!
//! The floods run shortened here. `docs/performance.md` records the full runs.

// Hostile chat servers against our client.
mod chat_clients;
// Floods of a chat server, and what a source may do in all its sessions together.
mod chat_floods;
// Joins, leaves, notices and history of large rooms.
mod chat_rooms;
// Hostile servers against our clients, and texts that imitate others.
mod clients;
// Uploads that occupy the disk, the threads or another upload's name.
mod file_server;
// Memory, descriptors and connections that all clients share.
mod shared_limits;
// Programs, peers and clients that the tests share.
#[path = "../support/mod.rs"]
mod support;
// Loops of responders, and floods of output.
mod udp_and_output;
