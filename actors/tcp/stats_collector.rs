//! The collector of a TCP measurement: sums up the results of several clients.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::{Report, Reporter};
use crate::actors::support::stats::{LatencyRecorder, Schedule, Stats};
use crate::net::ConnectError;
use crate::runtime::{Actor, Context, Outcome};

/// The result of one connection.
#[derive(Debug, Clone)]
pub enum ProbeResult {
    /// The server sent a greeting.
    Replied {
        /// The time from the attempt to connect until the connection was made.
        connect_time: Duration,
        /// The time from the attempt to connect until the first bytes of the greeting.
        rtt: Duration,
        /// The greeting.
        text: Vec<u8>,
    },
    /// The connection was made, but the server sent no greeting.
    NoReply {
        /// The time from the attempt to connect until the connection was made.
        connect_time: Duration,
        /// The reason, in a few words.
        reason: &'static str,
    },
    /// The connection could not be made.
    ConnectFailed {
        /// The reason, in a few words.
        reason: &'static str,
        /// The error.
        error: Arc<ConnectError>,
    },
}

/// A collector of the results of measuring [`TcpClient`](crate::actors::TcpClient)s. It ends once
/// it has received as many results as its [`Schedule`] says, and reports the [`Stats`].
#[derive(Debug)]
pub struct TcpStatsCollector {
    schedule: Schedule,
    max_loss: f64,
    report_replies: bool,
    reporter: Reporter,
}

impl TcpStatsCollector {
    /// Creates a collector of `schedule.count` results.
    pub fn new(schedule: Schedule, reporter: Reporter) -> TcpStatsCollector {
        TcpStatsCollector { schedule, max_loss: 0.0, report_replies: false, reporter }
    }

    /// Sets the percentage of connections that may get no greeting, from 0 (the default) to 100. A
    /// higher loss is an error.
    pub fn max_loss(mut self, percent: f64) -> TcpStatsCollector {
        self.max_loss = percent;
        self
    }

    /// Sets whether each greeting is reported when it arrives. By default none is.
    pub fn report_replies(mut self, report_replies: bool) -> TcpStatsCollector {
        self.report_replies = report_replies;
        self
    }

    async fn report_reply(&self, rtt: Duration, text: &[u8]) {
        if self.report_replies {
            let (bytes, text) = (text.len(), || String::from_utf8_lossy(text).into_owned());
            self.reporter.send(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }

    fn check(&self, stats: &Stats, last_error: Option<Arc<ConnectError>>) -> Outcome {
        match last_error.and_then(Arc::into_inner) {
            Some(error) if stats.received == 0 => Err(ClientError::Connect(error).into()),
            _ if stats.loss_percent() > self.max_loss => {
                let (sent, lost, limit) = (stats.sent, stats.lost(), self.schedule.timeout);
                Err(ClientError::LostReplies { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Actor for TcpStatsCollector {
    type Message = ProbeResult;

    async fn run(self, mut ctx: Context<ProbeResult>) -> Outcome {
        let started_at = ctx.now();
        let (mut connect_times, mut rtts) = (LatencyRecorder::new(), LatencyRecorder::new());
        let mut stats = Stats::default();
        let mut last_error = None;
        while stats.sent < self.schedule.count {
            let Some(result) = ctx.recv().await else { break };
            stats.sent += 1;
            match result {
                ProbeResult::Replied { connect_time, rtt, text } => {
                    stats.received += 1;
                    connect_times.record(connect_time);
                    rtts.record(rtt);
                    self.report_reply(rtt, &text).await;
                }
                ProbeResult::NoReply { connect_time, reason } => {
                    connect_times.record(connect_time);
                    stats.record_failure(reason);
                }
                ProbeResult::ConnectFailed { reason, error } => {
                    stats.record_failure(reason);
                    last_error = Some(error);
                }
            }
        }
        // An error of this actor is blamed on the message that it received last. This marks that
        // message as handled, so that the loss limit is not blamed on it.
        drop(ctx.try_recv());
        stats.elapsed = ctx.now() - started_at;
        (stats.connect, stats.rtt) = (connect_times.summary(), rtts.summary());
        let reported = Box::new(stats.clone());
        self.reporter.send(|| Report::Stats(reported)).await;
        self.check(&stats, last_error)
    }
}
