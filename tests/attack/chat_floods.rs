//! Floods of a chat server.
