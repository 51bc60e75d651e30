//! The servers that are measured, each a child process on a free port of loopback, and how one comes in.

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

/// All of them; the first is what the others are compared with.
pub const KINDS: [Kind; 4] = [Kind::Sockactors, Kind::Ncat, Kind::Ngircd, Kind::Tokio];

/// A running server. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    child: Child,
    _config: Option<TempDir>,
}

/// Where the programs are that belong to nobody's PATH.
#[derive(Debug)]
pub struct Places {
    pub sockactors: PathBuf,
    pub sockactors_echo: PathBuf,
    pub tokio: PathBuf,
    pub tokio_plain: PathBuf,
    /// This program, which is the bare loops too.
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

    /// What a new member sends, as steps: a text, and what the line holds that answers it.
    pub fn entry(self, nick: &str) -> Vec<(String, &'static str)> {
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

    /// What is sent to say a text.
    pub fn saying(self, text: &str) -> String {
        match self {
            Kind::Ngircd => format!("PRIVMSG #bench :{text}\r\n"),
            _ => format!("{text}\n"),
        }
    }

    /// What takes a line for the server's confession that it dropped some.
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
    /// Starts a server; it may not listen yet.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::NotFound`] where its program is missing.
    pub fn start(kind: Kind, places: &Places) -> io::Result<Server> {
        // Freed again at once; nobody else on this machine asks for that very port meanwhile.
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

/// Its brakes are off: no penalty for lines in quick succession, no limit on connections.
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
