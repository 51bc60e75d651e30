//! Tests of the help text, and of the argh struct against the table of flags.

use crate::cli::args::flags::{Arity, flags};
use crate::cli::args::*;

#[test]
fn argh_struct_has_the_expected_kinds_of_flags() {
    let arity = |name: &str| flags().iter().find(|flag| flag.name == name).unwrap().arity;
    assert_eq!(arity("max-conns"), Arity::Value);
    assert_eq!(arity("listen"), Arity::List);
    assert_eq!(arity("json"), Arity::Switch);
    assert_eq!(arity("verbose"), Arity::Counter);
    assert!(flags().iter().all(|flag| flag.name != "help"));
}

#[test]
fn help_names_every_flag_and_fits_a_terminal() {
    let help = help_text();
    for flag in flags() {
        assert!(help.contains(&flag.as_typed()), "{}", flag.name);
    }
    for line in help.lines() {
        assert!(line.chars().count() <= 90, "{line}");
    }
}

#[test]
fn misspelled_flag_gets_a_suggestion() {
    assert!(unknown_flag_message("--scenaro").contains("--scenario"));
    for word in ["-", "-x", "--\u{fc}"] {
        assert!(unknown_flag_message(word).contains("Unrecognized"), "{word}");
    }
}
