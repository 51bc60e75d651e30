//! From the words of a command line, and the environment, to the flags that were given.
//!
//! argh takes `--name value` alone, so the line is split here, by the table of flags: `--name=value` and
//! `-qv` too, `--` ends the flags, the word after a flag that takes a value is that value whatever it looks
//! like, and a flag given twice is an error. `-h` and `-V` win over everything that stands behind them.
//!
//! Then every flag that is not on the line may come from the environment. A line is written for one run and
//! must fit it; an environment is shared by many runs, so a variable for another scenario or role is
//! passed over in silence.

use std::ffi::OsString;

use crate::cli::args;
use crate::cli::args::flags::{Arity, FILE_ARGUMENT, FLAGS, Flag};
use crate::scenario::{Role, Scenario};

/// Looks a variable up in the environment.
pub type EnvLookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// The help text.
    Help,
    /// The version.
    Version,
    /// A run with these flags.
    Run(RawArgs),
}

/// The flags of one run, and where each came from.
#[derive(Debug, Default)]
pub struct RawArgs {
    flags: Vec<RawArg>,
    files: Vec<String>,
}

#[derive(Debug)]
struct RawArg {
    flag: &'static Flag,
    value: Option<String>,
    from_command_line: bool,
}

impl Invocation {
    /// Splits a command line, without the program's own name.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first word that is wrong.
    pub fn parse(words: Vec<OsString>) -> Result<Invocation, String> {
        let mut found = RawArgs::default();
        let mut rest = words.into_iter().map(into_utf8);
        while let Some(word) = rest.next().transpose()? {
            match word.strip_prefix('-') {
                Some("h" | "-help") => return Ok(Invocation::Help),
                Some("V" | "-version") => return Ok(Invocation::Version),
                // A lone dash is a file: stdin.
                Some("") => found.files.push(word),
                Some("-") => {
                    found.files.extend(rest.by_ref().collect::<Result<Vec<_>, _>>()?);
                }
                Some(letters) if !letters.starts_with('-') => {
                    for flag in parse_short_flags(&word)? {
                        found.push(flag, None)?;
                    }
                }
                Some(_) => found.push_long(&word, &mut rest)?,
                None => found.files.push(word),
            }
        }
        Ok(Invocation::Run(found))
    }
}

/// Finds the switches of a word like `-v` or `-qv`.
fn parse_short_flags(word: &str) -> Result<Vec<&'static Flag>, String> {
    let flags: Option<Vec<_>> = word[1..].chars().map(Flag::by_short).collect();
    match flags {
        // `-V` inside of such a word is more likely a slip than a wish for the version.
        Some(flags) if !flags.is_empty() && flags.iter().all(|flag| flag.name != "version") => {
            Ok(flags)
        }
        _ => Err(args::unknown_flag_message(word)),
    }
}

impl RawArgs {
    /// Takes one `--name`, and its value from behind `=` or from the next word.
    fn push_long(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = Result<String, String>>,
    ) -> Result<(), String> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let flag = Flag::by_name(&name[2..]).ok_or_else(|| args::unknown_flag_message(name))?;
        match (flag.arity, value) {
            (Arity::Switch, Some(value)) => {
                Err(format!("{name} takes no value, not even {value:?}"))
            }
            (Arity::Switch, None) => self.push(flag, None),
            (Arity::Value, Some(value)) => self.push(flag, Some(value)),
            (Arity::Value, None) => {
                let value = rest.next().ok_or_else(|| format!("{name} needs a value"))??;
                self.push(flag, Some(value))
            }
        }
    }

    fn push(&mut self, flag: &'static Flag, value: Option<String>) -> Result<(), String> {
        if !flag.is_repeatable && self.contains(flag) {
            return Err(format!("{} is given twice", flag.as_typed()));
        }
        self.flags.push(RawArg { flag, value, from_command_line: true });
        Ok(())
    }

    fn contains(&self, flag: &Flag) -> bool {
        self.flags.iter().any(|given| given.flag == flag)
    }

    /// Returns the value that was given for the flag `name`, if it was.
    pub fn value(&self, name: &str) -> Option<&str> {
        let given = self.flags.iter().find(|given| given.flag.name == name)?;
        given.value.as_deref()
    }

    /// Returns what to call the flag `name` in a message: itself, or the variable that its value came from.
    pub fn display_name(&self, name: &str) -> String {
        match self.flags.iter().find(|given| given.flag.name == name) {
            Some(given) if !given.from_command_line => given.flag.env_var(),
            _ => format!("--{name}"),
        }
    }

    /// Checks that each flag of the line belongs to the scenario and the role.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says where the first wrong flag belongs.
    pub fn check(&self, kind: Scenario, role: Role) -> Result<(), String> {
        for given in self.flags.iter().filter(|given| given.from_command_line) {
            given.flag.check_scope(kind, role)?;
        }
        match self.files.first() {
            Some(file) => FILE_ARGUMENT
                .check_scope(kind, role)
                .map_err(|error| format!("{file:?} is a FILE, and {error}")),
            None => Ok(()),
        }
    }

    /// Adds every flag that the line lacks, the environment has, and the scenario and role have a use for.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first variable that makes no sense.
    pub fn read_environment(
        &mut self,
        env: EnvLookup<'_>,
        kind: Scenario,
        role: Role,
    ) -> Result<(), String> {
        for flag in FLAGS {
            if flag.check_scope(kind, role).is_ok() {
                self.read_env_var(env, flag)?;
            }
        }
        Ok(())
    }

    /// Adds one flag from the environment, if the line lacks it and its variable is not empty.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a variable that makes no sense.
    pub fn read_env_var(&mut self, env: EnvLookup<'_>, flag: &'static Flag) -> Result<(), String> {
        // What asks for a text instead of a run is asked for on the line alone.
        if flag.name == "version" || self.contains(flag) {
            return Ok(());
        }
        let name = flag.env_var();
        let Some(text) = env(&name).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let text = text.into_string().map_err(|text| {
            format!("{name} holds {:?}, which is not valid UTF-8", text.to_string_lossy())
        })?;
        let values: Vec<Option<String>> = match (flag.arity, flag.is_repeatable) {
            (Arity::Switch, _) => vec![None; parse_switch_count(flag, &name, &text)?],
            (Arity::Value, true) => {
                text.split(',').map(|part| Some(part.trim().to_owned())).collect()
            }
            (Arity::Value, false) => vec![Some(text)],
        };
        let given =
            values.into_iter().map(|value| RawArg { flag, value, from_command_line: false });
        self.flags.extend(given);
        Ok(())
    }

    /// Returns the words in the form that argh takes: flags, `--`, files.
    pub fn to_argh(&self) -> Vec<String> {
        let mut words = Vec::new();
        for given in &self.flags {
            words.push(given.flag.as_typed());
            words.extend(given.value.clone());
        }
        words.push("--".to_owned());
        words.extend(self.files.iter().cloned());
        words
    }
}

/// Reads how often a switch is meant by its variable: never, once, or so many times if it repeats.
fn parse_switch_count(flag: &Flag, name: &str, text: &str) -> Result<usize, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(1),
        "0" | "false" | "no" | "off" => Ok(0),
        "2" | "3" if flag.is_repeatable => Ok(usize::from(text.as_bytes()[0] - b'0')),
        _ => Err(format!("{name}: {text:?} is none of 1, true, yes, on, 0, false, no, off")),
    }
}

fn into_utf8(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("the argument {:?} is not valid UTF-8", word.to_string_lossy()))
}
