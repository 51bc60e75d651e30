//! The seam: where time, tasks and chance come from.
//!
//! Everything in the runtime that would touch a clock, spawn a task or draw a random number does it here
//! and nowhere else. On a real system that is an executor of our own, the reactor's timers and a
//! small generator; a simulation can stand in without another line of the runtime knowing.

pub(crate) mod futures;
pub(crate) mod threads;
pub(crate) mod until;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures_lite::future;
use smol::Task;

use crate::reactor::Timer;
use threads::TaskExecutor;

#[cfg(feature = "testing")]
use super::sim::executor::{SimExecutor, SimTimer};

/// The clock, the executor and the dice of one system.
#[derive(Clone)]
pub(crate) enum Scheduler {
    Real(Arc<TaskExecutor>),
    #[cfg(feature = "testing")]
    Simulated(Arc<SimExecutor>),
}

impl Scheduler {
    /// Makes a scheduler on the machine's own clock; [`Scheduler::block_on`] drives it on each of so many threads.
    pub(crate) fn real(threads: usize) -> Scheduler {
        Scheduler::Real(TaskExecutor::new(threads))
    }

    /// Drives the tasks on this thread until `done` is ready.
    pub(crate) fn block_on<T>(&self, done: impl Future<Output = T>) -> T {
        match self {
            Scheduler::Real(threads) => threads.block_on(done),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => world.run(done, |_| {}),
        }
    }

    /// Spawns a task. Dropping the handle cancels it, so every handle is kept.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        match self {
            Scheduler::Real(threads) => threads.spawn(future),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => world.spawn(future),
        }
    }

    /// Returns the time on the monotonic clock.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Scheduler::Real(_) => Instant::now(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => world.now(),
        }
    }

    /// Returns a future that is ready once `duration` has passed.
    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        Sleep(match self {
            Scheduler::Real(_) => SleepTimer::Real(Timer::after(duration)),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => SleepTimer::Simulated(world.timer(duration)),
        })
    }

    /// Sleeps on the clock of `scheduler`, or on the machine's where no tree has started yet.
    pub(crate) fn sleep_on(scheduler: Option<&Scheduler>, duration: Duration) -> Sleep {
        match scheduler {
            Some(scheduler) => scheduler.sleep(duration),
            None => Sleep(SleepTimer::Real(Timer::after(duration))),
        }
    }

    /// Returns the time of day. It may jump; a simulation's begins in 1970.
    pub(crate) fn system_time(&self) -> SystemTime {
        match self {
            Scheduler::Real(_) => SystemTime::now(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => SystemTime::UNIX_EPOCH + world.elapsed(),
        }
    }

    /// Returns a random duration between a half and the whole of `most`.
    pub(crate) fn jitter(&self, most: Duration) -> Duration {
        let chance = match self {
            Scheduler::Real(_) => fastrand::f64(),
            #[cfg(feature = "testing")]
            Scheduler::Simulated(world) => world.random_f64(),
        };
        most.mul_f64(0.5 + chance / 2.0)
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scheduler")
    }
}

/// A system's clock: a cheap handle for the parts of an actor that do not hold its context.
#[derive(Debug, Clone)]
pub struct Clock(pub(crate) Scheduler);

impl Clock {
    /// Returns the time on the system's monotonic clock.
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Returns the time of day, for people to read. It may jump; measure with [`Clock::now`].
    pub fn system_time(&self) -> SystemTime {
        self.0.system_time()
    }

    /// Returns a future that is ready once `duration` has passed: never before, and in a system of one thread up to a millisecond
    /// after, in which its sleeps are counted.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }

    /// Returns a future that is ready after a random time between a half and the whole of `most`, so that many who
    /// lost the same thing at the same moment do not all come back at once.
    pub fn sleep_jittered(&self, most: Duration) -> Sleep {
        self.0.sleep(self.0.jitter(most))
    }

    /// Awaits `io` for at most `limit`, or as long as it takes where there is none; `None` when the limit
    /// passed first. Cancel-safe if `io` is.
    pub async fn timeout<T>(
        &self,
        limit: impl Into<Option<Duration>>,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(limit) = limit.into() else {
            return Some(io.await);
        };
        // The timer is registered only if the I/O is not ready at once.
        let passed = async {
            self.sleep(limit).await;
            None
        };
        future::or(async { Some(io.await) }, passed).await
    }
}

/// A future that is ready once its time has come; made by [`Context::sleep`](super::Context::sleep).
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
