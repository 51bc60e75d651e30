//! Tests with many clients, connections or crashes. They run one after another.

// Two hundred chat clients at once.
mod chat_200_clients;
// A million crashes of actors.
mod crash_storm;
// A stop while many clients are connected.
mod draining;
// Servers without free file descriptors.
mod fd_exhaustion;
// A hundred thousand children.
mod many_children;
// Connections that are reset after the handshake.
mod resets;
// Clients that send next to nothing.
mod slow_clients;
// Programs, peers and clients that the tests share.
#[path = "../support/mod.rs"]
mod support;
