//! Tests of the runtime and of single actors, in this process: real threads, the simulation and the
//! model.

// Requests to a supervisor, at their edges.
mod admin;
// A supervisor that is busy while requests and failures arrive.
mod busy_supervisor;
// Starts of children that are cancelled before they are done.
mod cancelled_start;
// The chat room in the simulation, with faults.
mod chat_manager;
// A whole chat on connections in memory, in the simulation, with faults.
mod chat_sessions;
// No actor keeps the others from running.
mod fairness;
// Faults that the simulation injects.
mod fault_injection;
// The framed file client with hostile servers.
mod file_client;
// The receiver of the file server, with slow, silent and stopped senders.
mod file_receiver;
// The writer of the file server.
mod file_writer;
// The bodies of the fuzz targets, on inputs from a seeded generator.
mod fuzz_smoke;
// Random trees beside a model of the rules of OTP.
mod model;
// Monitors of other actors.
mod monitors;
// The cases of Erlang/OTP's supervisor_SUITE.
mod otp;
// Pools of children that are started while the system runs.
mod pool;
// The simulation itself: seeds, virtual time and order.
mod simulation;
// Snapshots of a running tree.
mod snapshot;
// Trees of supervisors on real threads.
mod supervision;
// Trees of supervisors on real threads: rare cases.
mod supervision_edges;
// Systems, simulations and locks that the tests share.
mod support;
// Timers of an actor.
mod timers;
// Reports of an actor that blocks its thread.
mod watchdog;
