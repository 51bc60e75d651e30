//! The flags of clients that measure, and what `--rate` means where.

use std::time::Duration;

use super::super::args::Args;
use super::super::values;
use super::super::words::Words;
use super::LONGEST_DATAGRAM;
use crate::scenario::{Kind, Settings};

/// Reads what is to be measured, and how.
///
/// # Errors
///
/// Returns a sentence about the first value that makes no sense.
pub(super) fn fill(to: &mut Settings, args: &Args, words: &Words) -> Result<(), String> {
    let called = |name| words.called(name);
    if let Some(text) = &args.size {
        let size = values::size(&called("size"), text, 0..=LONGEST_DATAGRAM as u64)?;
        to.size = Some(usize::try_from(size).unwrap_or(LONGEST_DATAGRAM));
    }
    if let Some(text) = &args.concurrency {
        to.concurrency = Some(values::whole(&called("concurrency"), text, 1..=1024)?);
        if args.interval.is_none() {
            to.interval = Duration::ZERO;
        }
    }
    if let Some(text) = &args.max_loss {
        to.max_loss = Some(values::percent(&called("max-loss"), text)?);
    }
    if let Some(text) = &args.rate {
        let rate = values::rate(&called("rate"), text)?;
        match to.kind {
            Kind::Udp if args.interval.is_some() => {
                let (rate, interval) = (called("rate"), called("interval"));
                return Err(format!("{rate} and {interval} both say how fast; give one of them"));
            }
            Kind::Udp => to.flood = Some(rate),
            _ => to.rate = Some(rate),
        }
    }
    Ok(())
}
