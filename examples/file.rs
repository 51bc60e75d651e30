//! This example shows how to store uploads: a listener, a receiver for each connection, a file
//! store on the disk, and a client that sends a file.
//!
//! Run it with `cargo run --example file`. It prints:
//!
//! ```text
//! sent ...: 20 bytes
//! stored output0.txt: 20 bytes, BLAKE3 aa4eb74fe0b6...
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process};

use sockactors::actors::{
    BlockingPool, ClientQuota, FileReceiver, FileStore, Listener, RawSender, ReceiverConfig,
    Report, Reporter, StoreConfig,
};
use sockactors::net::ListeningSocket;
use sockactors::runtime::{Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// An actor that prints each file that was sent or stored.
async fn print(mut ctx: Context<Report>) -> Outcome {
    while let Some(report) = ctx.recv().await {
        match report {
            Report::FileSent { name, bytes, .. } => println!("sent {name}: {bytes} bytes"),
            Report::FileStored { name, bytes, blake3, .. } => {
                let blake3 = blake3.unwrap_or_default();
                println!("stored {name}: {bytes} bytes, BLAKE3 {blake3}");
            }
            _ => {}
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::temp_dir().join(format!("sockactors-example-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let letter = directory.join("letter");
    fs::write(&letter, "Everything restarts.")?;

    let any_port = "127.0.0.1:0".parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&any_port, 128))?);
    let endpoint = socket.endpoint().clone();
    let store = Arc::new(FileStore::new(directory.clone(), StoreConfig::default()));
    let disk = BlockingPool::new(2);

    let mut tree = Supervisor::new("file", Strategy::OneForOne);
    let reporter = Reporter::new(tree.child(Child::new("printer", || print)));
    let receivers = tree.pool(Pool::new("receivers").limit(8));
    // The listener accepts one client. It ends when the upload is stored, and the tree with it.
    let quota = Arc::new(ClientQuota::new(Some(1)));
    let server_reporter = reporter.clone();
    let listener = Child::new("listener", move || {
        let (store, disk, reporter) = (store.clone(), disk.clone(), server_reporter.clone());
        let serve = move |connection| {
            let config = ReceiverConfig { raw_digest: true, ..ReceiverConfig::default() };
            FileReceiver::new(connection, config, store.clone(), disk.clone(), reporter.clone())
        };
        Listener::new(socket.clone(), receivers.clone(), serve).client_quota(quota.clone())
    });
    tree.child(listener.transient().significant());
    let sender = move || {
        let files = vec![letter.clone()];
        RawSender::new(endpoint.clone(), files, Duration::from_secs(5), reporter.clone())
    };
    tree.child(Child::new("sender", sender).temporary());

    System::new().run(tree)?;
    fs::remove_dir_all(directory)?;
    Ok(())
}
