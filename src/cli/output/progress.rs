//! How far files are, for eyes: bars on a terminal, and now and then a line where stderr is none.
//!
//! A bar is drawn over itself, so whatever else is written to the terminal has to have it taken away first: that is
//! what the sinks that go [through](ProgressBars::wrap_sink) the bars are for. Who draws may wait for a terminal that is paused, so
//! this is for threads that may block.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::actors::{Progress, TotalProgress};
use crate::cli::args::argv::EnvLookup;
use crate::cli::output::printer::Sink;
use crate::net::Peer;
use crate::sync::lock;
use crate::wire::text::escape;
use crate::wire::units::{format_duration, format_size};

/// How many files are shown at a time; others go without.
const MAX_FILES: usize = 8;

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What a bar shows of a file whose size is known, and of another.
const TEMPLATE_WITH_SIZE: &str = "{wide_msg} {percent:>3}% of {binary_total_bytes:>10} {bar:20} {binary_bytes_per_sec:>12} {eta:>4}";
const TEMPLATE_WITHOUT_SIZE: &str = "{wide_msg} {binary_bytes:>10} {binary_bytes_per_sec:>12}";

/// Shows how far files are. A clone shows the same.
#[derive(Debug, Clone, Default)]
pub struct ProgressBars(Option<Arc<ProgressShared>>);

#[derive(Debug)]
struct ProgressShared {
    /// The terminal, if stderr is one.
    terminal: Option<MultiProgress>,
    state: Mutex<ProgressState>,
}

#[derive(Debug, Default)]
struct ProgressState {
    files: Vec<ActiveFile>,
    total_bar: Option<ProgressBar>,
    /// How many times [`LINE_INTERVAL`] had passed at the last line of files that are sent together.
    intervals_logged: u64,
}

/// A file that is shown.
#[derive(Debug)]
struct ActiveFile {
    peer: Option<Peer>,
    name: String,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// How many times [`LINE_INTERVAL`] had passed at its last line.
    intervals_logged: u64,
}

impl ProgressBars {
    /// Makes what suits this process's stderr.
    pub fn for_stderr(env: EnvLookup<'_>) -> ProgressBars {
        let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
        let terminal = (io::stderr().is_terminal() && !is_dumb).then(MultiProgress::new);
        ProgressBars(Some(Arc::new(ProgressShared { terminal, state: Mutex::default() })))
    }

    /// Tells whether anything is shown.
    pub fn is_visible(&self) -> bool {
        self.0.is_some()
    }

    /// Returns a sink that writes to `sink`, whose terminal is the one that the bars are on, between them.
    pub fn wrap_sink(&self, sink: Sink) -> Sink {
        match self.0.as_ref().and_then(|shown| shown.terminal.clone()) {
            Some(bars) => Arc::new(Mutex::new(SuspendBars { bars, sink })),
            None => sink,
        }
    }

    /// Shows how far a file is.
    pub fn update(&self, file: &Progress) {
        let Some(shown) = &self.0 else { return };
        let mut state = lock(&shown.state);
        match &shown.terminal {
            Some(terminal) => state.draw_bars(terminal, file),
            None => state.log_if_due(file),
        }
    }

    /// Takes away the bar of a peer's file, or of our own.
    pub fn finish_file(&self, peer: Option<&Peer>) {
        let Some(ProgressShared { state, .. }) = self.0.as_deref() else { return };
        let mut state = lock(state);
        state.files.retain(|file| file.peer.as_ref() != peer || file.clear_bar());
    }

    /// Takes all bars away.
    pub fn finish_all(&self) {
        let Some(ProgressShared { state, .. }) = self.0.as_deref() else { return };
        let mut state = lock(state);
        state.files.retain(ActiveFile::clear_bar);
        if let Some(bar) = state.total_bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl ActiveFile {
    /// Takes its bar away, and keeps nothing of it.
    fn clear_bar(&self) -> bool {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        false
    }
}

impl ProgressState {
    fn draw_bars(&mut self, terminal: &MultiProgress, file: &Progress) {
        if let Some(TotalProgress { bytes, size, .. }) = file.total {
            let fresh = || terminal.add(new_bar("in all", Some(size), bytes));
            self.total_bar.get_or_insert_with(fresh).set_position(bytes);
        }
        let moving = self.active_file(file, || {
            let bar = new_bar(&escape(&file.name), file.size, file.bytes);
            Some(terminal.insert(0, bar))
        });
        if let Some(ActiveFile { bar: Some(bar), .. }) = moving {
            bar.set_position(file.bytes);
        }
    }

    /// Writes a line, if one is due: for files that are sent together as for one.
    fn log_if_due(&mut self, file: &Progress) {
        let (took, told) = match file.total {
            Some(all) => (all.elapsed, &mut self.intervals_logged),
            None => match self.active_file(file, || None) {
                Some(moving) => (file.elapsed, &mut moving.intervals_logged),
                None => return,
            },
        };
        let times = took.as_secs() / LINE_INTERVAL.as_secs();
        if times > *told {
            *told = times;
            log::info!("{}", format_line(file));
        }
    }

    /// Returns what is shown of a file, unless too many are shown; a peer's last one is shown no longer then.
    fn active_file(
        &mut self,
        file: &Progress,
        bar: impl FnOnce() -> Option<ProgressBar>,
    ) -> Option<&mut ActiveFile> {
        let of_it = |moving: &ActiveFile| moving.peer == file.peer;
        self.files
            .retain(|moving| !of_it(moving) || moving.name == file.name || moving.clear_bar());
        if !self.files.iter().any(of_it) && self.files.len() < MAX_FILES {
            let (peer, name) = (file.peer.clone(), file.name.clone());
            self.files.push(ActiveFile { peer, name, bar: bar(), intervals_logged: 0 });
        }
        self.files.iter_mut().find(|moving| of_it(moving))
    }
}

fn new_bar(text: &str, size: Option<u64>, bytes: u64) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new).with_position(bytes);
    let template = if size.is_some() { TEMPLATE_WITH_SIZE } else { TEMPLATE_WITHOUT_SIZE };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    // What was there before the bar says nothing about the rate.
    bar.reset_eta();
    bar.with_message(text.to_owned())
}

