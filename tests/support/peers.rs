//! Third-party programs and the lecture's, as clients and servers of ours.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::Program;

/// Reports on stderr that a test was skipped, and why. libtest does not capture it.
pub fn skip(reason: &str) {
    use std::io::Write;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// Returns whether a tool is installed. A missing tool is a failure if `CI` is set, and a skip
/// otherwise.
pub fn require_tool(tool: &str) -> bool {
    let (found, package) = match tool {
        "nc" => (netcat().is_some(), "netcat-openbsd"),
        "ip" => (is_installed(tool), "iproute2"),
        "nft" => (is_installed(tool), "nftables"),
        "unshare" | "setsid" => (is_installed(tool), "util-linux"),
        _ => (is_installed(tool), tool),
    };
    if !found {
        let reason = format!("{tool} is not installed (apt install {package})");
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        skip(&reason);
    }
    found
}

/// Returns whether a tool is installed. A missing tool is always a skip.
pub fn optional_tool(tool: &str) -> bool {
    let found = is_installed(tool);
    if !found {
        skip(&format!("{tool} is not installed (apt install {tool})"));
    }
    found
}

fn is_installed(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(tool).is_file())
}

/// Returns the name of OpenBSD's netcat. Other programs are called `nc`, too.
fn netcat() -> Option<&'static str> {
    static NAME: OnceLock<Option<&str>> = OnceLock::new();
    *NAME.get_or_init(|| {
        ["nc.openbsd", "nc"].into_iter().find(|name| {
            let help = Command::new(name).arg("-h").stdin(Stdio::null()).output();
            help.is_ok_and(|help| String::from_utf8_lossy(&help.stderr).contains("OpenBSD"))
        })
    })
}

/// The address families of the lecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Family {
    V4,
    V6,
    Unix,
}

impl Family {
    /// Returns a `--listen` endpoint with a free port, or reports a skip if the machine lacks the
    /// family.
    pub fn listen(self, directory: &Path) -> Option<String> {
        match self {
            Family::V4 => Some("127.0.0.1:0".to_owned()),
            Family::V6 if TcpListener::bind("[::1]:0").is_err() => {
                skip("this machine has no IPv6");
                None
            }
            Family::V6 => Some("[::1]:0".to_owned()),
            Family::Unix => Some(format!("unix:{}/socket", directory.display())),
        }
    }

    /// Returns an address that is free now, for a peer that cannot report its port.
    pub fn free_address(self, kind: SocketKind, directory: &Path) -> Option<PeerAddress> {
        let listen = self.listen(directory)?;
        Some(match (self, kind) {
            (Family::Unix, _) => PeerAddress::parse(&listen),
            (_, SocketKind::Stream) => {
                PeerAddress::Inet(TcpListener::bind(listen).unwrap().local_addr().unwrap())
            }
            (_, SocketKind::Datagram) => {
                PeerAddress::Inet(UdpSocket::bind(listen).unwrap().local_addr().unwrap())
            }
        })
    }
}

/// The kinds of sockets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SocketKind {
    Stream,
    Datagram,
}

/// An address of a peer.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerAddress {
    Inet(SocketAddr),
    Unix(String),
}

impl PeerAddress {
    /// Parses an endpoint as our program prints it.
    #[track_caller]
    pub fn parse(endpoint: &str) -> PeerAddress {
        match endpoint.strip_prefix("unix:") {
            Some(path) => PeerAddress::Unix(path.to_owned()),
            None => PeerAddress::Inet(
                endpoint.parse().unwrap_or_else(|_| panic!("not an endpoint: {endpoint:?}")),
            ),
        }
    }

    /// Returns the endpoint in the syntax of our flags.
    pub fn endpoint(&self) -> String {
        match self {
            PeerAddress::Inet(address) => address.to_string(),
            PeerAddress::Unix(path) => format!("unix:{path}"),
        }
    }

    /// Returns the arguments for the lecture's programs.
    fn lecture_args(&self) -> Vec<String> {
        match self {
            PeerAddress::Inet(at) => {
                let family = if at.is_ipv4() { "inet" } else { "inet6" };
                vec![family.to_owned(), at.ip().to_string(), at.port().to_string()]
            }
            PeerAddress::Unix(path) => vec!["unix".to_owned(), path.clone()],
        }
    }

    /// Returns the arguments for both netcats.
    fn netcat_args(&self) -> Vec<String> {
        match self {
            PeerAddress::Inet(at) => {
                vec!["-n".to_owned(), at.ip().to_string(), at.port().to_string()]
            }
            PeerAddress::Unix(path) => vec!["-U".to_owned(), path.clone()],
        }
    }

    /// Returns the socat address for a client.
    fn socat_connect(&self, kind: SocketKind) -> String {
        match (self, kind) {
            (PeerAddress::Inet(at), SocketKind::Stream) => format!("TCP:{at}"),
            (PeerAddress::Inet(at), SocketKind::Datagram) => format!("UDP:{at}"),
            (PeerAddress::Unix(path), SocketKind::Stream) => format!("UNIX-CONNECT:{path}"),
            (PeerAddress::Unix(path), SocketKind::Datagram) => {
                format!("UNIX-SENDTO:{path},bind={path}.socat")
            }
        }
    }

