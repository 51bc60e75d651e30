//! The scripts that complete the flags in a shell.
//!
//! Each script is made of the table of flags: it offers the scenarios, then the flags of the
//! scenario on the line, then the values of a flag that has a fixed list or is a path.

use std::fmt::Write;

use crate::cli::args::PROGRAM;
use crate::cli::args::flags::{Flag, flags};
use crate::scenario::Scenario;
use crate::scenario::Side::{Client, Server};

/// A shell with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh, with its function `_arguments`.
    Zsh,
    /// Fish.
    Fish,
}

/// The values of `--completions`.
pub const SHELL_CHOICES: [(&str, Shell); 3] =
    [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// Returns the completion script for a shell.
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

/// The kind of a flag's value, as far as a shell can complete it.
enum ValueKind {
    Choices(String),
    Directory,
    File,
    Free,
}

fn value_kind(flag: &Flag) -> ValueKind {
    match flag.value {
        Some(value) if value.contains('|') => ValueKind::Choices(flag.choices().join(" ")),
        Some("DIR") => ValueKind::Directory,
        Some("PATH") => ValueKind::File,
        _ => ValueKind::Free,
    }
}

/// Returns the flags of a scenario. Without one, they are those of every scenario.
fn flags_of(scenario: Option<Scenario>) -> impl Iterator<Item = &'static Flag> {
    flags().iter().filter(move |flag| match scenario {
        None => flag.scopes.is_none(),
        Some(scenario) => [Server, Client].iter().any(|side| flag.is_used_by(scenario, *side)),
    })
}

/// Returns the scenarios as words in a row.
fn scenario_words(separator: &str) -> String {
    Scenario::ALL.map(Scenario::name).join(separator)
}

fn bash() -> String {
    let words = |scenario| {
        let names = flags_of(scenario).map(Flag::as_typed);
        names.chain(["--help".to_owned()]).collect::<Vec<_>>().join(" ")
    };
    let (mut values, mut by_scenario) = (String::new(), String::new());
    for flag in flags().iter().filter(|flag| flag.value.is_some()) {
        let action = match value_kind(flag) {
            ValueKind::Choices(words) => format!("compgen -W '{words}' -- \"$cur\""),
            ValueKind::Directory => "compgen -d -- \"$cur\"".to_owned(),
            ValueKind::File => "compgen -f -- \"$cur\"".to_owned(),
            ValueKind::Free => ":".to_owned(),
        };
        let flag = flag.as_typed();
        let _ = writeln!(values, "        {flag}) mapfile -t COMPREPLY < <({action}); return ;;");
    }
    for scenario in Scenario::ALL {
        let words = words(Some(scenario));
        let _ = writeln!(by_scenario, "        {}) words='{words}' ;;", scenario.name());
    }
    let (scenarios, patterns, common) = (scenario_words(" "), scenario_words("|"), words(None));
    format!(
        r#"# Completion of {PROGRAM} in bash: source <({PROGRAM} --completions bash)
_{PROGRAM}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} scenario= words word
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case $word in {patterns}) scenario=$word; break ;; esac
    done
    case $prev in
{values}    esac
    case $scenario in
{by_scenario}        *) words='{scenarios} {common}' ;;
    esac
    if [[ $scenario == file && $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}}
complete -o filenames -F _{PROGRAM} {PROGRAM}
"#
    )
}

fn zsh() -> String {
    let escape = |text: &str| {
        let text = text.replace('\'', r"'\''");
        ['[', ']', ':'].iter().fold(text, |text, c| text.replace(*c, &format!("\\{c}")))
    };
    let specs = |scenario| {
        let mut specs = String::new();
        for flag in flags_of(scenario) {
            let repeat = if flag.is_repeatable() { "*" } else { "" };
            let value = match (flag.value, value_kind(flag)) {
                (None, _) => String::new(),
                (Some(_), ValueKind::Choices(words)) => format!(":value:({words})"),
                (Some(_), ValueKind::Directory) => ":directory:_files -/".to_owned(),
                (Some(_), ValueKind::File) => ":file:_files".to_owned(),
                (Some(value), ValueKind::Free) => format!(":{}:", escape(value)),
            };
            let (name, text) = (flag.as_typed(), escape(flag.description));
            let _ = writeln!(specs, "            '{repeat}{name}[{text}]{value}'");
        }
        specs
    };
    let mut by_scenario = String::new();
    for scenario in Scenario::ALL {
        let (name, specs) = (scenario.name(), specs(Some(scenario)));
        let _ = write!(by_scenario, "        {name}) specs=(\n{specs}        ) ;;\n");
    }
    let (scenarios, patterns, common) = (scenario_words(" "), scenario_words("|"), specs(None));
    format!(
        r#"#compdef {PROGRAM}
# Completion of {PROGRAM} in zsh: source <({PROGRAM} --completions zsh)
_{PROGRAM}() {{
    local -a specs
    local scenario=${{words[2,CURRENT-1][(r)({patterns})]}} rest='*:file:_files'
    case $scenario in
{by_scenario}        *) rest='1:scenario:({scenarios})'
        specs=(
{common}        ) ;;
    esac
    [[ $scenario == (file|) ]] || rest='*: :'
    _arguments -S $specs '--help[print the help]' $rest
}}
if [[ $funcstack[1] == _{PROGRAM} ]]; then _{PROGRAM} "$@"; else compdef _{PROGRAM} {PROGRAM}; fi
"#
    )
}

fn fish() -> String {
    let escape = |text: &str| text.replace('\\', r"\\").replace('\'', r"\'");
    let scenarios = scenario_words(" ");
    let mut script = format!(
        "# Completion of {PROGRAM} in fish: {PROGRAM} --completions fish | source\n\
         complete -c {PROGRAM} -f\n\
         complete -c {PROGRAM} -n 'not __fish_seen_subcommand_from {scenarios}' -a '{scenarios}'\n\
         complete -c {PROGRAM} -n '__fish_seen_subcommand_from file' -F\n\
         complete -c {PROGRAM} -l help -s h -d 'print the help'\n"
    );
    for flag in flags() {
        let mut line = format!("complete -c {PROGRAM} -l {}", flag.name);
        if let Some(short) = flag.short {
            let _ = write!(line, " -s {short}");
        }
        if flag.scopes.is_some() {
            let users = Scenario::ALL.into_iter().filter(|scenario| {
                [Server, Client].iter().any(|side| flag.is_used_by(*scenario, *side))
            });
            let users: Vec<_> = users.map(Scenario::name).collect();
            let _ = write!(line, " -n '__fish_seen_subcommand_from {}'", users.join(" "));
        }
        let value = match (flag.value, value_kind(flag)) {
            (None, _) => String::new(),
            (Some(_), ValueKind::Choices(words)) => format!(" -x -a '{words}'"),
            (Some(_), ValueKind::Directory) => " -x -a '(__fish_complete_directories)'".to_owned(),
            (Some(_), ValueKind::File) => " -r -F".to_owned(),
            (Some(_), ValueKind::Free) => " -x".to_owned(),
        };
        let _ = writeln!(script, "{line}{value} -d '{}'", escape(flag.description));
    }
    script
}
