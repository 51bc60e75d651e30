//! The commands that help after a failed run, in the messages of the errors.

use std::error::Error;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::actors::ClientError;
use crate::cli::args::PROGRAM;
use crate::net::{BindError, ConnectError, Endpoint};
use crate::scenario::Scenario;

/// Formats an error, and the command that helps if there is one.
pub fn with_remedy(error: &(dyn Error + 'static), scenario: Scenario) -> String {
    match find_remedy(error, scenario) {
        Some(command) => format!("{error} (run: {command})"),
        None => error.to_string(),
    }
}

fn find_remedy(error: &(dyn Error + 'static), scenario: Scenario) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let connect = match error.downcast_ref() {
            Some(ClientError::Connect(connect)) => Some(connect),
            _ => error.downcast_ref(),
        };
        if let Some(error) = connect {
            return connect_remedy(error, scenario);
        }
        if let Some(error) = error.downcast_ref() {
            return bind_remedy(error, scenario);
        }
        cause = error.source();
    }
    None
}

fn connect_remedy(error: &ConnectError, scenario: Scenario) -> Option<String> {
    match error {
        ConnectError::Refused { endpoint, .. } | ConnectError::NotFound { endpoint, .. } => {
            let (name, endpoint) = (scenario.name(), quote(&endpoint.to_string()));
            Some(format!("{PROGRAM} {name} --listen {endpoint}"))
        }
        _ => None,
    }
}

fn bind_remedy(error: &BindError, scenario: Scenario) -> Option<String> {
    let kind = if scenario == Scenario::Udp { "u" } else { "t" };
    match error {
        BindError::InUse {
            endpoint: Endpoint::Host { port, .. } | Endpoint::Any(port), ..
        } => Some(format!("ss -{kind}lnp sport = :{port}")),
        BindError::InUse { endpoint: Endpoint::Unix(_), .. } | BindError::SocketInUse { .. } => {
            Some("ss -xlp".to_owned())
        }
        BindError::NoDirectory { endpoint: Endpoint::Unix(path), .. } => {
            Some(format!("mkdir -p {}", quote_path(path.parent()?)))
        }
        _ => None,
    }
}

/// Quotes a path for a shell.
pub fn quote_path(path: &Path) -> String {
    quote(&String::from_utf8_lossy(path.as_os_str().as_bytes()))
}

/// Quotes a word for a shell, if it has characters with a meaning there.
pub fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn refused_connection_names_command_of_server() {
        let endpoint: Endpoint = "[::1]:9".parse().expect("an endpoint");
        let source = io::ErrorKind::ConnectionRefused.into();
        let refused = ConnectError::Refused { endpoint, source };
        let text = with_remedy(&ClientError::Connect(refused), Scenario::Chat);
        assert!(text.ends_with(" (run: sockactors chat --listen '[::1]:9')"), "{text}");
    }

    #[test]
    fn bind_error_names_command() {
        let bind = |endpoint: &str, scenario| {
            let endpoint = endpoint.parse().expect("an endpoint");
            let source = io::ErrorKind::AddrInUse.into();
            with_remedy(&BindError::InUse { endpoint, source }, scenario)
        };
        assert!(bind(":80", Scenario::Udp).ends_with(" (run: ss -ulnp sport = :80)"));
        assert!(bind("unix:/x", Scenario::File).ends_with(" (run: ss -xlp)"));
        let endpoint = "unix:/a b/c".parse().expect("an endpoint");
        let missing = BindError::NoDirectory { endpoint, source: io::ErrorKind::NotFound.into() };
        let text = with_remedy(&missing, Scenario::Tcp);
        assert!(text.ends_with(" (run: mkdir -p '/a b')"), "{text}");
    }

    #[test]
    fn error_without_remedy_is_unchanged() {
        assert_eq!(with_remedy(&std::fmt::Error, Scenario::Tcp), std::fmt::Error.to_string());
    }

    #[test]
    fn words_are_quoted_for_shell() {
        assert_eq!(quote("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(quote("[::1]:80"), "'[::1]:80'");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }
}
