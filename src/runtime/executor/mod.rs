//! The scheduler of a system: the only source of time, tasks and random numbers.
//!
//! The rest of the runtime reads no clock, spawns no task and draws no random number itself. A real
//! system uses its own executor, the reactor's timers and `fastrand`. A simulation replaces all
//! three without a change elsewhere.

pub(crate) mod futures;
mod injector;
pub(crate) mod worker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_lite::{FutureExt, future};
use smol::{Executor, Task};

use crate::reactor::Timer;
use crate::runtime::executor::worker::{Placement, Worker};
#[cfg(feature = "testing")]
use crate::runtime::sim::executor::{SimExecutor, SimTimer};

/// The clock, the executor and the random generator of one system.
#[derive(Clone)]
pub(crate) enum Scheduler {
    /// A worker of the system.
    Worker(Arc<Worker>),
    /// An executor of the caller, whose threads use smol's reactor.
    External(Arc<Executor<'static>>),
    #[cfg(feature = "testing")]
    Simulated(Arc<SimExecutor>),
}

impl Scheduler {
    /// Returns the scheduler of a child with this placement.
    pub(crate) fn place(&self, placement: Placement) -> Scheduler {
        match self {
            Scheduler::Worker(worker) => Scheduler::Worker(worker.place(placement)),
            other => other.clone(),
        }
    }

    /// Spawns the task of a child with this placement. Dropping the handle cancels the task.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        placement: Placement,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        match self {
            Scheduler::Worker(worker) => worker.place(placement).spawn(future),
            // Boxed, so that no future is compiled for two executors.
            Scheduler::External(executor) => executor.spawn(future.boxed()),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(executor) => executor.spawn(future),
        }
    }

    /// Returns the time of the monotonic clock.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Scheduler::Worker(_) | Scheduler::External(_) => Instant::now(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(executor) => executor.now(),
        }
    }

    /// Returns a future that is ready after `duration`.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        Sleep(match self {
            Scheduler::Worker(_) | Scheduler::External(_) => {
                SleepTimer::Real(Timer::after(duration))
            }
            #[cfg(feature = "testing")]
            Scheduler::Simulated(executor) => SleepTimer::Simulated(executor.timer(duration)),
        })
    }

    /// Sleeps on the clock of `scheduler`, or on the machine's clock before the tree has started.
    pub(crate) fn sleep_on(scheduler: Option<&Scheduler>, duration: Duration) -> Sleep {
        match scheduler {
            Some(scheduler) => scheduler.sleep(duration),
            None => Sleep(SleepTimer::Real(Timer::after(duration))),
        }
    }

    /// Returns the time of day, which may jump. A simulation starts on 1 January 1970.
    pub(crate) fn system_time(&self) -> SystemTime {
        match self {
            Scheduler::Worker(_) | Scheduler::External(_) => SystemTime::now(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(executor) => SystemTime::UNIX_EPOCH + executor.elapsed(),
        }
    }

    /// Returns a random duration between half of `max` and `max`.
    pub(crate) fn jitter(&self, max: Duration) -> Duration {
        let random = match self {
            Scheduler::Worker(_) | Scheduler::External(_) => fastrand::f64(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(executor) => executor.random_f64(),
        };
        // The sum of both halves cannot overflow, but their floating-point values are rounded.
        let half = max / 2;
        half.saturating_add(half.mul_f64(random))
    }
}

/// Returns the delay after a number of failures in a row: `min`, doubled with each failure after
/// the first, up to `max`.
pub(crate) fn exponential_delay(failures: u32, min: Duration, max: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    min.saturating_mul(1 << doublings).min(max)
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scheduler")
    }
}

/// A cheap handle to a system's clock, for parts of an actor that do not hold its context.
#[derive(Debug, Clone)]
pub struct Clock(pub(crate) Scheduler);

impl Clock {
    /// Returns the time of the system's monotonic clock.
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Returns the time of day, for people to read. It may jump: measure with [`Clock::now`].
    pub fn system_time(&self) -> SystemTime {
        self.0.system_time()
    }

    /// Returns a future that is ready after `duration`.
    ///
    /// It is never early. On a worker thread it is up to a millisecond late, because the reactor
    /// sleeps in whole milliseconds.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }

    /// Sleeps for a random time between half of `max` and `max`.
    ///
    /// Clients that lost their server at the same moment then reconnect at different moments.
    pub fn sleep_jittered(&self, max: Duration) -> Sleep {
        self.0.sleep(self.0.jitter(max))
    }

    /// Awaits `io` for at most `limit`, or without a limit. Returns `None` on a timeout.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe if `io` is.
    pub async fn timeout<T>(
        &self,
        limit: impl Into<Option<Duration>>,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(limit) = limit.into() else {
            return Some(io.await);
        };
        // The timer is registered only if the I/O is not ready at once.
        let timed_out = async {
            self.sleep(limit).await;
            None
        };
        future::or(async { Some(io.await) }, timed_out).await
    }
}

/// A future that is ready at a certain time. [`Context::sleep`] makes it.
///
/// [`Context::sleep`]: crate::runtime::Context::sleep
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep(SleepTimer);

#[derive(Debug)]
enum SleepTimer {
    Real(Timer),
    #[cfg(feature = "testing")]
    Simulated(SimTimer),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            SleepTimer::Real(timer) => Pin::new(timer).poll(cx),
            #[cfg(feature = "testing")]
            SleepTimer::Simulated(timer) => timer.poll(cx),
        }
    }
}
