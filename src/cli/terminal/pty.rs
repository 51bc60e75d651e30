//! The path of a person's keys through a pseudoterminal to the line editor.
//!
//! The editor reads from a pseudoterminal in place of stdin. A thread filters the keys of the real
//! terminal, forwards them, and wakes the editor after a paste.
//!
//! This module therefore owns the mode of the real terminal. It sets raw mode while the process is
//! in the terminal's foreground process group, and restores the original mode at the end, even
//! while the editor is busy. Ctrl-C becomes SIGINT while the editor does not read. Ctrl-Z first
//! returns the terminal to the shell.
//!
//! In the background the process neither reads the terminal nor sets its mode, because the kernel
//! would stop it. A shell that brings a running job to the foreground sends no signal, so the
//! thread looks for it a few times a second.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use async_signal::Signals;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::cli::terminal::keys::{CTRL_C, KeyAction, KeyFilter};
use crate::cli::terminal::paste::{NUL_KEY, PasteWaker};
use crate::sync::lock;

/// The maximum number of keys that wait for the editor. Further keys wait in the terminal.
const MAX_PENDING_KEYS: usize = 16 << 10;

/// How often the process looks whether it is in the foreground again.
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(200);

/// How long the beginning of an escape sequence waits for its rest.
const SEQUENCE_TIMEOUT: Duration = Duration::from_millis(50);

/// How long keys wait until the editor has handled the Ctrl-C before them.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(1);

/// The keys that end the editor's read: a numeric argument, which makes the editor draw its line
/// again, and Ctrl-C.
const RESTART_KEYS: [u8; 3] = [b'\x1b', b'1', CTRL_C];

const BRACKETED_PASTE_ON: &[u8] = b"\x1b[?2004h";
const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";

/// The editor, as the thread of the keys sees it. No method may block.
pub trait EditorStatus: Send {
    /// Returns whether the editor has no text.
    fn is_line_empty(&self) -> bool;

    /// Announces that the editor is about to receive Ctrl-C. Returns `false` if it does not read.
    fn expect_interrupt(&self) -> bool;

    /// Returns whether the editor has to receive `RESTART_KEYS`. Returns `true` once per request.
    fn expect_restart(&self) -> bool;

    /// Returns the number of Ctrl-C that the editor has handled.
    fn handled_interrupts(&self) -> u64;

    /// Shows a text above the prompt.
    fn show(&self, text: &str);

    /// Draws the prompt again, after the process returned to the foreground.
    fn redraw(&self);
}

/// A handle to the real terminal.
#[derive(Debug, Clone)]
pub struct PtyProxy(Arc<RealTerminal>);

#[derive(Debug)]
struct RealTerminal {
    terminal: OwnedFd,
    state: Mutex<TerminalState>,
    state_changed: Condvar,
    /// Wakes the thread of the keys.
    wake: OwnedFd,
}

#[derive(Debug)]
struct TerminalState {
    usage: Usage,
    original_mode: Termios,
}

/// Whether this process uses the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// It is in the background, or was suspended.
    Background,
    /// It reads the keys, and the terminal is in raw mode.
    Foreground,
    /// The terminal is gone, or was returned for good.
    Closed,
}

/// The pseudoterminal from which the editor reads.
#[derive(Debug)]
pub struct Pty {
    controller: OwnedFd,
    /// Kept open, so that reads on the user side do not end before the controller is closed.
    user_end: OwnedFd,
}

impl PtyProxy {
    /// Replaces stdin, which must be the process's controlling terminal, with a pseudoterminal.
    ///
    /// # Errors
    ///
    /// Returns an error if stdin is another terminal, or a pseudoterminal cannot be opened.
    pub fn open() -> io::Result<(PtyProxy, Pty)> {
        let stdin = io::stdin();
        tcgetpgrp(&stdin)?;
        let original_mode = tcgetattr(&stdin)?;
        let terminal = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let pty = Pty::open()?;
        rustix::stdio::dup2_stdin(&pty.user_end)?;
        let state = Mutex::new(TerminalState { usage: Usage::Background, original_mode });
        let terminal = RealTerminal { terminal, state, state_changed: Condvar::new(), wake };
        Ok((PtyProxy(Arc::new(terminal)), pty))
    }

