//! The file scenario: a file store with its reaper, a listener and a pool of receivers, and a
//! client that sends files.

use std::sync::Arc;

use crate::actors::{
    BlockingPool, FileReceiver, FileStore, FramedSender, PartialFileReaper, RawSender,
    ReceiverConfig, Reporter, StoreConfig,
};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};
use crate::scenario::children::{client_child, connection_pool};
use crate::scenario::input::InputAddress;
use crate::scenario::listeners::{AccessControl, add_listeners};
use crate::scenario::settings::Settings;

/// The number of threads for disk operations. A few hide the disk's latency. More would
/// scatter its accesses.
const DISK_THREADS: usize = 4;

/// Adds the server, and returns its bound endpoints.
pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let store_config = StoreConfig {
        keep_free: settings.keep_free,
        max_size: settings.max_size,
        max_files: settings.max_files,
        on_conflict: settings.on_conflict,
    };
    let part_ttl = settings.part_ttl;
    let store = Arc::new(FileStore::new(settings.out.clone(), store_config));
    let disk = BlockingPool::new(DISK_THREADS);
    let (reaper_store, reaper_disk) = (store.clone(), disk.clone());
    let reaper_reporter = reporter.clone();
    tree.child(Child::new("reaper", move || {
        let (store, disk) = (reaper_store.clone(), reaper_disk.clone());
        PartialFileReaper::new(store, disk, part_ttl, reaper_reporter.clone())
    }));
    let receivers = tree.pool(connection_pool(settings, "receivers"));
    let receiver_config = ReceiverConfig {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        min_rate: settings.min_rate,
        raw_digest: settings.raw_digest,
    };
    let receiver_reporter = reporter.clone();
    let serve = move |connection| {
        let (config, store, disk) = (receiver_config.clone(), store.clone(), disk.clone());
        FileReceiver::new(connection, config, store, disk, receiver_reporter.clone())
    };
    add_listeners(settings, tree, &receivers, reporter, AccessControl::default(), serve).await
}

/// Adds the client, and returns its address if it reads file names.
pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> Option<InputAddress> {
    let Settings { files, timeout, continue_on_error, resume, stdin, .. } = settings.clone();
    let (has_files, reporter) = (!files.is_empty(), reporter.clone());
    let sender = if settings.raw {
        let make = move || {
            RawSender::new(endpoint.clone(), files.clone(), timeout, reporter.clone())
                .tolerate_errors(continue_on_error)
                .stdin(stdin.clone())
        };
        tree.child(client_child(Child::new("client", make)).mailbox(1))
    } else {
        let make = move || {
            FramedSender::new(endpoint.clone(), files.clone(), timeout, reporter.clone())
                .tolerate_errors(continue_on_error)
                .stdin(stdin.clone())
                .resume(resume)
        };
        tree.child(client_child(Child::new("client", make)).mailbox(1))
    };
    (!has_files).then_some(InputAddress::File(sender))
}
