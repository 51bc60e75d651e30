//! The partial file reaper, which removes partial files of abandoned uploads.
//!
//! Without it, a server that takes uploads for years would keep the first bytes of each abandoned
//! upload. The reaper runs at its start and then every hour.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::actors::file::store::FileStore;
use crate::actors::{BlockingPool, Report, Reporter};
use crate::runtime::{Actor, Context, Outcome};
use crate::wire::units::format_duration;

/// The time between two scans.
const SCAN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// An actor that removes the partial files of abandoned uploads.
#[derive(Debug)]
pub struct PartialFileReaper {
    store: Arc<FileStore>,
    blocking_pool: BlockingPool,
    /// The age at which a partial file is removed. `None` keeps them all.
    ttl: Option<Duration>,
    reporter: Reporter,
}

impl PartialFileReaper {
    /// Creates a reaper that removes partial files last written longer than `ttl` ago. With `None`
    /// it removes nothing.
    pub fn new(
        store: Arc<FileStore>,
        blocking_pool: BlockingPool,
        ttl: Option<Duration>,
        reporter: Reporter,
    ) -> PartialFileReaper {
        PartialFileReaper { store, blocking_pool, ttl, reporter }
    }

    async fn remove_stale(&self, now: SystemTime, ttl: Duration) {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Some(before) = since_epoch.checked_sub(ttl) else { return };
        let before = i64::try_from(before.as_secs()).unwrap_or_default();
        let store = self.store.clone();
        let report = |reason| self.reporter.send(|| Report::Warning { reason });
        match self.blocking_pool.run(move || store.remove_stale(before)).await {
            Ok(removed) => {
                for name in removed {
                    let ttl = format_duration(ttl);
                    report(format!("removed {name}: the upload was not resumed within {ttl}"))
                        .await;
                }
            }
            Err(error) => report(error.to_string()).await,
        }
    }
}

impl Actor for PartialFileReaper {
    type Message = ();

    async fn run(self, mut ctx: Context<()>) -> Outcome {
        if let Some(ttl) = self.ttl {
            while !ctx.is_stopping() {
                self.remove_stale(ctx.clock().system_time(), ttl).await;
                ctx.sleep_unless_stopped(SCAN_INTERVAL).await;
            }
        }
        ctx.stopped().await;
        Ok(())
    }
}
