//! What argh and the table of flags say must agree, and what a user is told.

use argh::{ArgsInfo, FlagInfoKind, Optionality};

use crate::cli::args::flags::{Arity, FLAGS};
use crate::cli::args::*;

#[test]
fn argh_and_the_table_list_the_same_flags() {
    let info = Args::get_args_info();
    let known: Vec<_> = info.flags.iter().filter(|flag| flag.long != "--help").collect();
    assert_eq!(known.len(), FLAGS.len());
    for (argh, ours) in known.iter().zip(FLAGS) {
        assert_eq!(argh.long, ours.as_typed());
        assert_eq!(argh.short, ours.short, "{}", argh.long);
        let takes = match argh.kind {
            FlagInfoKind::Switch => Arity::Switch,
            FlagInfoKind::Option { .. } => Arity::Value,
        };
        assert_eq!(takes, ours.arity, "{}", argh.long);
        if takes == Arity::Value {
            let repeats = argh.optionality == Optionality::Repeating;
            assert_eq!(repeats, ours.is_repeatable, "{}", argh.long);
        }
    }
}

#[test]
fn help_names_every_flag_and_fits_a_terminal() {
    let help = help_text();
    for flag in FLAGS {
        assert!(help.contains(&flag.as_typed()), "{}", flag.name);
    }
    for line in help.lines() {
        assert!(line.chars().count() <= 90, "{line}");
    }
}

#[test]
fn a_wrong_flag_brings_a_suggestion() {
    assert!(unknown_flag_message("--scenaro").contains("--scenario"));
    for odd in ["-", "-x", "--\u{fc}"] {
        assert!(unknown_flag_message(odd).contains("Unrecognized"), "{odd}");
    }
}
