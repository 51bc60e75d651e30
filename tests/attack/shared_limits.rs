//! Attacks on memory, descriptors and connections.
