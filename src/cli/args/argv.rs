//! Splits a command line, and adds the flags of the environment.
//!
//! argh accepts `--name value` only. This module also accepts `--name=value` and `-qv`, ends the
//! flags at `--`, and accepts a word that begins with a dash as the value of a flag. A
//! flag given twice is an error. `-h` and `-V` win over every word after them. The first argument
//! that is not a flag names the scenario, unless `--scenario` does.
//!
//! A flag that is not on the command line may come from the environment. The command line must
//! fit the run. The environment is shared by many runs, so variables for other scenarios or roles
//! are ignored.

use std::ffi::OsString;

use crate::cli::args::flags::{Arity, Flag, check_file_argument, flags};
use crate::cli::args::nearest::nearest;
use crate::scenario::{Role, Scenario};

/// A function that returns the value of an environment variable.
pub type EnvLookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The request of a command line.
#[derive(Debug)]
pub enum Invocation {
    /// Print the help text, for the scenario among these arguments if there is one.
    Help(RawArgs),
    /// Print the version.
    Version,
    /// Run with these arguments.
    Run(RawArgs),
}

/// The arguments of one run, unparsed, each with its origin.
#[derive(Debug, Default)]
pub struct RawArgs {
    flags: Vec<RawArg>,
    files: Vec<String>,
}

#[derive(Debug)]
struct RawArg {
    flag: &'static Flag,
    value: Option<String>,
    is_from_command_line: bool,
}

/// The effect of one word of a command line.
enum Effect {
    /// It was added to the arguments, with its value if it has one.
    Added,
    Help,
    Version,
}

impl Invocation {
    /// Splits a command line, without the program's own name.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first wrong word.
    pub fn parse(words: Vec<OsString>) -> Result<Invocation, String> {
        let mut args = RawArgs::default();
        let mut rest = words.into_iter().map(into_utf8);
        let mut is_help = false;
        while let Some(word) = rest.next() {
            match word.and_then(|word| args.push_word(word, &mut rest)) {
                Ok(Effect::Help) => is_help = true,
                // A later word can only name the scenario of the help.
                _ if is_help => {}
                Ok(Effect::Version) => return Ok(Invocation::Version),
                Ok(Effect::Added) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(if is_help { Invocation::Help(args) } else { Invocation::Run(args) })
    }
}

/// Returns the switches of a word like `-v` or `-qv`.
fn parse_short_flags(word: &str) -> Result<Vec<&'static Flag>, String> {
    let flags: Option<Vec<_>> = word[1..].chars().map(Flag::by_short).collect();
    match flags {
        // `-V` among other letters is more likely a typing error than a request for the version.
        Some(flags) if !flags.is_empty() && flags.iter().all(|flag| flag.name != "version") => {
            Ok(flags)
        }
        _ => Err(unknown_flag_message(word)),
    }
}

/// Returns a sentence about an unknown flag, with the name of a similar one.
fn unknown_flag_message(word: &str) -> String {
    let names = flags().iter().map(Flag::as_typed).chain(["--help".to_owned()]);
    let names: Vec<String> = names.collect();
    match nearest(word, names.iter().map(String::as_str)) {
        Some(name) => format!("unknown flag {word:?}: did you mean {name}?"),
        None => format!("unknown flag {word:?}"),
    }
}

impl RawArgs {
    /// Adds one word, with its value from the words after it.
    fn push_word(
        &mut self,
        word: String,
        rest: &mut impl Iterator<Item = Result<String, String>>,
    ) -> Result<Effect, String> {
        match word.strip_prefix('-') {
            Some("h" | "-help") => return Ok(Effect::Help),
            Some("V" | "-version") => return Ok(Effect::Version),
            // A single dash is the file name of stdin.
            Some("") => self.files.push(word),
            Some("-") => self.files.extend(rest.collect::<Result<Vec<_>, _>>()?),
            Some(letters) if !letters.starts_with('-') => {
                for flag in parse_short_flags(&word)? {
                    self.push(flag, None)?;
                }
            }
            Some(_) => self.push_long(&word, rest)?,
            None => {
                let scenario = Flag::expect("scenario");
                let is_first = self.files.is_empty() && !self.contains(scenario);
                match is_first && scenario.choices().contains(&word.as_str()) {
                    true => self.push(scenario, Some(word))?,
                    false => self.files.push(word),
                }
            }
        }
        Ok(Effect::Added)
    }

