//! A person's keys, one at a time, for a line editor that must not be given more.
//!
//! The editor waits for keys and for lines to show with one `select`, and does not see the keys that it has read and
//! not handled yet: of a pasted line it would take the first letter, and the rest at the next key (rustyline 18,
//! its issue 976). So it reads from a pseudoterminal of its own in place of stdin, and a thread passes on each byte
//! when the last one is taken.
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
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// Keys that wait for the editor; what is typed or pasted beyond waits in the terminal.
const WAITING: usize = 64 << 10;

/// How long to wait until the editor is asked again whether it took the last key, at first and at most.
const PAUSES: (i64, i64) = (50_000, 20_000_000);

const CTRL_C: u8 = 3;
const CTRL_Z: u8 = 26;

/// The real terminal.
#[derive(Debug, Clone)]
pub struct Keys(Arc<Real>);

#[derive(Debug)]
struct Real {
    terminal: OwnedFd,
    before: Termios,
    raw: Termios,
}

/// Where the keys go.
struct Pseudo {
    ours: OwnedFd,
    editors: OwnedFd,
}

impl Keys {
    /// Takes stdin, which is a terminal, and puts a pseudoterminal in its place; nothing comes back where the
    /// process runs in the background, whose reading would stop it.
    ///
    /// # Errors
    ///
    /// Fails where no pseudoterminal or no thread is to be had.
    pub fn open() -> io::Result<Option<Keys>> {
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
        let pseudo = Pseudo::open()?;
        rustix::stdio::dup2_stdin(&pseudo.editors)?;
        let keys = Keys(Arc::new(Real { terminal, before, raw }));
        keys.0.set(true);
        let real = keys.0.clone();
        thread::Builder::new().name("keys".into()).spawn(move || real.pass_on(&pseudo))?;
        Ok(Some(keys))
    }

    /// Puts the terminal back to how it was.
    pub fn close(&self) {
        self.0.set(false);
    }
}

impl Pseudo {
    fn open() -> io::Result<Pseudo> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let editors = ioctl_tiocgptpeer(&ours, flags)?;
        let mut raw = tcgetattr(&editors)?;
        raw.make_raw();
        tcsetattr(&editors, OptionalActions::Now, &raw)?;
        Ok(Pseudo { ours, editors })
    }

    /// Tells whether the editor took all that was passed on.
    fn is_taken(&self) -> bool {
        rustix::io::ioctl_fionread(&self.editors).is_ok_and(|waiting| waiting == 0)
    }
}

impl Real {
    fn set(&self, raw: bool) {
        let mode = if raw { &self.raw } else { &self.before };
        // A terminal that is gone has no mode.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, mode);
    }

    /// Passes keys on until the terminal is gone; the editor learns of its end by that of the pseudoterminal.
    fn pass_on(&self, to: &Pseudo) {
        let mut waiting = VecDeque::new();
        let mut pause = PAUSES.0;
        let mut buf = [0; 1024];
        loop {
            if !waiting.is_empty() && to.is_taken() {
                let key = [waiting.pop_front().unwrap_or_default()];
                if rustix::io::write(&to.ours, &key).is_err() {
                    return;
                }
                pause = PAUSES.0;
            }
            let events = if waiting.len() < WAITING { PollFlags::IN } else { PollFlags::empty() };
            let mut polled = [PollFd::from_borrowed_fd(self.terminal.as_fd(), events)];
            let until = Timespec { tv_sec: 0, tv_nsec: pause };
            let until = (!waiting.is_empty()).then_some(&until);
            match poll(&mut polled, until) {
                Ok(0) => pause = (2 * pause).min(PAUSES.1),
                Ok(_) => match rustix::io::read(&self.terminal, &mut buf) {
                    Ok(0) => return,
                    Ok(length) => self.take(&buf[..length], &mut waiting),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                },
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&self, keys: &[u8], waiting: &mut VecDeque<u8>) {
        for key in keys {
            match *key {
                CTRL_C => drop(kill_process(getpid(), Signal::INT)),
                CTRL_Z => self.suspend(),
                key => waiting.push_back(key),
            }
        }
    }

    /// Stops the process as a shell expects it; once it goes on, the editor shows its line again.
    fn suspend(&self) {
        self.set(false);
        let _ = kill_current_process_group(Signal::TSTP);
        // The signal stops this thread by way of another one, so not quite at once.
        let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _ = poll(&mut [], Some(&moment));
        self.set(true);
        let _ = kill_process(getpid(), Signal::WINCH);
    }
}