    /// Starts to forward keys to `pty`.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread or the handler of SIGCONT cannot be installed.
    pub fn forward(&self, pty: Pty, editor: Box<dyn EditorStatus>) -> io::Result<()> {
        let continued = Signals::new([async_signal::Signal::Cont])?;
        self.0.update_usage();
        let terminal = self.0.clone();
        let work = move || {
            let mut keys = KeyForwarder::new(&terminal, &pty, editor.as_ref());
            // An error means that the terminal or the editor is gone.
            let _ = keys.run(&continued);
            terminal.set_usage(Usage::Closed);
        };
        thread::Builder::new().name("keys".into()).spawn(work).map(drop)
    }

    /// Returns whether the process is in the foreground.
    pub fn is_in_foreground(&self) -> bool {
        self.0.state().usage == Usage::Foreground
    }

    /// Waits until the process is in the foreground. Returns `false` if the terminal is gone.
    pub fn wait_for_foreground(&self) -> bool {
        let state = self.0.state();
        let is_background = |state: &mut TerminalState| state.usage == Usage::Background;
        let state = self.0.state_changed.wait_while(state, is_background);
        state.is_ok_and(|state| state.usage == Usage::Foreground)
    }

    /// Makes the thread of the keys look at the state of the editor.
    pub fn wake(&self) {
        // This fails only if a wake-up is already pending.
        let _ = rustix::io::write(&self.0.wake, &1_u64.to_ne_bytes());
    }

    /// Restores the terminal's original mode. Returns whether the process was in the foreground.
    pub fn close(&self) -> bool {
        let was_in_foreground = self.is_in_foreground();
        self.0.release();
        self.0.set_usage(Usage::Closed);
        was_in_foreground
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
    fn state(&self) -> MutexGuard<'_, TerminalState> {
        lock(&self.state)
    }

    fn set_usage(&self, usage: Usage) {
        self.state().usage = usage;
        self.state_changed.notify_all();
    }

    fn is_in_foreground_group(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp())
    }

    /// Sets raw mode if the process is in the foreground. Returns whether it is.
    fn update_usage(&self) -> bool {
        let mut state = self.state();
        if state.usage == Usage::Closed {
            return false;
        }
        let is_foreground = self.is_in_foreground_group();
        if is_foreground {
            // A shell may have changed the mode meanwhile. Raw mode itself is this process's own.
            match tcgetattr(&self.terminal) {
                Ok(mode) if mode.local_modes.contains(LocalModes::ICANON) => {
                    state.original_mode = mode;
                }
                _ => {}
            }
            let mut raw_mode = state.original_mode.clone();
            raw_mode.make_raw();
            // Output still translates line feeds to line ends.
            raw_mode.output_modes = state.original_mode.output_modes;
            self.apply(&raw_mode, BRACKETED_PASTE_ON);
        }
        state.usage = if is_foreground { Usage::Foreground } else { Usage::Background };
        self.state_changed.notify_all();
        is_foreground
    }

    /// Restores the original mode if the process set another one.
    fn release(&self) {
        let mut state = self.state();
        if state.usage == Usage::Foreground && self.is_in_foreground_group() {
            self.apply(&state.original_mode, BRACKETED_PASTE_OFF);
        }
        if state.usage == Usage::Foreground {
            state.usage = Usage::Background;
        }
    }

    fn apply(&self, mode: &Termios, bracketed_paste: &[u8]) {
        // Both fail only if the terminal is gone, or was opened only for reading.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, mode);
        let _ = rustix::io::write(&self.terminal, bracketed_paste);
    }

    /// Stops the process as a shell expects it.
    fn suspend(&self) {
        self.release();
        let _ = kill_current_process_group(Signal::TSTP);
    }
}

/// The work of the thread that forwards keys.
struct KeyForwarder<'a> {
    terminal: &'a RealTerminal,
    pty: &'a Pty,
    editor: &'a dyn EditorStatus,
    filter: KeyFilter,
    waker: PasteWaker,
    /// The keys that wait for the editor.
    pending: VecDeque<u8>,
    /// The number of Ctrl-C that were forwarded. The editor drops keys that it reads with one, so
    /// the next keys wait until it is handled.
    sent_interrupts: u64,
}

