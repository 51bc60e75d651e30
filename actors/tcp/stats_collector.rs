//! What the TCP probes measured, added up.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::support::stats::{Figures, Times};
use crate::actors::{Failure, Pace, Report, Reporter};
use crate::net::ConnectError;
use crate::runtime::{Actor, Context, Outcome};

/// What became of one connection.
#[derive(Debug, Clone)]
pub enum Measured {
    /// There was a greeting.
    Greeted {
        /// From the attempt to connect until there was a connection.
        connect: Duration,
        /// From the attempt to connect until the first bytes of the greeting.
        rtt: Duration,
        /// The greeting.
        text: Vec<u8>,
    },
    /// There was a connection, and no greeting.
    NotGreeted {
        /// From the attempt to connect until there was a connection.
        connect: Duration,
        /// Why, in a few words.
        why: &'static str,
    },
    /// There was no connection.
    NotConnected {
        /// Why, in a few words.
        why: &'static str,
        /// What went wrong.
        error: Arc<ConnectError>,
    },
}

/// Adds up what [`TcpProbe`](crate::actors::TcpProbe)s measured, tells it, and ends.
#[derive(Debug)]
pub struct TcpFigures {
    pace: Pace,
    max_loss: f64,
    shows_greetings: bool,
    reporter: Reporter,
}

impl TcpFigures {
    /// Makes figures of as many connections as the pace says.
    pub fn new(pace: Pace, reporter: Reporter) -> TcpFigures {
        TcpFigures { pace, max_loss: 0.0, shows_greetings: false, reporter }
    }

    /// Sets how many percent of the connections may go without a greeting, from 0 (the default) to 100.
    pub fn max_loss(mut self, percent: f64) -> TcpFigures {
        self.max_loss = percent;
        self
    }

    /// Sets whether each greeting is told as it comes.
    pub fn shows_greetings(mut self, shows: bool) -> TcpFigures {
        self.shows_greetings = shows;
        self
    }

    async fn greeted(&self, rtt: Duration, text: &[u8]) {
        if self.shows_greetings {
            let (bytes, text) = (text.len(), || String::from_utf8_lossy(text).into_owned());
            self.reporter.tell(|| Report::Reply { text: text(), bytes, rtt }).await;
        }
    }

    fn judge(&self, figures: &Figures, last: Option<Arc<ConnectError>>) -> Outcome {
        match last.and_then(Arc::into_inner) {
            Some(error) if figures.received == 0 => Err(Failure::Connect(error).into()),
            _ if figures.loss() > self.max_loss => {
                let (sent, lost, limit) = (figures.sent, figures.lost(), self.pace.timeout);
                Err(Failure::Lost { sent, lost, limit }.into())
            }
            _ => Ok(()),
        }
    }
}

impl Actor for TcpFigures {
    type Message = Measured;

    async fn run(self, mut ctx: Context<Measured>) -> Outcome {
        let begun = ctx.now();
        let (mut connects, mut rtts) = (Times::new(), Times::new());
        let mut figures = Figures::default();
        let mut last = None;
        while figures.sent < self.pace.count {
            let Some(measured) = ctx.recv().await else { break };
            figures.sent += 1;
            match measured {
                Measured::Greeted { connect, rtt, text } => {
                    figures.received += 1;
                    connects.add(connect);
                    rtts.add(rtt);
                    self.greeted(rtt, &text).await;
                }
                Measured::NotGreeted { connect, why } => {
                    connects.add(connect);
                    figures.fail(why);
                }
                Measured::NotConnected { why, error } => {
                    figures.fail(why);
                    last = Some(error);
                }
            }
        }
        // The last message is dealt with: a failure of the figures is none of it.
        drop(ctx.try_recv());
        figures.took = ctx.now() - begun;
        (figures.connect, figures.rtt) = (connects.spread(), rtts.spread());
        let told = Box::new(figures.clone());
        self.reporter.tell(|| Report::Figures(told)).await;
        self.judge(&figures, last)
    }
}
