//! The file scenario of the built program.

// Our client and our server together.
mod end_to_end;
// Our client and our server together: rare cases.
mod end_to_end_edges;
// The client of the framed protocol.
mod framed_client;
// The client of the framed protocol: rare cases.
mod framed_client_edges;
// The server of the framed protocol.
mod framed_server;
// File names that attack the server or a terminal.
mod hostile_names;
// A server that is killed at each step of an upload.
mod kill;
// What the client and the server print.
mod output;
// The client of the raw protocol.
mod raw_client;
// The server of the raw protocol.
mod raw_server;
// Files that the server refuses.
mod refusals;
// Uploads that are cut and resumed.
mod resume;
// Uploads as a terminal shows them.
mod terminal;
