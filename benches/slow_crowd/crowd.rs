//! Connections that send one byte per second and read nothing.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sockactors::wire::file::{Frame, FrameWriter, Offer, client_hello};

/// The crowd sends its bytes in this many groups per second.
const PARTS: usize = 50;

/// Slow connections, and the thread that sends their bytes.
pub struct Crowd {
    state: Arc<State>,
    thread: JoinHandle<f64>,
}

/// The commands to the crowd.
#[derive(Default)]
struct State {
    is_sending: AtomicBool,
    is_stopped: AtomicBool,
}

impl Crowd {
    /// Opens `count` connections that send `first`. The thread is not yet sending.
    pub fn connect(at: &str, count: usize, first: &[u8]) -> io::Result<Crowd> {
        let mut crowd = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(at)?;
            stream.write_all(first)?;
            stream.set_nonblocking(true)?;
            crowd.push(stream);
        }
        let state = Arc::<State>::default();
        let seen = state.clone();
        let thread = thread::spawn(move || {
            let (mut part, pause) = (0, Duration::from_secs(1) / PARTS as u32);
            while !seen.is_stopped.load(Ordering::Relaxed) {
                if seen.is_sending.load(Ordering::Relaxed) {
                    for stream in crowd.iter_mut().skip(part % PARTS).step_by(PARTS) {
                        // The server may have closed the connection.
                        let _ = stream.write(b"x");
                    }
                    part += 1;
                }
                thread::sleep(pause);
            }
            let seconds = part as f64 * pause.as_secs_f64();
            if part == 0 { 0.0 } else { thread_cpu_time().as_secs_f64() / seconds }
        });
        Ok(Crowd { state, thread })
    }

    /// Starts or pauses the sending.
    pub fn set_sending(&self, is_sending: bool) {
        self.state.is_sending.store(is_sending, Ordering::Relaxed);
    }

    /// Disconnects the crowd, and returns the share of a CPU that its thread used.
    pub fn stop(self) -> f64 {
        self.state.is_stopped.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Returns the CPU time of this thread.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns the preamble of the framed protocol and the beginning of an offer.
pub fn partial_offer() -> Vec<u8> {
    let mut bytes = client_hello();
    let name = [b'x'; 200];
    let offer =
        Offer { is_directory: false, size: None, mode: 0o644, modified: (0, 0), name: &name };
    FrameWriter::default().write(&Frame::Offer(offer), &mut bytes);
    bytes.truncate(client_hello().len() + 5);
    bytes
}
