//! The child specifications that all scenarios share.

use crate::runtime::{Actor, Child, Pool};
use crate::scenario::settings::{Role, Settings};

/// Makes a child the server of its tree. It ends after serving all its clients.
///
/// Its end stops the tree, unless a client runs in the same tree. Then the client's end does.
pub(super) fn server_child<A: Actor>(settings: &Settings, child: Child<A>) -> Child<A> {
    match settings.role {
        Role::Both => child.transient(),
        _ => child.transient().significant(),
    }
}

/// Makes a child the client of its tree. It is never restarted, and its end stops the tree.
pub(super) fn client_child<A: Actor>(child: Child<A>) -> Child<A> {
    child.temporary().significant()
}

/// Returns the pool of a server's connections.
pub(super) fn connection_pool(settings: &Settings, name: &'static str) -> Pool {
    Pool::new(name).limit(settings.connection_limit()).shutdown(settings.drain_timeout)
}

/// Returns the name of the child at `index` among similar ones: `listener`, `listener-2`, ...
pub(super) fn numbered_name(name: &str, index: usize) -> String {
    match index {
        0 => name.into(),
        index => format!("{name}-{}", index + 1),
    }
}
