//! The two loads: one member that says as much as it can, and members that speak in turn.
//!
//! Texts are numbered. Each member must be sent each number that another one said, once and in order, or the run fails;
//! only then is a delivery counted.

use std::io::{self, Write};
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use crate::cpu::{self, Manner};
use crate::crowd::{Crowd, PATIENCE, number, text};
use crate::server::{Kind, Places, Server};

/// So many lines the one who talks in bulk is ahead of the slowest at most, so that no server has to drop any.
const WINDOW: u64 = 1000;

/// What a load gave.
#[derive(Debug, Default)]
pub struct Figures {
    pub deliveries: u64,
    /// What the server spent, in seconds.
    pub cpu: f64,
    /// What the clock said, in seconds.
    pub wall: f64,
    /// How long each turn took, in nanoseconds, sorted; none in bulk.
    pub turns: Vec<u64>,
}

/// How much is said.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    pub members: usize,
    pub lines: u64,
    pub turns: u64,
}

/// A server with its members in.
struct Room {
    server: Server,
    crowd: Crowd,
    /// What each member is to hear next.
    next: Vec<u64>,
    said: u64,
}

/// Starts a server and gives it the loads that are wanted, in bulk and in turn.
///
/// # Errors
///
/// Fails when the server is missing, or does not do its work.
pub fn measure(kind: Kind, places: &Places, amount: Amount) -> io::Result<[Figures; 2]> {
    cpu::wait_for_turn(Manner::Plain);
    let server = Server::start(kind, places)?;
    // Else every delivery wakes a member who takes the CPU away from the server, and the server pays for both ways.
    cpu::wait_for_turn(Manner::Patient);
    let mut crowd = Crowd::new(&server)?;
    for _ in 0..amount.members {
        crowd.enter(None)?;
    }
    let mut room = Room { server, crowd, next: vec![0; amount.members], said: 0 };
    // After this all have heard whatever there was about their coming, and have been heard.
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
        let (before, said, began) = (cpu::at_rest(self.server.pid())?, self.said, Instant::now());
        let mut turns = load(self)?;
        let wall = began.elapsed().as_secs_f64();
        let deliveries = (self.said - said) * (self.next.len() as u64 - 1);
        turns.sort_unstable();
        Ok(Figures { deliveries, cpu: cpu::at_rest(self.server.pid())? - before, wall, turns })
    }

    /// Every member speaks when all have heard the one before; returns how long each turn took.
    fn in_turn(&mut self, turns: u64) -> io::Result<Vec<u64>> {
        let mut took = Vec::new();
        for _ in 0..turns {
            let began = Instant::now();
            let speaker = (self.said % self.next.len() as u64) as usize;
            self.crowd.say(speaker, self.said)?;
            self.said += 1;
            self.next[speaker] = self.said;
            let mut left = self.next.len() - 1;
            while left > 0 {
                self.hear(|| left -= 1)?;
            }
            took.push(began.elapsed().as_nanos() as u64);
        }
        Ok(took)
    }

    /// The first member says so many lines as fast as they go.
    fn in_bulk(&mut self, lines: u64) -> io::Result<Vec<u64>> {
        let end = self.said + lines;
        let mut out = Vec::new();
        let mut is_blocked = false;
        loop {
            let slowest = self.next[1..].iter().copied().min().unwrap_or(end);
            if slowest == end {
                self.next[0] = end;
                return Ok(Vec::new());
            }
            while self.said < end.min(slowest + WINDOW) {
                out.extend_from_slice(self.crowd.kind.saying(&text(self.said)).as_bytes());
                self.said += 1;
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
            self.hear(|| {})?;
        }
    }

    /// Waits for whatever comes, and checks it.
    fn hear(&mut self, mut delivered: impl FnMut()) -> io::Result<()> {
        let (kind, next) = (self.crowd.kind, &mut self.next);
        self.crowd.poll(Instant::now() + PATIENCE, |who, line| {
            let wrong = |what: String| Err(io::Error::other(format!("member {who} {what}")));
            if kind.is_loss(line) {
                return wrong(format!("is told: {}", String::from_utf8_lossy(line)));
            }
            // The server's own talk.
            let Some(number) = number(line) else { return Ok(()) };
            if number != next[who] {
                return wrong(format!("hears {number} where {} is next", next[who]));
            }
            next[who] += 1;
            delivered();
            Ok(())
        })
    }
}
