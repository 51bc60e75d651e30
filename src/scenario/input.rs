//! The input of a scenario: the actor that receives what a person types.

use crate::actors::{ChatInput, ConsoleLine, FileInput};
use crate::runtime::Address;

/// The address of the actor that receives what a person types.
#[derive(Debug, Clone)]
pub enum InputAddress {
    /// A chat client.
    Chat(Address<ChatInput>),
    /// The operator console of a chat server.
    Console(Address<ConsoleLine>),
    /// A file sender that reads file names.
    File(Address<FileInput>),
}
