//! The files: a reaper of old parts, a receiver for each connection, a listener; a client that sends files.

use std::sync::Arc;

use super::{AccessControl, InputAddress, Settings, add_listeners, client_child};
use crate::actors::{
    BlockingPool, FileReceiver, FileStore, FramedSender, PartialFileReaper, RawSender,
    ReceiverConfig, Reporter, StoreConfig,
};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};

/// Jobs of the disk at a time: its latency is hidden, its head not scattered.
const DISK_THREADS: usize = 4;

pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let limits = StoreConfig {
        keep_free: settings.keep_free,
        max_size: settings.max_size,
        on_conflict: settings.on_conflict,
    };
    let part_ttl = settings.part_ttl;
    let vault = Arc::new(FileStore::new(settings.out.clone(), limits));
    let disk = BlockingPool::new(DISK_THREADS);
    let (place, threads, told) = (vault.clone(), disk.clone(), reporter.clone());
    tree.child(Child::new("reaper", move || {
        PartialFileReaper::new(place.clone(), threads.clone(), part_ttl, told.clone())
    }));
    let receivers = tree.pool(settings.connection_pool("receivers"));
    let limits = ReceiverConfig {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        raw_digest: settings.raw_digest,
    };
    let told = reporter.clone();
    let serve = move |connection| {
        let (vault, disk) = (vault.clone(), disk.clone());
        FileReceiver::new(connection, limits.clone(), vault, disk, told.clone())
    };
    add_listeners(settings, tree, &receivers, reporter, AccessControl::default(), serve).await
}

pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> Option<InputAddress> {
    let Settings { files, timeout, continue_on_error: forgiving, resume, stdin, .. } =
        settings.clone();
    let (named, reporter) = (!files.is_empty(), reporter.clone());
    let sender = if settings.raw {
        let make = move || {
            RawSender::new(endpoint.clone(), files.clone(), timeout, reporter.clone())
                .tolerate_errors(forgiving)
                .stdin(stdin.clone())
        };
        tree.child(client_child(Child::new("client", make)).mailbox(1))
    } else {
        let make = move || {
            FramedSender::new(endpoint.clone(), files.clone(), timeout, reporter.clone())
                .tolerate_errors(forgiving)
                .stdin(stdin.clone())
                .resume(resume)
        };
        tree.child(client_child(Child::new("client", make)).mailbox(1))
    };
    (!named).then_some(InputAddress::File(sender))
}
