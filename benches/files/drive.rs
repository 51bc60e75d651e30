//! Starts receivers and senders, and measures one file.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::cpu;
use super::peers::Setup;
use super::table::Cost;

/// The timeout for a receiver to listen.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A child process. Dropping this kills it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> io::Result<Running> {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Ok(Running(command.spawn()?))
    }

    fn cpu_time(&self) -> io::Result<Duration> {
        cpu::cpu_time(self.0.id())
    }

    /// Waits until the process exits, and returns its CPU time.
    fn wait(&self) -> io::Result<Duration> {
        cpu::wait_for_exit(&self.0)?;
        self.cpu_time()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures a command that receives one file and exits.
pub fn raw(
    setup: &Setup,
    out: &Path,
    arguments: fn(&mut Command, u16, &Path),
    tool: &str,
) -> io::Result<Cost> {
    let (port, to) = (free_port()?, out.join("file"));
    let mut command = match tool {
        "" => Command::new(env::current_exe()?),
        tool => Command::new(tool),
    };
    arguments(&mut command, port, &to);
    // The netcats write to stdout.
    match tool {
        "nc" | "ncat" => command.stdout(File::create(&to)?),
        _ => command.stdout(Stdio::null()),
    };
    let receiver = Running::start(&mut command)?;
    let (start, _) = send(&setup.source, port)?;
    let receiver = receiver.wait()?;
    Ok(Cost { wall: start.elapsed(), receiver, sender: None })
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sockactors"))
}

fn server(out: &Path, port: u16) -> io::Result<Running> {
    let mut command = program();
    command.args(["-q", "--scenario", "file", "--keep-free", "0", "--out"]).arg(out);
    command.args(["--listen", &format!("127.0.0.1:{port}")]).stdout(Stdio::null());
    Running::start(&mut command)
}

/// Measures the program that receives the bytes of `source` in one connection.
pub fn ours(source: &Path, out: &Path) -> io::Result<Cost> {
    let port = free_port()?;
    let receiver = server(out, port)?;
    let (_, wall) = send(source, port)?;
    Ok(Cost { wall, receiver: receiver.cpu_time()?, sender: None })
}

/// Measures the program as sender and receiver.
pub fn framed(setup: &Setup, out: &Path) -> io::Result<Cost> {
    let port = free_port()?;
    let receiver = server(out, port)?;
    wait_for_listener(port)?;
    let start = Instant::now();
    let mut command = program();
    command.args(["-q", "--scenario", "file", "--connect", &format!("127.0.0.1:{port}")]);
    let sender = Running::start(command.arg(&setup.source).stdout(Stdio::null()))?;
    let sender = sender.wait()?;
    let wall = start.elapsed();
    Ok(Cost { wall, receiver: receiver.cpu_time()?, sender: Some(sender) })
}

/// Measures the daemon of rsync and its client.
pub fn rsync(setup: &Setup, out: &Path, more: &[&str]) -> io::Result<Cost> {
    let (port, config) = (free_port()?, setup.directory.join("rsyncd.conf"));
    let module = format!(
        "use chroot = no\n[out]\npath = {}\nread only = no\nuid = 0\ngid = 0\n",
        out.display()
    );
    fs::write(&config, module)?;
    let mut daemon = Command::new("rsync");
    daemon.args(["--daemon", "--no-detach", "--address", "127.0.0.1", "--port", &port.to_string()]);
    let daemon = Running::start(daemon.arg("--config").arg(&config).stdout(Stdio::null()))?;
    wait_for_listener(port)?;
    // The daemon has forked a child for the probe of its port.
    wait_until_childless(&daemon)?;
    let (before, start) = (daemon.cpu_time()?, Instant::now());
    let mut client = Command::new("rsync");
    client.args(more).arg(&setup.source).arg(format!("rsync://127.0.0.1:{port}/out/file"));
    let client = Running::start(client.stdout(Stdio::null()))?;
    let sender = client.wait()?;
    let wall = start.elapsed();
    wait_until_childless(&daemon)?;
    let receiver = daemon.cpu_time()?.saturating_sub(before);
    fs::remove_file(config)?;
    Ok(Cost { wall, receiver, sender: Some(sender) })
}

/// Waits until a process has no children.
fn wait_until_childless(parent: &Running) -> io::Result<()> {
    let (id, since) = (parent.0.id(), Instant::now());
    while !fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?.is_empty() {
        if since.elapsed() > TIMEOUT {
            return Err(io::Error::other("a child of the daemon does not exit"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Measures magic-wormhole, whose ends meet at a local mailbox server.
pub fn wormhole(setup: &Setup, out: &Path) -> io::Result<Cost> {
    let tools = setup.wormhole.clone().unwrap_or_default();
    let port = free_port()?;
    let mut mailbox = Command::new(tools.join("twist"));
    mailbox.args(["wormhole-mailbox", &format!("--port=tcp:{port}:interface=127.0.0.1")]);
    let _mailbox = Running::start(mailbox.current_dir(&setup.directory).stdout(Stdio::null()))?;
    wait_for_listener(port)?;
    let relay = format!("ws://127.0.0.1:{port}/v1");
    let wormhole = |arguments: &[&str]| {
        let mut command = Command::new(tools.join("wormhole"));
        command.args(["--relay-url", &relay, "--transit-helper", ""]).args(arguments);
        command.stdout(Stdio::null());
        command
    };
    let start = Instant::now();
    let mut send = wormhole(&["send", "--no-qr", "--hide-progress", "--code", "7-a-b"]);
    let sender = Running::start(send.arg(&setup.source))?;
    let mut receive = wormhole(&["receive", "--accept-file", "--hide-progress", "-o"]);
    let receiver = Running::start(receive.arg(out.join("file")).arg("7-a-b"))?;
    let (receiver, sender) = (receiver.wait()?, sender.wait()?);
    Ok(Cost { wall: start.elapsed(), receiver, sender: Some(sender) })
}

/// Sends a file raw, waits until the receiver closes, and returns the start and the duration.
fn send(source: &Path, port: u16) -> io::Result<(Instant, Duration)> {
    let (mut stream, source) = (connect(port)?, File::open(source)?);
    let (mut left, start) = (source.metadata()?.len(), Instant::now());
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::sendfile(&stream, &source, None, piece)? {
            0 => return Err(io::Error::other("unexpected end of the source file")),
            sent => left -= sent as u64,
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // A framed receiver sends answers and closes. A netcat may reset the connection.
    let _ = stream.read_to_end(&mut Vec::new());
    Ok((start, start.elapsed()))
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let since = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if since.elapsed() > TIMEOUT => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
            stream => return stream,
        }
    }
}

/// Waits until a process listens on a port.
fn wait_for_listener(port: u16) -> io::Result<()> {
    connect(port).map(drop)
}

/// Returns a free port.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
