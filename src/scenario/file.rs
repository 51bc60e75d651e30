//! The files: a writer, a receiver for each upload, a listener; a client that sends files.

use std::sync::Arc;

use super::{Input, Settings, client as ends_the_tree, listeners};
use crate::actors::{Directory, FileReceiver, FileSender, FileWriter, ReceiveLimits, Reporter};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Desk, Supervisor};

/// Chunks that wait for the disk at most: 16 of 64 KiB.
const CHUNKS: usize = 16;

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let directory = Arc::new(Directory::new(settings.out.clone(), settings.keep_free));
    let limits = ReceiveLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        max_size: settings.max_size,
    };
    let desk = Desk::new();
    let writer = Child::new("writer", move || FileWriter::new(desk.clone())).mailbox(CHUNKS);
    let writer = tree.child(writer);
    let receivers = tree.pool(settings.connection_pool("receivers"));
    let told = reporter.clone();
    let serve = move |connection| {
        let (writer, directory) = (writer.clone(), directory.clone());
        FileReceiver::new(connection, limits.clone(), writer, directory, told.clone())
    };
    listeners(settings, tree, &receivers, reporter, Arc::default(), serve).await
}

pub(super) fn client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> Option<Input> {
    let (files, timeout, reporter) = (settings.files.clone(), settings.timeout, reporter.clone());
    let (named, forgiving) = (!files.is_empty(), settings.forgiving);
    let make = move || {
        let sender = FileSender::new(endpoint.clone(), files.clone(), timeout, reporter.clone());
        if forgiving { sender.forgiving() } else { sender }
    };
    let sender = tree.child(ends_the_tree(Child::new("client", make)).mailbox(1));
    (!named).then_some(Input::File(sender))
}
