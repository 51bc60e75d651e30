//! A person's keys on their way to a line editor that may leave some of them lying.
//!
//! The editor waits for keys and for lines to show with one `select`, and does not see the keys that it has read and
//! not handled yet: of a pasted word it would show the first letter, and the others at the next key (rustyline 18,
//! its issue 976). So it reads from a pseudoterminal of its own in place of stdin. A thread passes on what is typed,
//! and after more than one key at once another one that means nothing.
//!
//! That puts the real terminal into this module's hands: its mode is set here once, and put back at the end, however
//! busy the editor is. Ctrl-C is the signal that it always was, also while nobody reads; Ctrl-Z gives the
//! terminal back to the shell first.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Keys that wait for the editor; what is typed or pasted beyond waits in the terminal.
const MAX_PENDING_KEYS: usize = 16 << 10;

/// When a key that means nothing follows a burst of others, in nanoseconds after the last one; they are few, and more
/// than one in case the first comes with the burst.
const WAKE_DELAYS: [i64; 4] = [2_000_000, 10_000_000, 50_000_000, 250_000_000];

/// The key that means nothing to the editor, Ctrl-@.
const NUL_KEY: u8 = 0;

const CTRL_C: u8 = 3;
const CTRL_Z: u8 = 26;

/// The real terminal.
#[derive(Debug, Clone)]
pub struct PtyProxy(Arc<RealTerminal>);

#[derive(Debug)]
struct RealTerminal {
    terminal: OwnedFd,
    original_mode: Termios,
    raw_mode: Termios,
}

/// Where the keys go.
#[derive(Debug)]
pub struct Pty {
    controller: OwnedFd,
    /// Kept, so that it has no end before ours has.
    user_end: OwnedFd,
}

impl PtyProxy {
    /// Takes stdin, which is a terminal, and puts a pseudoterminal in its place; nothing comes back where the
    /// process runs in the background, whose reading would stop it.
    ///
    /// # Errors
    ///
    /// Fails where no pseudoterminal is to be had.
    pub fn open() -> io::Result<Option<(PtyProxy, Pty)>> {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin)? != getpgrp() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        // Line feeds go on being line ends.
        raw.output_modes = before.output_modes;
        let terminal = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
        let pseudo = Pty::open()?;
        rustix::stdio::dup2_stdin(&pseudo.user_end)?;
        Ok(Some((
            PtyProxy(Arc::new(RealTerminal { terminal, original_mode: before, raw_mode: raw })),
            pseudo,
        )))
    }

    /// Begins to pass keys on; `resumed` is called when the process goes on after Ctrl-Z.
    ///
    /// # Errors
    ///
    /// Fails where no thread is to be had.
    pub fn forward(&self, to: Pty, resumed: impl Fn() + Send + 'static) -> io::Result<()> {
        self.0.set_raw(true);
        let real = self.0.clone();
        let work = move || {
            // The terminal is gone, or the editor is: there is nobody left to tell.
            let _ = real.forward(&to, &resumed);
        };
        thread::Builder::new().name("keys".into()).spawn(work).map(drop)
    }

    /// Puts the terminal back to how it was.
    pub fn close(&self) {
        self.0.set_raw(false);
    }
}

impl Pty {
    fn open() -> io::Result<Pty> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let editors = ioctl_tiocgptpeer(&ours, flags)?;
        let mut raw = tcgetattr(&editors)?;
        raw.make_raw();
        tcsetattr(&editors, OptionalActions::Now, &raw)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(Pty { controller: ours, user_end: editors })
    }
}

impl RealTerminal {
    fn set_raw(&self, raw: bool) {
        let mode = if raw { &self.raw_mode } else { &self.original_mode };
        // A terminal that is gone has no mode.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, mode);
    }

    /// Passes keys on until the terminal is gone; the editor learns of its end by that of the pseudoterminal.
    fn forward(&self, to: &Pty, resumed: &dyn Fn()) -> rustix::io::Result<()> {
        let mut waiting = VecDeque::new();
        let mut nudges = [].iter();
        let mut buf = [0; 1024];
        loop {
            let reads =
                if waiting.len() < MAX_PENDING_KEYS { PollFlags::IN } else { PollFlags::empty() };
            let writes = if waiting.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let mut polled = [
                PollFd::from_borrowed_fd(self.terminal.as_fd(), reads),
                PollFd::from_borrowed_fd(to.controller.as_fd(), writes),
            ];
            let nudge = nudges.clone().next().map(|&tv_nsec| Timespec { tv_sec: 0, tv_nsec });
            let ready = match poll(&mut polled, nudge.as_ref()) {
                Err(Errno::INTR) => continue,
                ready => ready?,
            };
            let [typed, taken] = polled.map(|polled| polled.revents());
            if ready == 0 {
                nudges.next();
                waiting.push_back(NUL_KEY);
            }
            if !typed.is_empty() {
                match rustix::io::read(&self.terminal, &mut buf) {
                    Ok(0) => return Ok(()),
                    Err(Errno::INTR) => {}
                    length => self.handle_keys(&buf[..length?], &mut waiting, resumed),
                }
            }
            if taken.contains(PollFlags::OUT) {
                let written = rustix::io::write(&to.controller, waiting.as_slices().0)?;
                let is_nudge = waiting.drain(..written).all(|key| key == NUL_KEY);
                if written > 1 && !is_nudge {
                    nudges = WAKE_DELAYS.iter();
                }
            }
        }
    }

    fn handle_keys(&self, keys: &[u8], waiting: &mut VecDeque<u8>, resumed: &dyn Fn()) {
        for key in keys {
            match *key {
                CTRL_C => drop(kill_process(getpid(), Signal::INT)),
                CTRL_Z => {
                    self.suspend();
                    resumed();
                }
                key => waiting.push_back(key),
            }
        }
    }

    /// Stops the process as a shell expects it, and returns when it goes on.
    fn suspend(&self) {
        self.set_raw(false);
        let _ = kill_current_process_group(Signal::TSTP);
        // The signal stops this thread by way of another one, so not quite at once.
        let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = poll(&mut [], Some(&moment));
        self.set_raw(true);
    }
}
