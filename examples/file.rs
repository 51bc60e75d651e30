//! This example shows how to store uploads: a listener, a receiver for each connection, a vault on the disk; and a
//! client that sends a file.
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

/// An actor that prints what was sent and what was stored.
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
    let place = env::temp_dir().join(format!("sockactors-example-{}", process::id()));
    fs::create_dir_all(&place)?;
    let letter = place.join("letter");
    fs::write(&letter, "Everything restarts.")?;

    let anywhere = "127.0.0.1:0".parse()?;
    let socket = Arc::new(smol::block_on(ListeningSocket::bind(&anywhere, 128))?);
    let endpoint = socket.endpoint().clone();
    let vault = Arc::new(FileStore::new(place.clone(), StoreConfig::default()));
    let disk = BlockingPool::new(2);

    let mut tree = Supervisor::new("file", Strategy::OneForOne);
    let printer = Reporter::new(tree.child(Child::new("printer", || print)));
    let receivers = tree.pool(Pool::new("receivers").limit(8));
    // One client, and the listener ends once its upload is stored; the tree ends with it.
    let admissions = Arc::new(ClientQuota::new(Some(1)));
    let told = printer.clone();
    let listener = Child::new("listener", move || {
        let (vault, disk, told) = (vault.clone(), disk.clone(), told.clone());
        let serve = move |connection| {
            let limits = ReceiverConfig { raw_digest: true, ..ReceiverConfig::default() };
            FileReceiver::new(connection, limits, vault.clone(), disk.clone(), told.clone())
        };
        Listener::new(socket.clone(), receivers.clone(), serve).client_quota(admissions.clone())
    });
    tree.child(listener.transient().significant());
    let sender = move || {
        let files = vec![letter.clone()];
        RawSender::new(endpoint.clone(), files, Duration::from_secs(5), printer.clone())
    };
    tree.child(Child::new("sender", sender).temporary());

    System::new().run(tree)?;
    fs::remove_dir_all(place)?;
    Ok(())
}
