//! The two loads of a chat: one member that sends in bulk, and members that send in turn.
//!
//! Texts are numbered. Each member must receive each number of the others once and in order, or the
//! run fails. Each receipt counts as a delivery.

use std::io::{self, Write};
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::cpu::{self, Scheduling};
use crate::crowd::{Crowd, TIMEOUT, number, text};
use crate::server::{Kind, Places, Server};

/// The maximum lead of the bulk sender over the slowest member, so that no server drops a line.
const WINDOW: u64 = 1000;

/// The results of a load.
#[derive(Debug, Default)]
pub struct Figures {
    pub deliveries: u64,
    /// The CPU time of the server in seconds.
    pub cpu: f64,
    /// The wall-clock time in seconds.
    pub wall: f64,
    /// The duration of each turn in ns, sorted. Empty in bulk.
    pub turns: Vec<u64>,
}

/// The size of the loads.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub members: usize,
    pub lines: u64,
    pub turns: u64,
}

/// A server with its members.
struct Room {
    server: Server,
    crowd: Crowd,
    /// The number that each member receives next.
    next: Vec<u64>,
    sent: u64,
}

/// Starts a server and runs both loads, in bulk and in turn.
///
/// # Errors
///
/// Fails if the server is missing or sends a wrong line.
pub fn measure(kind: Kind, places: &Places, amount: Amount) -> io::Result<[Figures; 2]> {
    cpu::set_scheduling(Scheduling::Plain);
    let server = Server::start(kind, places)?;
    // Otherwise each delivery wakes a member, which preempts the server.
    cpu::set_scheduling(Scheduling::Batch);
    let mut crowd = Crowd::new(&server)?;
    for _ in 0..amount.members {
        crowd.join(None)?;
    }
    let mut room = Room { server, crowd, next: vec![0; amount.members], sent: 0 };
    // Afterwards all members have received the announcements of the others and one line of each.
    room.in_turn(amount.members as u64)?;
    let bulk = room.load(|room| room.in_bulk(amount.lines))?;
    let turns = room.load(|room| room.in_turn(amount.turns))?;
    Ok([bulk, turns])
}

impl Room {
    fn load(
        &mut self,
        load: impl FnOnce(&mut Room) -> io::Result<Vec<u64>>,
    ) -> io::Result<Figures> {
        let (before, sent, start) =
            (cpu::wait_until_idle(self.server.pid())?, self.sent, Instant::now());
        let mut turns = load(self)?;
        let wall = start.elapsed().as_secs_f64();
        let deliveries = (self.sent - sent) * (self.next.len() as u64 - 1);
        turns.sort_unstable();
        Ok(Figures {
            deliveries,
            cpu: cpu::wait_until_idle(self.server.pid())? - before,
            wall,
            turns,
        })
    }

    /// Sends `turns` lines, each once all have received the previous one. Returns the durations.
    fn in_turn(&mut self, turns: u64) -> io::Result<Vec<u64>> {
        let mut durations = Vec::new();
        for _ in 0..turns {
            let start = Instant::now();
            let sender = (self.sent % self.next.len() as u64) as usize;
            self.crowd.send_text(sender, self.sent)?;
            self.sent += 1;
            self.next[sender] = self.sent;
            let mut left = self.next.len() - 1;
            while left > 0 {
                self.poll(|| left -= 1)?;
            }
            durations.push(start.elapsed().as_nanos() as u64);
        }
        Ok(durations)
    }

    /// Sends `lines` lines from the first member as fast as the window allows.
    fn in_bulk(&mut self, lines: u64) -> io::Result<Vec<u64>> {
        let end = self.sent + lines;
        let mut out = Vec::new();
        let mut is_blocked = false;
        loop {
            let slowest = self.next[1..].iter().copied().min().unwrap_or(end);
            if slowest == end {
                self.next[0] = end;
                return Ok(Vec::new());
            }
            while self.sent < end.min(slowest + WINDOW) {
                out.extend_from_slice(self.crowd.kind.message(&text(self.sent)).as_bytes());
                self.sent += 1;
            }
            if !out.is_empty() {
                match self.crowd.members[0].stream.write(&out) {
                    Ok(written) => drop(out.drain(..written)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            if is_blocked == out.is_empty() {
                is_blocked = !out.is_empty();
                let room = if is_blocked { EventFlags::OUT } else { EventFlags::empty() };
                self.crowd.watch(0, EventFlags::IN | room)?;
            }
            self.poll(|| {})?;
        }
    }

    /// Waits for lines and checks them.
    fn poll(&mut self, mut delivered: impl FnMut()) -> io::Result<()> {
        let (kind, next) = (self.crowd.kind, &mut self.next);
        self.crowd.poll(Instant::now() + TIMEOUT, |member, line| {
            let wrong = |what: String| Err(io::Error::other(format!("member {member} {what}")));
            if kind.is_loss(line) {
                return wrong(format!("received: {}", String::from_utf8_lossy(line)));
            }
            // A line of the server itself.
            let Some(number) = number(line) else { return Ok(()) };
            if number != next[member] {
                return wrong(format!("received {number} in place of {}", next[member]));
            }
            next[member] += 1;
            delivered();
            Ok(())
        })
    }
}
