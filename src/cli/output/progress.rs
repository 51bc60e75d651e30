//! How far files are, for eyes: bars on a terminal, and now and then a line where stderr is none.
//!
//! A bar is drawn over itself, so whatever else is written to the terminal has to have it taken away first: that is
//! what the sinks that go [through](Bars::through) the bars are for. Who draws may wait for a terminal that is paused, so
//! this is for threads that may block.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::actors::{Overall, Progress};
use crate::cli::args::argv::Env;
use crate::cli::output::printer::Sink;
use crate::net::Peer;
use crate::wire::text::escape;
use crate::wire::units::{show_duration, show_size};

/// How many files are shown at a time; others go without.
const MOST: usize = 8;

/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(10);

/// What a bar shows of a file whose size is known, and of another.
const KNOWN: &str = "{wide_msg} {percent:>3}% of {binary_total_bytes:>10} {bar:20} {binary_bytes_per_sec:>12} {eta:>4}";
const UNKNOWN: &str = "{wide_msg} {binary_bytes:>10} {binary_bytes_per_sec:>12}";

/// Shows how far files are. A clone shows the same.
#[derive(Debug, Clone, Default)]
pub struct Bars(Option<Arc<Shown>>);

#[derive(Debug)]
struct Shown {
    /// The terminal, if stderr is one.
    terminal: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Moving>,
    all: Option<ProgressBar>,
    /// How many times [`LINES`] had passed at the last line of files that are sent together.
    told: u64,
}

/// A file that is shown.
#[derive(Debug)]
struct Moving {
    peer: Option<Peer>,
    name: String,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// How many times [`LINES`] had passed at its last line.
    told: u64,
}

impl Bars {
    /// Makes what suits this process's stderr.
    pub fn of_stderr(env: Env<'_>) -> Bars {
        let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
        let terminal = (io::stderr().is_terminal() && !is_dumb).then(MultiProgress::new);
        Bars(Some(Arc::new(Shown { terminal, state: Mutex::default() })))
    }

    /// Tells whether anything is shown.
    pub fn are_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Returns a sink that writes to `sink`, whose terminal is the one that the bars are on, between them.
    pub fn through(&self, sink: Sink) -> Sink {
        match self.0.as_ref().and_then(|shown| shown.terminal.clone()) {
            Some(bars) => Arc::new(Mutex::new(Between { bars, sink })),
            None => sink,
        }
    }

    /// Shows how far a file is.
    pub fn show(&self, file: &Progress) {
        let Some(shown) = &self.0 else { return };
        let mut state = shown.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &shown.terminal {
            Some(terminal) => state.draw(terminal, file),
            None => state.tell(file),
        }
    }

    /// Takes away the bar of a peer's file, or of our own.
    pub fn end(&self, peer: Option<&Peer>) {
        let Some(Shown { state, .. }) = self.0.as_deref() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.files.retain(|file| file.peer.as_ref() != peer || file.end());
    }

    /// Takes all bars away.
    pub fn end_all(&self) {
        let Some(Shown { state, .. }) = self.0.as_deref() else { return };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.files.retain(Moving::end);
        if let Some(bar) = state.all.take() {
            bar.finish_and_clear();
        }
    }
}

impl Moving {
    /// Takes its bar away, and keeps nothing of it.
    fn end(&self) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        false
    }
}

impl State {
    fn draw(&mut self, terminal: &MultiProgress, file: &Progress) {
        if let Some(Overall { bytes, size, .. }) = file.all {
            let fresh = || terminal.add(bar("in all", Some(size), bytes));
            self.all.get_or_insert_with(fresh).set_position(bytes);
        }
        let moving = self.moving(file, || {
            let bar = bar(&escape(&file.name), file.size, file.bytes);
            Some(terminal.insert(0, bar))
        });
        if let Some(Moving { bar: Some(bar), .. }) = moving {
            bar.set_position(file.bytes);
        }
    }

    /// Writes a line, if one is due: for files that are sent together as for one.
    fn tell(&mut self, file: &Progress) {
        let (took, told) = match file.all {
            Some(all) => (all.took, &mut self.told),
            None => match self.moving(file, || None) {
                Some(moving) => (file.took, &mut moving.told),
                None => return,
            },
        };
        let times = took.as_secs() / LINES.as_secs();
        if times > *told {
            *told = times;
            log::info!("{}", line(file));
        }
    }

    /// Returns what is shown of a file, unless too many are shown; a peer's last one is shown no longer then.
    fn moving(
        &mut self,
        file: &Progress,
        bar: impl FnOnce() -> Option<ProgressBar>,
    ) -> Option<&mut Moving> {
        let of_it = |moving: &Moving| moving.peer == file.peer;
        self.files.retain(|moving| !of_it(moving) || moving.name == file.name || moving.end());
        if !self.files.iter().any(of_it) && self.files.len() < MOST {
            let (peer, name) = (file.peer.clone(), file.name.clone());
            self.files.push(Moving { peer, name, bar: bar(), told: 0 });
        }
        self.files.iter_mut().find(|moving| of_it(moving))
    }
}

