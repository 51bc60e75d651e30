//! The path of a person's keys through a pseudoterminal to the line editor.
//!
//! The editor reads from a pseudoterminal in place of stdin. A thread forwards the keys from the
//! real terminal, and wakes the editor after a paste.
//!
//! This module therefore owns the mode of the real terminal. It sets raw mode once and restores
//! the original mode at the end, even while the editor is busy. Ctrl-C becomes SIGINT at any time,
//! also while the editor does not read. Ctrl-Z first returns the terminal to the shell.

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

use crate::cli::terminal::paste::{NUL_KEY, PasteWaker};

/// The maximum number of keys that wait for the editor. Further keys wait in the terminal.
const MAX_PENDING_KEYS: usize = 16 << 10;

const CTRL_C: u8 = 3;
const CTRL_Z: u8 = 26;

/// A handle to the real terminal.
#[derive(Debug, Clone)]
pub struct PtyProxy(Arc<RealTerminal>);

#[derive(Debug)]
struct RealTerminal {
    terminal: OwnedFd,
    original_mode: Termios,
    raw_mode: Termios,
}

/// The pseudoterminal from which the editor reads.
#[derive(Debug)]
pub struct Pty {
    controller: OwnedFd,
    /// Kept open, so that reads on the user side do not end before the controller is closed.
    user_end: OwnedFd,
}

impl PtyProxy {
    /// Replaces stdin, which must be a terminal, with a pseudoterminal.
    ///
    /// Returns `None` if the process runs in the background, because reading would stop it.
    ///
    /// # Errors
    ///
    /// Returns an error if a pseudoterminal cannot be opened.
    pub fn open() -> io::Result<Option<(PtyProxy, Pty)>> {
        let stdin = io::stdin();
        if tcgetpgrp(&stdin)? != getpgrp() {
            return Ok(None);
        }
        let original_mode = tcgetattr(&stdin)?;
        let mut raw_mode = original_mode.clone();
        raw_mode.make_raw();
        // Output still translates line feeds to line ends.
        raw_mode.output_modes = original_mode.output_modes;
        let terminal = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
        let pty = Pty::open()?;
        rustix::stdio::dup2_stdin(&pty.user_end)?;
        let terminal = RealTerminal { terminal, original_mode, raw_mode };
        Ok(Some((PtyProxy(Arc::new(terminal)), pty)))
    }

    /// Starts to forward keys to `pty`. `on_resume` is called when the process continues after
    /// Ctrl-Z.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub fn forward(&self, pty: Pty, on_resume: impl Fn() + Send + 'static) -> io::Result<()> {
        self.0.set_raw(true);
        let terminal = self.0.clone();
        let work = move || {
            // An error means that the terminal or the editor is gone.
            let _ = terminal.forward(&pty, &on_resume);
        };
        thread::Builder::new().name("keys".into()).spawn(work).map(drop)
    }

    /// Restores the terminal's original mode.
    pub fn close(&self) {
        self.0.set_raw(false);
    }
}

impl Pty {
    fn open() -> io::Result<Pty> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let controller = openpt(flags)?;
        grantpt(&controller)?;
        unlockpt(&controller)?;
        let user_end = ioctl_tiocgptpeer(&controller, flags)?;
        let mut raw_mode = tcgetattr(&user_end)?;
        raw_mode.make_raw();
        tcsetattr(&user_end, OptionalActions::Now, &raw_mode)?;
        rustix::io::ioctl_fionbio(&controller, true)?;
        Ok(Pty { controller, user_end })
    }
}

impl RealTerminal {
    fn set_raw(&self, is_raw: bool) {
        let mode = if is_raw { &self.raw_mode } else { &self.original_mode };
        // This fails only if the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, mode);
    }

    /// Forwards keys until the terminal is gone. The editor then sees the end of `pty`.
    fn forward(&self, pty: &Pty, on_resume: &dyn Fn()) -> rustix::io::Result<()> {
        let mut pending = VecDeque::new();
        let mut waker = PasteWaker::default();
        let mut buf = [0; 1024];
        loop {
            let reads =
                if pending.len() < MAX_PENDING_KEYS { PollFlags::IN } else { PollFlags::empty() };
            let writes = if pending.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            let mut fds = [
                PollFd::from_borrowed_fd(self.terminal.as_fd(), reads),
                PollFd::from_borrowed_fd(pty.controller.as_fd(), writes),
            ];
            let ready_count = match poll(&mut fds, waker.timeout().as_ref()) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            let [readable, writable] = fds.map(|fd| fd.revents());
            if ready_count == 0 {
                waker.on_timeout();
                pending.push_back(NUL_KEY);
            }
            if !readable.is_empty() {
                match rustix::io::read(&self.terminal, &mut buf) {
                    Ok(0) => return Ok(()),
                    Err(Errno::INTR) => {}
                    length => self.handle_keys(&buf[..length?], &mut pending, on_resume),
                }
            }
            if writable.contains(PollFlags::OUT) {
                let written = rustix::io::write(&pty.controller, pending.as_slices().0)?;
                waker.on_forwarded(pending.drain(..written));
            }
        }
    }

    fn handle_keys(&self, keys: &[u8], pending: &mut VecDeque<u8>, on_resume: &dyn Fn()) {
        for key in keys {
            match *key {
                CTRL_C => drop(kill_process(getpid(), Signal::INT)),
                CTRL_Z => {
                    self.suspend();
                    on_resume();
                }
                key => pending.push_back(key),
            }
        }
    }

    /// Stops the process as a shell expects it, and returns when the process continues.
    fn suspend(&self) {
        self.set_raw(false);
        let _ = kill_current_process_group(Signal::TSTP);
        // The signal may be delivered to another thread, so this thread stops a moment later.
        let pause = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = poll(&mut [], Some(&pause));
        self.set_raw(true);
    }
}