    /// Adds one `--name`, with its value from after `=` or from the next word.
    fn push_long(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = Result<String, String>>,
    ) -> Result<(), String> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let no_value = |value| Err(format!("{name} takes no value: remove ={value:?}"));
        let flag = match (Flag::by_name(&name[2..]), &value) {
            (Some(flag), _) => flag,
            (None, Some(value)) if name == "--help" => return no_value(value.clone()),
            (None, _) => return Err(unknown_flag_message(name)),
        };
        match (flag.arity, value) {
            (Arity::Switch | Arity::Counter, Some(value)) => no_value(value),
            (Arity::Switch | Arity::Counter, None) => self.push(flag, None),
            (Arity::Value | Arity::List, Some(value)) => self.push(flag, Some(value)),
            (Arity::Value | Arity::List, None) => {
                let value = rest.next().ok_or_else(|| format!("{name} needs a value"))??;
                self.push(flag, Some(value))
            }
        }
    }

    fn push(&mut self, flag: &'static Flag, value: Option<String>) -> Result<(), String> {
        if !flag.is_repeatable() && self.contains(flag) {
            return Err(format!("{} is given twice", flag.as_typed()));
        }
        self.flags.push(RawArg { flag, value, is_from_command_line: true });
        Ok(())
    }

    fn contains(&self, flag: &Flag) -> bool {
        self.flags.iter().any(|arg| arg.flag == flag)
    }

    fn find(&self, name: &str) -> Option<&RawArg> {
        self.flags.iter().find(|arg| arg.flag.name == name)
    }

    /// Returns the first argument that is not a flag and not a scenario.
    pub fn first_file(&self) -> Option<&str> {
        self.files.first().map(String::as_str)
    }

    /// Returns the first value of the flag `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name)?.value.as_deref()
    }

    /// Returns the name of a flag in messages: `--name`, or the variable that its value is from.
    pub fn display_name(&self, name: &str) -> String {
        match self.find(name) {
            Some(arg) if !arg.is_from_command_line => arg.flag.env_var(),
            _ => format!("--{name}"),
        }
    }

    /// Checks that the scenario and the role use every argument of the command line.
    ///
    /// # Errors
    ///
    /// Returns a sentence that says where the first wrong argument belongs.
    pub fn check(&self, scenario: Scenario, role: Role) -> Result<(), String> {
        for arg in self.flags.iter().filter(|arg| arg.is_from_command_line) {
            arg.flag.check_scope(scenario, role)?;
        }
        match self.first_file() {
            Some(file) => check_file_argument(file, scenario, role),
            None => Ok(()),
        }
    }

    /// Adds the flags from the environment that the scenario and the role use.
    ///
    /// # Errors
    ///
    /// Returns a sentence about the first wrong variable.
    pub fn read_environment(
        &mut self,
        env: EnvLookup<'_>,
        scenario: Scenario,
        role: Role,
    ) -> Result<(), String> {
        for flag in flags() {
            if flag.check_scope(scenario, role).is_ok() {
                self.read_env_var(env, flag)?;
            }
        }
        Ok(())
    }

    /// Adds one flag from the environment, unless it is given already or its variable is empty.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a wrong variable.
    pub fn read_env_var(&mut self, env: EnvLookup<'_>, flag: &'static Flag) -> Result<(), String> {
        // A request to print a text instead of running is read from the command line only.
        if flag.is_request() || self.contains(flag) {
            return Ok(());
        }
        let name = flag.env_var();
        let Some(text) = env(&name).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        let text = text
            .into_string()
            .map_err(|text| format!("{name}: {:?} is not valid UTF-8", text.to_string_lossy()))?;
        let values: Vec<Option<String>> = match flag.arity {
            Arity::Switch | Arity::Counter => vec![None; parse_switch_count(flag, &name, &text)?],
            Arity::List => text.split(',').map(|part| Some(part.trim().to_owned())).collect(),
            Arity::Value => vec![Some(text)],
        };
        let args =
            values.into_iter().map(|value| RawArg { flag, value, is_from_command_line: false });
        self.flags.extend(args);
        Ok(())
    }

    /// Returns the arguments as argh accepts them: flags, `--`, files.
    pub fn to_argh(&self) -> Vec<String> {
        let mut words = Vec::new();
        for arg in &self.flags {
            words.push(arg.flag.as_typed());
            words.extend(arg.value.clone());
        }
        words.push("--".to_owned());
        words.extend(self.files.iter().cloned());
        words
    }
}

/// Reads the number of times that a variable sets its switch: 0 or 1, up to 3 for a counter.
fn parse_switch_count(flag: &Flag, name: &str, text: &str) -> Result<usize, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(1),
        "0" | "false" | "no" | "off" => Ok(0),
        "2" | "3" if flag.is_repeatable() => Ok(usize::from(text.as_bytes()[0] - b'0')),
        _ => Err(format!("{name}: {text:?} is not one of 1, true, yes, on, 0, false, no, off")),
    }
}

fn into_utf8(word: OsString) -> Result<String, String> {
    word.into_string()
        .map_err(|word| format!("the argument {:?} is not valid UTF-8", word.to_string_lossy()))
}
