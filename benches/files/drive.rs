//! Receivers and senders, started anew for each file.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::cpu;
use super::peers::Place;
use super::table::Cost;

/// How long a receiver may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is not left behind.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> io::Result<Running> {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        Ok(Running(command.spawn()?))
    }

    fn spent(&self) -> io::Result<Duration> {
        cpu::spent(self.0.id())
    }

    /// Waits for its end, and tells what it took.
    fn end(&self) -> io::Result<Duration> {
        cpu::ended(&self.0)?;
        self.spent()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that receives one file and ends.
pub fn raw(
    place: &Place,
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
    // The netcats write to their stdout.
    match tool {
        "nc" | "ncat" => command.stdout(File::create(&to)?),
        _ => command.stdout(Stdio::null()),
    };
    let receiver = Running::start(&mut command)?;
    let (begun, _) = send(&place.source, port)?;
    // It ends with its file.
    let receiver = receiver.end()?;
    Ok(Cost { wall: begun.elapsed(), receiver, sender: None })
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

/// The program, sent what is in a file.
pub fn ours(source: &Path, out: &Path) -> io::Result<Cost> {
    let port = free_port()?;
    let receiver = server(out, port)?;
    let (_, wall) = send(source, port)?;
    Ok(Cost { wall, receiver: receiver.spent()?, sender: None })
}

/// The program on both sides.
pub fn framed(place: &Place, out: &Path) -> io::Result<Cost> {
    let port = free_port()?;
    let receiver = server(out, port)?;
    listens(port)?;
    let begun = Instant::now();
    let mut command = program();
    command.args(["-q", "--scenario", "file", "--connect", &format!("127.0.0.1:{port}")]);
    let sender = Running::start(command.arg(&place.source).stdout(Stdio::null()))?;
    let sender = sender.end()?;
    let wall = begun.elapsed();
    Ok(Cost { wall, receiver: receiver.spent()?, sender: Some(sender) })
}

/// The daemon of rsync, and its client.
pub fn rsync(place: &Place, out: &Path, more: &[&str]) -> io::Result<Cost> {
    let (port, config) = (free_port()?, place.directory.join("rsyncd.conf"));
    let module = format!(
        "use chroot = no\n[out]\npath = {}\nread only = no\nuid = 0\ngid = 0\n",
        out.display()
    );
    fs::write(&config, module)?;
    let mut daemon = Command::new("rsync");
    daemon.args(["--daemon", "--no-detach", "--address", "127.0.0.1", "--port", &port.to_string()]);
    let daemon = Running::start(daemon.arg("--config").arg(&config).stdout(Stdio::null()))?;
    listens(port)?;
    // Whoever looked whether it listens is a child of the daemon, too.
    childless(&daemon)?;
    let (before, begun) = (daemon.spent()?, Instant::now());
    let mut client = Command::new("rsync");
    client.args(more).arg(&place.source).arg(format!("rsync://127.0.0.1:{port}/out/file"));
    let client = Running::start(client.stdout(Stdio::null()))?;
    let sender = client.end()?;
    let wall = begun.elapsed();
    childless(&daemon)?;
    let receiver = daemon.spent()?.saturating_sub(before);
    fs::remove_file(config)?;
    Ok(Cost { wall, receiver, sender: Some(sender) })
}

/// Waits until a process has waited for all its children.
fn childless(parent: &Running) -> io::Result<()> {
    let (id, since) = (parent.0.id(), Instant::now());
    while !fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?.is_empty() {
        if since.elapsed() > PATIENCE {
            return Err(io::Error::other("its children never end"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Both ends meet at a mailbox server of their own, on this machine, and go on between themselves.
pub fn wormhole(place: &Place, out: &Path) -> io::Result<Cost> {
    let tools = place.wormhole.clone().unwrap_or_default();
    let port = free_port()?;
    let mut mailbox = Command::new(tools.join("twist"));
    mailbox.args(["wormhole-mailbox", &format!("--port=tcp:{port}:interface=127.0.0.1")]);
    let _mailbox = Running::start(mailbox.current_dir(&place.directory).stdout(Stdio::null()))?;
    listens(port)?;
    let relay = format!("ws://127.0.0.1:{port}/v1");
    let wormhole = |arguments: &[&str]| {
        let mut command = Command::new(tools.join("wormhole"));
        command.args(["--relay-url", &relay, "--transit-helper", ""]).args(arguments);
        command.stdout(Stdio::null());
        command
    };
    let begun = Instant::now();
    let mut send = wormhole(&["send", "--no-qr", "--hide-progress", "--code", "7-a-b"]);
    let sender = Running::start(send.arg(&place.source))?;
    let mut receive = wormhole(&["receive", "--accept-file", "--hide-progress", "-o"]);
    let receiver = Running::start(receive.arg(out.join("file")).arg("7-a-b"))?;
    let (receiver, sender) = (receiver.end()?, sender.end()?);
    Ok(Cost { wall: begun.elapsed(), receiver, sender: Some(sender) })
}

/// Sends the file raw, and waits for the receiver to close; tells when that began, and how long it took.
fn send(source: &Path, port: u16) -> io::Result<(Instant, Duration)> {
    let (mut stream, source) = (connected(port)?, File::open(source)?);
    let (mut left, begun) = (source.metadata()?.len(), Instant::now());
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match rustix::fs::sendfile(&stream, &source, None, piece)? {
            0 => return Err(io::Error::other("the source ended early")),
            sent => left -= sent as u64,
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // What is answered in frames comes to an end, and a netcat may reset what it closes.
    let _ = stream.read_to_end(&mut Vec::new());
    Ok((begun, begun.elapsed()))
}

fn connected(port: u16) -> io::Result<TcpStream> {
    let since = Instant::now();
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Err(error) if since.elapsed() > PATIENCE => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
            stream => return stream,
        }
    }
}

/// Waits until somebody listens on a port.
fn listens(port: u16) -> io::Result<()> {
    connected(port).map(drop)
}

/// Finds a port that nobody has.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
