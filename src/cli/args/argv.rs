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
use crate::cli::args::flags::{FILES, FLAGS, Flag, Takes};
use crate::scenario::{Kind, Role};

/// Looks a variable up in the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What a command line asks for.
#[derive(Debug)]
pub enum Line {
    /// The help text.
    Help,
    /// The version.
    Version,
    /// A run with these flags.
    Run(Words),
}

/// The flags of one run, and where each came from.
#[derive(Debug, Default)]
pub struct Words {
    given: Vec<Given>,
    files: Vec<String>,
}

#[derive(Debug)]
struct Given {
    flag: &'static Flag,
    value: Option<String>,
    on_line: bool,
}

impl Line {
    /// Splits a command line, without the program's own name.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first word that is wrong.
    pub fn split(words: Vec<OsString>) -> Result<Line, String> {
        let mut found = Words::default();
        let mut rest = words.into_iter().map(utf8);
        while let Some(word) = rest.next().transpose()? {
            match word.strip_prefix('-') {
                Some("h" | "-help") => return Ok(Line::Help),
                Some("V" | "-version") => return Ok(Line::Version),
                // A lone dash is a file: stdin.
                Some("") => found.files.push(word),
                Some("-") => {
                    found.files.extend(rest.by_ref().collect::<Result<Vec<_>, _>>()?);
                }
                Some(letters) if !letters.starts_with('-') => {
                    for flag in switches(&word)? {
                        found.push(flag, None)?;
                    }
                }
                Some(_) => found.take_long(&word, &mut rest)?,
                None => found.files.push(word),
            }
        }
        Ok(Line::Run(found))
    }
}

/// Finds the switches of a word like `-v` or `-qv`.
fn switches(word: &str) -> Result<Vec<&'static Flag>, String> {
    let flags: Option<Vec<_>> = word[1..].chars().map(Flag::lettered).collect();
    match flags {
        // `-V` inside of such a word is more likely a slip than a wish for the version.
        Some(flags) if !flags.is_empty() && flags.iter().all(|flag| flag.name != "version") => {
            Ok(flags)
        }
        _ => Err(args::unknown(word)),
    }
}

impl Words {
    /// Takes one `--name`, and its value from behind `=` or from the next word.
    fn take_long(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = Result<String, String>>,
    ) -> Result<(), String> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let flag = Flag::named(&name[2..]).ok_or_else(|| args::unknown(name))?;
        match (flag.takes, value) {
            (Takes::Nothing, Some(value)) => {
                Err(format!("{name} takes no value, not even {value:?}"))
            }
            (Takes::Nothing, None) => self.push(flag, None),
            (Takes::Value, Some(value)) => self.push(flag, Some(value)),
            (Takes::Value, None) => {
                let value = rest.next().ok_or_else(|| format!("{name} needs a value"))??;
                self.push(flag, Some(value))
            }
        }
    }

    fn push(&mut self, flag: &'static Flag, value: Option<String>) -> Result<(), String> {
        if !flag.repeats && self.has(flag) {
            return Err(format!("{} is given twice", flag.typed()));
        }
        self.given.push(Given { flag, value, on_line: true });
        Ok(())
    }

    fn has(&self, flag: &Flag) -> bool {
        self.given.iter().any(|given| given.flag == flag)
    }

    /// Returns the value that was given for the flag `name`, if it was.
    pub fn value(&self, name: &str) -> Option<&str> {
        let given = self.given.iter().find(|given| given.flag.name == name)?;
        given.value.as_deref()
    }

    /// Returns what to call the flag `name` in a message: itself, or the variable that its value came from.
    pub fn called(&self, name: &str) -> String {
        match self.given.iter().find(|given| given.flag.name == name) {
            Some(given) if !given.on_line => given.flag.variable(),
            _ => format!("--{name}"),
        }
    }

    /// Checks that each flag of the line belongs to the scenario and the role.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says where the first wrong flag belongs.
    pub fn check(&self, kind: Kind, role: Role) -> Result<(), String> {
        for given in self.given.iter().filter(|given| given.on_line) {
            given.flag.belongs(kind, role)?;
        }
        match self.files.first() {
            Some(file) => FILES
                .belongs(kind, role)
                .map_err(|error| format!("{file:?} is a FILE, and {error}")),
            None => Ok(()),
        }
    }

    /// Adds every flag that the line lacks, the environment has, and the scenario and role have a use for.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first variable that makes no sense.
    pub fn take_environment(&mut self, env: Env<'_>, kind: Kind, role: Role) -> Result<(), String> {
        for flag in FLAGS {
            if flag.belongs(kind, role).is_ok() {
                self.take_variable(env, flag)?;
            }
        }
        Ok(())
    }

    /// Adds one flag from the environment, if the line lacks it and its variable is not empty.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a variable that makes no sense.
    pub fn take_variable(&mut self, env: Env<'_>, flag: &'static Flag) -> Result<(), String> {
        // What asks for a text instead of a run is asked for on the line alone.
        if flag.name == "version" || self.has(flag) {
            return Ok(());
        }
        let name = flag.variable();
        let Some(text) = env(&name).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let text = text.into_string().map_err(|text| {
            format!("{name} holds {:?}, which is not valid UTF-8", text.to_string_lossy())
        })?;
        let values: Vec<Option<String>> = match (flag.takes, flag.repeats) {
            (Takes::Nothing, _) => vec![None; times(flag, &name, &text)?],
            (Takes::Value, true) => {
                text.split(',').map(|part| Some(part.trim().to_owned())).collect()
            }
            (Takes::Value, false) => vec![Some(text)],
        };
        let given = values.into_iter().map(|value| Given { flag, value, on_line: false });
        self.given.extend(given);
        Ok(())
    }

    /// Returns the words in the form that argh takes: flags, `--`, files.
    pub fn for_argh(&self) -> Vec<String> {
        let mut words = Vec::new();
        for given in &self.given {
            words.push(given.flag.typed());
            words.extend(given.value.clone());
        }
        words.push("--".to_owned());
        words.extend(self.files.iter().cloned());
        words
    }
}

/// Reads how often a switch is meant by its variable: never, once, or so many times if it repeats.
fn times(flag: &Flag, name: &str, text: &str) -> Result<usize, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(1),
        "0" | "false" | "no" | "off" => Ok(0),
        "2" | "3" if flag.repeats => Ok(usize::from(text.as_bytes()[0] - b'0')),
        _ => Err(format!("{name}: {text:?} is none of 1, true, yes, on, 0, false, no, off")),
    }
}

fn utf8(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("the argument {:?} is not valid UTF-8", word.to_string_lossy()))
}
