//! Who has a file in hand, and who else would like to.
//!
//! A sender whose connection broke comes back with another one while the server still takes the first for alive: a
//! connection that is gone looks like one that is silent. So a claim of a file that is in hand is refused, and *contests*
//! it. A holder that goes on being silent gives way then, and the sender's next attempt goes on with what had come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;

use super::Vault;
use crate::runtime::wait_until;

/// Who has a file in hand.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// For each name, whether it is contested.
    names: Mutex<HashMap<String, bool>>,
    contest: Event,
}

impl Holders {
    fn names(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the holder of a file that somebody else would like it.
    pub(super) fn contest(&self, name: &str) {
        if let Some(contested) = self.names().get_mut(name) {
            *contested = true;
        }
        self.contest.notify(usize::MAX);
    }

    /// Waits until a file that is in hand is contested. Cancel-safe.
    pub(super) async fn contested(&self, name: &str) {
        wait_until(&self.contest, || self.names().get(name) == Some(&true)).await;
    }
}

/// A file in hand, as long as this is kept.
#[derive(Debug)]
pub(super) struct Hold {
    vault: Arc<Vault>,
    name: String,
}

impl Hold {
    pub(super) fn new(vault: &Arc<Vault>, name: &str) -> Hold {
        vault.holders.names().insert(name.into(), false);
        Hold { vault: vault.clone(), name: name.into() }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.vault.holders.names().remove(&self.name);
    }
}
