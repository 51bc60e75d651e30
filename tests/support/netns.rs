//! A network namespace for one test, which chooses its addresses, routes and losses.
//!
//! It needs root. Without it the test reports a skip.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

use rustix::net::ipproto::RAW;
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::peers::{require_tool, skip};

/// A network namespace, held by a process. It ends with this value and the processes in it.
pub struct NetworkNamespace {
    holder: Child,
}

impl NetworkNamespace {
    /// Creates a namespace with these shell commands, and runs `test` on a thread in it. Programs
    /// that `test` starts are in the namespace, too.
    pub fn run(setup: &str, test: impl FnOnce() + Send + 'static) {
        if !(require_tool("unshare") && require_tool("ip")) {
            return;
        }
        let Some(namespace) = NetworkNamespace::new(setup) else { return };
        let name = std::thread::current().name().map(str::to_owned).unwrap_or_default();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            namespace.enter();
            test();
        });
        if let Err(panic) = thread.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn new(setup: &str) -> Option<NetworkNamespace> {
        let script = format!("ip link set lo up\n{setup}\necho ready\nread end");
        let mut holder = Command::new("unshare")
            .args(["-n", "sh", "-ec", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line == "ready\n" {
            return Some(NetworkNamespace { holder });
        }
        let ended = holder.wait_with_output().unwrap();
        let reason = String::from_utf8_lossy(&ended.stderr).into_owned();
        if reason.contains("not permitted") {
            skip("a network namespace needs root");
            return None;
        }
        // As with a missing tool, this is a failure if `CI` is set.
        let reason = format!("cannot create the network: {}", reason.trim_end());
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        skip(&reason);
        None
    }

    fn enter(&self) {
        let path = format!("/proc/{}/ns/net", self.holder.id());
        let file = std::fs::File::open(path).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        let _ = self.holder.stdin.take().map(|mut end| end.write_all(b"\n"));
        let _ = self.holder.wait();
    }
}

/// Sends a UDP datagram that claims to come from `from`.
pub fn send_forged(from: SocketAddrV4, to: SocketAddrV4, bytes: &[u8]) {
    let length = u16::try_from(28 + bytes.len()).unwrap();
    // The kernel fills in the header's checksum and, where it is 0, the identification (raw(7)).
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    // No checksum, which IPv4 allows.
    packet.extend([0, 0]);
    packet.extend(bytes);
    let raw = socket(AddressFamily::INET, SocketType::RAW, Some(RAW)).unwrap();
    assert_eq!(sendto(&raw, &packet, SendFlags::empty(), &to).unwrap(), packet.len());
}

/// Returns the number of datagrams that the namespace's UDP sockets have sent.
pub fn sent_packets() -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, figures) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "OutDatagrams").unwrap();
    figures.split(' ').nth(at).unwrap().parse().unwrap()
}
