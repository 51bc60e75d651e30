//! The chat servers, each a child process on a free port of loopback, and their protocols.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sockactors,
    Ncat,
    Ngircd,
    Tokio,
}

/// All kinds. Ratios are relative to the first.
pub const KINDS: [Kind; 4] = [Kind::Sockactors, Kind::Ncat, Kind::Ngircd, Kind::Tokio];

/// A running server. Dropping this kills it.
#[derive(Debug)]
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    child: Child,
    _config: Option<TempDir>,
}

/// The paths of the programs that are not in `PATH`.
#[derive(Debug)]
pub struct Places {
    pub sockactors: PathBuf,
    pub sockactors_echo: PathBuf,
    pub tokio: PathBuf,
    pub tokio_plain: PathBuf,
    /// This program, which serves the bare loops too.
    pub driver: PathBuf,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sockactors => "sockactors -q",
            Kind::Ncat => "ncat --chat",
            Kind::Ngircd => "ngircd",
            Kind::Tokio => "tokio broadcast",
        }
    }

    /// Returns the steps of a new member: a text, and a part of the answer.
    pub fn join_steps(self, nick: &str) -> Vec<(String, &'static str)> {
        match self {
            Kind::Sockactors => vec![(format!("/nick {nick}\n/ack off\n"), "* receipts are off")],
            Kind::Ncat => vec![(String::new(), "<announce> already connected")],
            Kind::Ngircd => vec![
                (format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n"), " 376 "),
                ("JOIN #bench\r\n".into(), " 366 "),
            ],
            Kind::Tokio => vec![(format!("{nick}\n"), "* welcome")],
        }
    }

    /// Formats a message with a text.
    pub fn message(self, text: &str) -> String {
        match self {
            Kind::Ngircd => format!("PRIVMSG #bench :{text}\r\n"),
            _ => format!("{text}\n"),
        }
    }

    /// Reports whether a line says that the server has dropped messages.
    pub fn is_loss(self, line: &[u8]) -> bool {
        line.starts_with(b"* you missed ")
    }

    fn command(self, port: u16, places: &Places, config: &Path) -> Command {
        let port = port.to_string();
        let mut command;
        match self {
            Kind::Sockactors => {
                command = Command::new(&places.sockactors);
                command.args(["-q", "--scenario", "chat", "--listen"]);
                command.arg(format!("127.0.0.1:{port}"));
            }
            Kind::Ncat => {
                command = Command::new("ncat");
                command.args(["-l", "--chat", "-m", "1000", "127.0.0.1", &port]);
            }
            Kind::Ngircd => {
                command = Command::new("ngircd");
                command.arg("-n").arg("-f").arg(config);
            }
            Kind::Tokio => {
                command = Command::new(&places.tokio);
                command.arg(port);
            }
        }
        command
    }
}

impl Server {
    /// Starts a server, which may not listen yet.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::NotFound`] if the program is missing.
    pub fn start(kind: Kind, places: &Places) -> io::Result<Server> {
        // The port is free again now. No other process asks for it in the meantime.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = if kind == Kind::Ngircd { Some(tempfile::tempdir()?) } else { None };
        let file = config.as_ref().map(|dir| dir.path().join("ngircd.conf")).unwrap_or_default();
        if config.is_some() {
            std::fs::write(&file, ngircd_config(address.port()))?;
        }
        let child = kind
            .command(address.port(), places, &file)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Server { kind, address, child, _config: config })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a configuration without penalties for fast senders and without connection limits.
fn ngircd_config(port: u16) -> String {
    format!(
        "[Global]\n\
         Name = irc.bench.example\n\
         Info = bench\n\
         Listen = 127.0.0.1\n\
         Ports = {port}\n\
         MotdPhrase = hello\n\
         [Limits]\n\
         MaxConnections = 0\n\
         MaxConnectionsIP = 0\n\
         MaxJoins = 0\n\
         MaxPenaltyTime = 0\n\
         PingTimeout = 3600\n\
         [Options]\n\
         DNS = no\n\
         Ident = no\n\
         PAM = no\n"
    )
}
