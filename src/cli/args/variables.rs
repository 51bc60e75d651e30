//! Environment variables that look like flags and are not, such as `SOCKACTORS_CLEINTS`.
//!
//! A misspelled variable would be ignored silently, and the server would run with a default.

use std::ffi::OsString;

use crate::cli::args::flags::{Flag, flags};
use crate::cli::args::nearest::nearest;

/// The beginning of the names of the program's variables.
const PREFIX: &str = "SOCKACTORS_";

/// The number of unknown variables that are reported one by one.
const MAX_REPORTED: usize = 8;

/// The length of a name in a report, in characters.
const MAX_LEN: usize = 80;

/// Returns a sentence for each variable among `names` that begins with the program's prefix and
/// belongs to no flag. It names the nearest one.
pub fn unknown_variables(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let known: Vec<String> =
        flags().iter().filter(|flag| !flag.is_request()).map(Flag::env_var).collect();
    let names = names.into_iter().map(|name| name.to_string_lossy().into_owned());
    let mut unknown: Vec<String> =
        names.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    unknown.sort_unstable();
    let rest = unknown.len().saturating_sub(MAX_REPORTED);
    let suffixes = || known.iter().map(|name| &name[PREFIX.len()..]);
    let describe = |name: &String| {
        let shown: String = name.chars().take(MAX_LEN).collect();
        match nearest(&name[PREFIX.len()..], suffixes()) {
            Some(flag) => format!("there is no variable {shown:?}: did you mean {PREFIX}{flag}?"),
            None => format!("there is no variable {shown:?}: unset it"),
        }
    };
    let mut sentences: Vec<String> = unknown.iter().take(MAX_REPORTED).map(describe).collect();
    if rest > 0 {
        sentences.push(format!("there are {rest} more unknown variables {PREFIX}*: unset them"));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn unknown_variable_names_the_nearest() {
        let names = ["PATH", "SOCKACTORS_CLIENTS", "SOCKACTORS_CLEINTS", "SOCKACTORS_BOGUS_NAME"];
        assert_eq!(
            unknown_variables(names.map(OsString::from)),
            [
                "there is no variable \"SOCKACTORS_BOGUS_NAME\": unset it",
                "there is no variable \"SOCKACTORS_CLEINTS\": did you mean SOCKACTORS_CLIENTS?",
            ]
        );
    }

    #[test]
    fn hostile_names_are_bounded_and_escaped() {
        let mut names: Vec<_> = (0..1000).map(|i| format!("SOCKACTORS_X{i:04}").into()).collect();
        names.push(OsString::from_vec(b"SOCKACTORS_\x1b[2J\xff".to_vec()));
        names.push(format!("SOCKACTORS_{}", "x".repeat(1 << 20)).into());
        let sentences = unknown_variables(names);
        assert_eq!(sentences.len(), MAX_REPORTED + 1);
        assert!(sentences.iter().all(|text| text.len() < 600 && !text.contains('\x1b')));
        assert!(sentences[MAX_REPORTED].contains("994 more"), "{sentences:?}");
    }
}