impl<'a> KeyForwarder<'a> {
    fn new(
        terminal: &'a RealTerminal,
        pty: &'a Pty,
        editor: &'a dyn EditorStatus,
    ) -> KeyForwarder<'a> {
        KeyForwarder {
            terminal,
            pty,
            editor,
            filter: KeyFilter::default(),
            waker: PasteWaker::default(),
            pending: VecDeque::new(),
            sent_interrupts: 0,
        }
    }

    /// Forwards keys until the terminal is gone. The editor then sees the end of the
    /// pseudoterminal.
    fn run(&mut self, continued: &Signals) -> rustix::io::Result<()> {
        let mut buf = [0; 1024];
        loop {
            let is_foreground = self.terminal.state().usage == Usage::Foreground;
            if self.editor.expect_restart() {
                self.pending.extend(RESTART_KEYS);
            }
            let reads = is_foreground && self.pending.len() < MAX_PENDING_KEYS;
            let timeout = self.timeout(is_foreground);
            let flags = |wanted, flags| if wanted { flags } else { PollFlags::empty() };
            let writes = !self.pending.is_empty() && !self.awaits_interrupt();
            let mut fds = [
                PollFd::from_borrowed_fd(
                    self.terminal.terminal.as_fd(),
                    flags(reads, PollFlags::IN),
                ),
                PollFd::from_borrowed_fd(
                    self.pty.controller.as_fd(),
                    flags(writes, PollFlags::OUT),
                ),
                PollFd::from_borrowed_fd(self.terminal.wake.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(continued.as_fd(), PollFlags::IN),
            ];
            let ready_count = match poll(&mut fds, timeout.as_ref()) {
                Err(Errno::INTR) => continue,
                result => result?,
            };
            let [readable, writable, woken, is_continued] = fds.map(|fd| fd.revents());
            if !woken.is_empty() {
                let _ = rustix::io::read(&self.terminal.wake, &mut buf[..8]);
            }
            if !is_continued.is_empty() {
                // One read empties the signal's socket or pipe, whose bytes carry no more.
                let _ = rustix::io::read(continued, &mut buf);
            }
            if !is_continued.is_empty() || (!is_foreground && ready_count == 0) {
                if self.terminal.update_usage() {
                    self.editor.redraw();
                }
                continue;
            }
            if ready_count == 0 {
                self.on_timeout();
            }
            if !readable.is_empty() {
                match rustix::io::read(&self.terminal.terminal, &mut buf) {
                    Ok(0) => return Ok(()),
                    Err(Errno::INTR) => {}
                    length => self.handle_keys(&buf[..length?]),
                }
            }
            if writable.contains(PollFlags::OUT) {
                self.write_pending()?;
            }
        }
    }

    /// Returns whether the editor has not handled a forwarded Ctrl-C.
    fn awaits_interrupt(&self) -> bool {
        self.sent_interrupts > self.editor.handled_interrupts()
    }

    /// Writes keys up to the next Ctrl-C.
    fn write_pending(&mut self) -> rustix::io::Result<()> {
        let (keys, _) = self.pending.as_slices();
        let end = keys.iter().position(|key| *key == CTRL_C).map_or(keys.len(), |index| index + 1);
        let written = rustix::io::write(&self.pty.controller, &keys[..end])?;
        self.sent_interrupts += u64::from(keys[..written].ends_with(&[CTRL_C]));
        self.waker.on_forwarded(self.pending.drain(..written));
        Ok(())
    }

    fn timeout(&self, is_foreground: bool) -> Option<Timespec> {
        let interrupt = self.awaits_interrupt().then_some(INTERRUPT_TIMEOUT);
        let keys = match self.filter.is_waiting() {
            true => Some(SEQUENCE_TIMEOUT),
            // The editor may hold the Ctrl-C in its buffer until it is woken.
            false => self.waker.timeout().or(interrupt),
        };
        let background = (!is_foreground).then_some(BACKGROUND_INTERVAL);
        keys.into_iter().chain(background).min()?.try_into().ok()
    }

    fn on_timeout(&mut self) {
        if self.filter.is_waiting() {
            self.pending.extend(self.filter.take_waiting());
        } else if self.waker.timeout().is_some() {
            self.waker.on_timeout();
            // This fails only if the editor has other keys to read.
            let _ = rustix::io::write(&self.pty.controller, &[NUL_KEY]);
        } else {
            // The editor took the Ctrl-C for something else.
            self.sent_interrupts = self.editor.handled_interrupts();
        }
    }

    fn handle_keys(&mut self, keys: &[u8]) {
        for action in self.filter.push(keys, self.editor.is_line_empty()) {
            match action {
                KeyAction::Forward(keys) => self.pending.extend(keys),
                KeyAction::Interrupt if self.editor.expect_interrupt() => {
                    self.pending.push_back(CTRL_C);
                }
                KeyAction::Interrupt => drop(kill_process(getpid(), Signal::INT)),
                KeyAction::Suspend => self.terminal.suspend(),
                KeyAction::Show(text) => self.editor.show(&text),
            }
        }
    }
}
