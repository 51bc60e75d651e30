//! Tests of the built program and its scenarios, with sockets, terminals and other programs as
//! peers.

// The server goes on when accept(2) fails.
mod accept_failure;
// The addresses of servers: names, wildcards and Unix sockets.
mod addresses;
// The chat scenario.
mod chat;
// The command line: flags, help, exit codes.
mod cli;
// Actors that panic, in the composed scenarios and in the built program.
mod crashes;
// Servers with few file descriptors.
mod descriptors;
// The file scenario.
mod file;
// The measuring clients.
mod measuring;
// Signals that stop the program.
mod signals;
// Programs whose output or actors are stuck.
mod stuck;
// Programs, peers and clients that the tests share.
#[path = "../support/mod.rs"]
mod support;
// The TCP scenario.
mod tcp;
// The program at a terminal.
mod terminal;
// The UDP scenario.
mod udp;
// Help, completion, and errors with their remedies.
mod usage;
