//! The flags of clients that measure, and what `--rate` means where.

use std::time::Duration;

use super::MAX_DATAGRAM_LEN;
use crate::cli::args::Args;
use crate::cli::args::argv::RawArgs;
use crate::cli::args::values;
use crate::scenario::{Scenario, Settings};

/// Reads what is to be measured, and how.
///
/// # Errors
///
/// Returns a sentence about the first value that makes no sense.
pub(super) fn fill_measuring(
    to: &mut Settings,
    args: &Args,
    words: &RawArgs,
) -> Result<(), String> {
    let called = |name| words.display_name(name);
    if let Some(text) = &args.size {
        let size = values::size(&called("size"), text, 0..=MAX_DATAGRAM_LEN as u64)?;
        to.size = Some(usize::try_from(size).unwrap_or(MAX_DATAGRAM_LEN));
    }
    if let Some(text) = &args.concurrency {
        to.concurrency = Some(values::integer(&called("concurrency"), text, 1..=1024)?);
        if args.interval.is_none() {
            to.interval = Duration::ZERO;
        }
    }
    if let Some(text) = &args.max_loss {
        to.max_loss = Some(values::percent(&called("max-loss"), text)?);
    }
    if let Some(text) = &args.rate {
        match to.scenario {
            Scenario::Udp => fill_flood(to, args, words, text)?,
            _ => to.rate = Some(values::rate(&called("rate"), text)?),
        }
    }
    Ok(())
}

/// Reads how many requests are sent in which time: `N`, a second, or `N/DUR`. Without a number of them there is no end.
fn fill_flood(to: &mut Settings, args: &Args, words: &RawArgs, text: &str) -> Result<(), String> {
    let (rate, interval) = (words.display_name("rate"), words.display_name("interval"));
    if args.interval.is_some() {
        return Err(format!("{rate} and {interval} both say how fast; give one of them"));
    }
    to.flood = Some(match text.contains('/') {
        true => values::rate(&rate, text)?,
        false => (values::positive(&rate, text)?, Duration::from_secs(1)),
    });
    if args.count.is_none() {
        to.count = u64::MAX;
    }
    Ok(())
}
