//! Tests with failing system calls, lossy networks, small memory and power loss. Those without a
//! network namespace run one after another.

// Failing system calls while the server stores files.
mod file_errnos;
// A server with little memory.
mod memory_limit;
// Lost packets and peers that vanish.
mod packet_loss;
// Power cuts while files are stored.
mod power_loss;
// Programs, peers and clients that the tests share.
#[path = "../support/mod.rs"]
mod support;
// Failing system calls of the TCP, chat and file servers.
mod tcp_errnos;
// Failing system calls of the UDP server.
mod udp_errnos;
// The UDP scenario in a network namespace.
mod udp_netns;