    /// Returns the socat address for a server of one client.
    fn socat_listen(&self, kind: SocketKind) -> String {
        match (self, kind) {
            (PeerAddress::Unix(path), SocketKind::Stream) => format!("UNIX-LISTEN:{path}"),
            (PeerAddress::Unix(path), SocketKind::Datagram) => format!("UNIX-RECVFROM:{path}"),
            (PeerAddress::Inet(at), _) => {
                let protocol = if kind == SocketKind::Stream { "TCP" } else { "UDP" };
                let mode = if kind == SocketKind::Stream { "LISTEN" } else { "RECVFROM" };
                let (v, host) = match at.ip() {
                    std::net::IpAddr::V4(ip) => (4, ip.to_string()),
                    std::net::IpAddr::V6(ip) => (6, format!("[{ip}]")),
                };
                format!("{protocol}{v}-{mode}:{},bind={host}", at.port())
            }
        }
    }
}

/// A program that ours is tested with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peer {
    Python,
    Ncat,
    Netcat,
    Socat,
}

impl Peer {
    /// Returns all installed peers.
    pub fn all() -> Vec<Peer> {
        let all = [Peer::Python, Peer::Ncat, Peer::Netcat, Peer::Socat];
        all.into_iter().filter(|peer| require_tool(peer.tool())).collect()
    }

    fn tool(self) -> &'static str {
        match self {
            Peer::Python => "python3",
            Peer::Ncat => "ncat",
            Peer::Netcat => "nc",
            Peer::Socat => "socat",
        }
    }

    fn command(self) -> Command {
        Command::new(if self == Peer::Netcat { netcat().unwrap() } else { self.tool() })
    }

    /// Returns a client that sends its stdin and keeps reading after its end. Python runs the
    /// lecture's client.
    pub fn client(self, scenario: &str, kind: SocketKind, at: &PeerAddress) -> Command {
        let mut command = self.command();
        let udp = (kind == SocketKind::Datagram).then_some("-u");
        match self {
            Peer::Python => return lecture(&format!("{scenario}_client.py"), at),
            Peer::Ncat | Peer::Netcat => {
                if let (PeerAddress::Unix(path), SocketKind::Datagram) = (at, kind) {
                    // A killed netcat leaves its own socket behind, so the socket lies beside the
                    // server's.
                    command.args(["-s", &format!("{path}.{}", self.tool())]);
                }
                command.args(udp).args(at.netcat_args())
            }
            Peer::Socat => command.args(["-t", "20", "-", &at.socat_connect(kind)]),
        };
        command
    }

    /// Returns a client that sends its stdin and exits at its end. Python runs the lecture's
    /// client.
    pub fn sender(self, scenario: &str, at: &PeerAddress) -> Command {
        let mut command = self.command();
        match self {
            Peer::Python => return lecture(&format!("{scenario}_client.py"), at),
            Peer::Ncat => command.arg("--send-only").args(at.netcat_args()),
            Peer::Netcat => command.arg("-N").args(at.netcat_args()),
            Peer::Socat => command.args(["-u", "-", &at.socat_connect(SocketKind::Stream)]),
        };
        command
    }

    /// Starts a server for one client that sends its stdin and closes at its end. It listens when
    /// this returns.
    #[track_caller]
    pub fn server(self, scenario: &str, kind: SocketKind, at: &PeerAddress, cwd: &Path) -> Program {
        let mut command = self.command();
        let udp = (kind == SocketKind::Datagram).then_some("-u");
        match self {
            Peer::Python => {
                let script = format!("{scenario}_server.py");
                command.arg(script_path(&script)).args((scenario == "file").then_some("1"));
                command.args(at.lecture_args());
            }
            Peer::Ncat => _ = command.args(["-l", "-v"]).args(udp).args(at.netcat_args()),
            Peer::Netcat => _ = command.args(["-l", "-v", "-N"]).args(udp).args(at.netcat_args()),
            Peer::Socat => _ = command.args(["-d", "-d", "-t", "20", "-", &at.socat_listen(kind)]),
        }
        let program = Program::start(command.current_dir(cwd));
        match (self, kind) {
            (Peer::Python, _) => program.wait_for_line(|line| line.contains(" on ")),
            (Peer::Netcat, SocketKind::Datagram) => {
                program.wait_for_error_line(|line| line.contains("Bound on"))
            }
            (Peer::Socat, SocketKind::Datagram) => {
                program.wait_for_error_line(|line| line.contains("receiving on"))
            }
            // Ncat names each of its sockets only after all of them listen.
            _ => program.wait_for_error_line(|line| line.to_lowercase().contains("listening on")),
        };
        program
    }
}

/// Returns the command of one of the lecture's programs in `tests/lecture/`.
pub fn lecture(script: &str, at: &PeerAddress) -> Command {
    let mut command = Command::new("python3");
    command.arg(script_path(script)).args(at.lecture_args());
    command
}

fn script_path(script: &str) -> String {
    format!("{}/tests/lecture/{script}", env!("CARGO_MANIFEST_DIR"))
}