/// Words how far a file is: `big.img: 3GiB of 10GiB (30%), 100MiB/s, 1m12s left`.
fn format_line(file: &Progress) -> String {
    let mut text = format!("{}: {}", escape(&file.name), format_size(file.bytes));
    let moved = file.bytes.saturating_sub(file.resumed_bytes);
    let rate = (moved as f64 / file.elapsed.as_secs_f64().max(0.001)) as u64;
    if let Some(size) = file.size {
        let percent = file.bytes.saturating_mul(100) / size.max(1);
        text.push_str(&format!(" of {} ({percent}%)", format_size(size)));
    }
    text.push_str(&format!(", {}/s", format_size(rate)));
    if let Some(size) = file.size.filter(|_| rate > 0) {
        let left = Duration::from_secs(size.saturating_sub(file.bytes).div_ceil(rate));
        text.push_str(&format!(", {} left", format_duration(left)));
    }
    if let Some(TotalProgress { bytes, size, .. }) = file.total {
        text.push_str(&format!("; in all {} of {}", format_size(bytes), format_size(size)));
    }
    text
}

/// Writes to a sink while no bar is there.
struct SuspendBars {
    bars: MultiProgress,
    sink: Sink,
}

impl Write for SuspendBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut sink = lock(&self.sink);
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
        Progress {
            peer: None,
            name: "\u{1b}[2J".into(),
            bytes,
            resumed_bytes: held,
            size,
            elapsed: took,
            total: None,
        }
    }

    fn peer(port: u16) -> Option<Peer> {
        Some(Peer::Inet(([127, 0, 0, 1], port).into()))
    }

    #[test]
    fn a_line_tells_the_rate_of_what_moved_and_the_time_left() {
        let told = format_line(&progress(11 << 20, Some(20 << 20)));
        assert_eq!(told, "\\u{1b}[2J: 11MiB of 20MiB (55%), 1MiB/s, 9s left");
        assert_eq!(format_line(&progress(1 << 20, None)), "\\u{1b}[2J: 1MiB, 0B/s");
        let all = Some(TotalProgress {
            bytes: 12 << 20,
            size: 1 << 30,
            elapsed: Duration::from_secs(60),
        });
        let told = format_line(&Progress { total: all, ..progress(11 << 20, Some(11 << 20)) });
        assert!(told.ends_with("0s left; in all 12MiB of 1GiB"), "{told}");
    }

    #[test]
    fn a_line_is_due_every_ten_seconds() {
        let mut state = ProgressState::default();
        let mut due = |progress: Progress| {
            let told = |state: &ProgressState| {
                state.intervals_logged
                    + state.files.iter().map(|file| file.intervals_logged).sum::<u64>()
            };
            let before = told(&state);
            state.log_if_due(&progress);
            told(&state) > before
        };
        for all in [None, Some(TotalProgress { bytes: 5, size: 9, elapsed: Duration::ZERO })] {
            let after = |secs| {
                let took = Duration::from_secs(secs);
                let all = all.map(|all| TotalProgress { elapsed: took, ..all });
                Progress { elapsed: took, total: all, ..progress(5, None) }
            };
            let told: Vec<u64> = (0..35).filter(|secs| due(after(*secs))).collect();
            assert_eq!(told, [10, 20, 30]);
        }
    }

    #[test]
    fn files_of_several_peers_do_not_call_each_others_lines_due() {
        let mut state = ProgressState::default();
        for round in 0..10 {
            for (port, secs) in [(1, 25), (2, 5)] {
                let took = Duration::from_secs(secs);
                state.log_if_due(&Progress {
                    peer: peer(port),
                    elapsed: took,
                    ..progress(5, None)
                });
                let told: Vec<u64> = state.files.iter().map(|file| file.intervals_logged).collect();
                assert!(told == [2] || told == [2, 0], "{round}: {told:?}");
            }
        }
    }

    #[test]
    fn bars_come_and_go_with_their_files_and_are_bounded() {
        let terminal = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut state = ProgressState::default();
        for port in 0..2 * MAX_FILES as u16 {
            state.draw_bars(&terminal, &Progress { peer: peer(port), ..progress(5, Some(9)) });
        }
        assert_eq!(state.files.len(), MAX_FILES);
        let next = Progress { peer: peer(3), name: "next".into(), ..progress(7, Some(9)) };
        state.draw_bars(&terminal, &next);
        let shown = state.files.iter().find(|file| file.peer == next.peer).unwrap();
        assert_eq!(
            (shown.name.as_str(), shown.bar.as_ref().map(ProgressBar::position), state.files.len()),
            ("next", Some(7), MAX_FILES)
        );
        let bars = ProgressBars(Some(Arc::new(ProgressShared {
            terminal: None,
            state: Mutex::new(state),
        })));
        bars.finish_file(peer(3).as_ref());
        assert_eq!(bars.0.as_ref().unwrap().state.lock().unwrap().files.len(), MAX_FILES - 1);
        bars.finish_all();
        assert!(bars.0.as_ref().unwrap().state.lock().unwrap().files.is_empty());
    }
}
