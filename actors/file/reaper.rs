//! The file reaper: removes the parts that nobody comes back for.
//!
//! A board that takes uploads for years would keep the beginning of each that was given up. The reaper looks at the start, and
//! then every hour, for parts that nobody has written to for a while.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::actors::{BlockingPool, FileStore, Report, Reporter};
use crate::runtime::{Actor, Context, Outcome};

/// How often it looks.
const SCAN_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Removes the parts that nobody comes back for.
#[derive(Debug)]
pub struct PartialFileReaper {
    store: Arc<FileStore>,
    blocking_pool: BlockingPool,
    /// How old a part becomes; `None` is as old as can be.
    ttl: Option<Duration>,
    reporter: Reporter,
}

impl PartialFileReaper {
    /// Makes the reaper of a vault, for parts that nobody has written to for `ttl`.
    pub fn new(
        vault: Arc<FileStore>,
        disk: BlockingPool,
        ttl: Option<Duration>,
        reporter: Reporter,
    ) -> PartialFileReaper {
        PartialFileReaper { store: vault, blocking_pool: disk, ttl, reporter }
    }

    async fn remove_stale(&self, wall: SystemTime, ttl: Duration) {
        let before = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let Some(before) = before.checked_sub(ttl) else { return };
        let before = i64::try_from(before.as_secs()).unwrap_or_default();
        let vault = self.store.clone();
        let tell = |why| self.reporter.send(|| Report::Warning { reason: why });
        match self.blocking_pool.run(move || vault.remove_stale(before)).await {
            Ok(reaped) => {
                for name in reaped {
                    tell(format!("{name} was removed: nobody has come back for it")).await;
                }
            }
            Err(error) => tell(error.to_string()).await,
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
