//! Loops of responders and floods of output.
