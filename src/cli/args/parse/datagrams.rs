//! The flags of the udp scenario.

use crate::cli::args::Args;
use crate::cli::args::argv::RawArgs;
use crate::cli::args::values;
use crate::scenario::Settings;

/// Reads what is said of datagrams.
///
/// # Errors
///
/// Returns a sentence about the first value that makes no sense.
pub(super) fn fill_datagrams(
    to: &mut Settings,
    args: &Args,
    words: &RawArgs,
) -> Result<(), String> {
    let called = |name| words.display_name(name);
    if let Some(text) = &args.buffer_size {
        let size = values::size(&called("buffer-size"), text, 1..=65535)?;
        to.buffer_size = usize::try_from(size).unwrap_or(usize::MAX);
    }
    if let Some(text) = &args.reply_rate {
        to.reply_rate = Some(match text.as_str() {
            "off" => None,
            text => Some(values::rate(&called("reply-rate"), text)?),
        });
    }
    to.allow_amplification = args.allow_amplification;
    for text in &args.join_group {
        let group = text.parse().map_err(|error| format!("{}: {error}", called("join-group")))?;
        to.groups.push(group);
    }
    Ok(())
}
