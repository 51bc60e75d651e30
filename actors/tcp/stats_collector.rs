//! What the TCP probes measured, added up.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::support::stats::{LatencyRecorder, Stats};
use crate::actors::{ClientError, Report, Reporter, Schedule};
use crate::net::ConnectError;
use crate::runtime::{Actor, Context, Outcome};

/// What became of one connection.
#[derive(Debug, Clone)]
pub enum ProbeResult {
    /// There was a greeting.
    Replied {
        /// From the attempt to connect until there was a connection.
        connect_time: Duration,
        /// From the attempt to connect until the first bytes of the greeting.
        rtt: Duration,
        /// The greeting.
        text: Vec<u8>,
    },
    /// There was a connection, and no greeting.
    NoReply {
        /// From the attempt to connect until there was a connection.
        connect_time: Duration,
        /// Why, in a few words.
        reason: &'static str,
    },
    /// There was no connection.
    ConnectFailed {
        /// Why, in a few words.
        reason: &'static str,
        /// What went wrong.
        error: Arc<ConnectError>,
    },
}

/// Adds up what [`TcpProbe`](crate::actors::TcpProbe)s measured, tells it, and ends.
#[derive(Debug)]
pub struct TcpStatsCollector {
    schedule: Schedule,
    max_loss: f64,
    report_replies: bool,
    reporter: Reporter,
}

impl TcpStatsCollector {
    /// Makes figures of as many connections as the pace says.
    pub fn new(pace: Schedule, reporter: Reporter) -> TcpStatsCollector {
        TcpStatsCollector { schedule: pace, max_loss: 0.0, report_replies: false, reporter }
    }

    /// Sets how many percent of the connections may go without a greeting, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> TcpStatsCollector {
        self.max_loss = percent;
        self
    }

    /// Sets whether each greeting is told as it comes.
    pub fn report_replies(mut self, shows: bool) -> TcpStatsCollector {
        self.report_replies = shows;
        self
    }

    async fn report_reply(&self, rtt: Duration, text: &[u8]) {
        if self.report_replies {
            let (bytes, text) = (text.len(), || String::from_utf8_lossy(text).into_owned());
            self.reporter.send(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }

    fn check(&self, figures: &Stats, last: Option<Arc<ConnectError>>) -> Outcome {
        match last.and_then(Arc::into_inner) {
            Some(error) if figures.received == 0 => Err(ClientError::Connect(error).into()),
            _ if figures.loss_percent() > self.max_loss => {
                let (sent, lost, limit) = (figures.sent, figures.lost(), self.schedule.timeout);
                Err(ClientError::LostReplies { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Actor for TcpStatsCollector {
    type Message = ProbeResult;

    async fn run(self, mut ctx: Context<ProbeResult>) -> Outcome {
        let begun = ctx.now();
        let (mut connects, mut rtts) = (LatencyRecorder::new(), LatencyRecorder::new());
        let mut figures = Stats::default();
        let mut last = None;
        while figures.sent < self.schedule.count {
            let Some(measured) = ctx.recv().await else { break };
            figures.sent += 1;
            match measured {
                ProbeResult::Replied { connect_time: connect, rtt, text } => {
                    figures.received += 1;
                    connects.record(connect);
                    rtts.record(rtt);
                    self.report_reply(rtt, &text).await;
                }
                ProbeResult::NoReply { connect_time: connect, reason: why } => {
                    connects.record(connect);
                    figures.record_failure(why);
                }
                ProbeResult::ConnectFailed { reason: why, error } => {
                    figures.record_failure(why);
                    last = Some(error);
                }
            }
        }
        // The last message is dealt with: a failure of the figures is none of it.
        drop(ctx.try_recv());
        figures.elapsed = ctx.now() - begun;
        (figures.connect, figures.rtt) = (connects.summary(), rtts.summary());
        let told = Box::new(figures.clone());
        self.reporter.send(|| Report::Stats(told)).await;
        self.check(&figures, last)
    }
}
