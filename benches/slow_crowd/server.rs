//! The program as the server of a benchmark.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The timeout of each step of a server.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The program in a child process. Dropping this kills it.
pub struct Server {
    pub child: Child,
    pub at: String,
    /// The directory of a file server.
    pub out: tempfile::TempDir,
}

impl Server {
    /// Starts a server of a scenario, and waits until it listens.
    pub fn start(scenario: &str) -> io::Result<Server> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.into() } else { env::temp_dir() };
        let out = tempfile::Builder::new().prefix("sockactors-slow-").tempdir_in(place)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockactors"));
        command.args(["--scenario", scenario, "--listen", "127.0.0.1:0", "--max-conns", "8000"]);
        command.args(["--backlog", "4096"]).env_clear();
        if scenario == "file" {
            command.args(["--keep-free", "0", "--out"]).arg(out.path());
        }
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = Server { child: streams.spawn()?, at: String::new(), out };
        let stderr = server
            .child
            .stderr
            .take()
            .ok_or_else(|| io::Error::other("the server has no stderr"))?;
        let mut lines = BufReader::new(stderr).lines();
        for line in &mut lines {
            if let Some((_, at)) = line?.split_once("listening on ") {
                server.at = at.trim().into();
                break;
            }
        }
        // A full pipe would block the server.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// Connects to the server.
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both calls fail if the server has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