fn bar(text: &str, size: Option<u64>, bytes: u64) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new).with_position(bytes);
    let template = if size.is_some() { KNOWN } else { UNKNOWN };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    // What was there before the bar says nothing about the rate.
    bar.reset_eta();
    bar.with_message(text.to_owned())
}

/// Words how far a file is: `big.img: 3GiB of 10GiB (30%), 100MiB/s, 1m12s left`.
fn line(file: &Progress) -> String {
    let mut text = format!("{}: {}", escape(&file.name), show_size(file.bytes));
    let moved = file.bytes.saturating_sub(file.held);
    let rate = (moved as f64 / file.took.as_secs_f64().max(0.001)) as u64;
    if let Some(size) = file.size {
        let percent = file.bytes.saturating_mul(100) / size.max(1);
        text.push_str(&format!(" of {} ({percent}%)", show_size(size)));
    }
    text.push_str(&format!(", {}/s", show_size(rate)));
    if let Some(size) = file.size.filter(|_| rate > 0) {
        let left = Duration::from_secs(size.saturating_sub(file.bytes).div_ceil(rate));
        text.push_str(&format!(", {} left", show_duration(left)));
    }
    if let Some(Overall { bytes, size, .. }) = file.all {
        text.push_str(&format!("; in all {} of {}", show_size(bytes), show_size(size)));
    }
    text
}

/// Writes to a sink while no bar is there.
struct Between {
    bars: MultiProgress,
    sink: Sink,
}

impl Write for Between {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        self.bars.suspend(|| sink.write_all(bytes).and_then(|()| sink.flush()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(bytes: u64, size: Option<u64>) -> Progress {
        let (held, took) = (1 << 20, Duration::from_secs(10));
        Progress { peer: None, name: "\u{1b}[2J".into(), bytes, held, size, took, all: None }
    }

    fn peer(port: u16) -> Option<Peer> {
        Some(Peer::Inet(([127, 0, 0, 1], port).into()))
    }

    #[test]
    fn a_line_tells_the_rate_of_what_moved_and_the_time_left() {
        let told = line(&progress(11 << 20, Some(20 << 20)));
        assert_eq!(told, "\\u{1b}[2J: 11MiB of 20MiB (55%), 1MiB/s, 9s left");
        assert_eq!(line(&progress(1 << 20, None)), "\\u{1b}[2J: 1MiB, 0B/s");
        let all = Some(Overall { bytes: 12 << 20, size: 1 << 30, took: Duration::from_secs(60) });
        let told = line(&Progress { all, ..progress(11 << 20, Some(11 << 20)) });
        assert!(told.ends_with("0s left; in all 12MiB of 1GiB"), "{told}");
    }

    #[test]
    fn a_line_is_due_every_ten_seconds() {
        let mut state = State::default();
        let mut due = |progress: Progress| {
            let told =
                |state: &State| state.told + state.files.iter().map(|file| file.told).sum::<u64>();
            let before = told(&state);
            state.tell(&progress);
            told(&state) > before
        };
        for all in [None, Some(Overall { bytes: 5, size: 9, took: Duration::ZERO })] {
            let after = |secs| {
                let took = Duration::from_secs(secs);
                let all = all.map(|all| Overall { took, ..all });
                Progress { took, all, ..progress(5, None) }
            };
            let told: Vec<u64> = (0..35).filter(|secs| due(after(*secs))).collect();
            assert_eq!(told, [10, 20, 30]);
        }
    }

    #[test]
    fn files_of_several_peers_do_not_call_each_others_lines_due() {
        let mut state = State::default();
        for round in 0..10 {
            for (port, secs) in [(1, 25), (2, 5)] {
                let took = Duration::from_secs(secs);
                state.tell(&Progress { peer: peer(port), took, ..progress(5, None) });
                let told: Vec<u64> = state.files.iter().map(|file| file.told).collect();
                assert!(told == [2] || told == [2, 0], "{round}: {told:?}");
            }
        }
    }

    #[test]
    fn bars_come_and_go_with_their_files_and_are_bounded() {
        let terminal = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut state = State::default();
        for port in 0..2 * MOST as u16 {
            state.draw(&terminal, &Progress { peer: peer(port), ..progress(5, Some(9)) });
        }
        assert_eq!(state.files.len(), MOST);
        let next = Progress { peer: peer(3), name: "next".into(), ..progress(7, Some(9)) };
        state.draw(&terminal, &next);
        let shown = state.files.iter().find(|file| file.peer == next.peer).unwrap();
        assert_eq!(
            (shown.name.as_str(), shown.bar.as_ref().map(ProgressBar::position), state.files.len()),
            ("next", Some(7), MOST)
        );
        let bars = Bars(Some(Arc::new(Shown { terminal: None, state: Mutex::new(state) })));
        bars.end(peer(3).as_ref());
        assert_eq!(bars.0.as_ref().unwrap().state.lock().unwrap().files.len(), MOST - 1);
        bars.end_all();
        assert!(bars.0.as_ref().unwrap().state.lock().unwrap().files.is_empty());
    }
}
