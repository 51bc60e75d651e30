//! Progress of file transfers: bars on a terminal, otherwise a log line every ten seconds.
//!
//! A bar is redrawn in place. Anything else that is written to the terminal must first remove the
//! bars, so every other writer uses a sink from [`ProgressBars::wrap_sink`]. Drawing may block on a
//! paused terminal, so it belongs on a thread that may block.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::actors::{Progress, TotalProgress};
use crate::cli::args::argv::EnvLookup;
use crate::cli::output::sink::Sink;
use crate::net::Peer;
use crate::sync::lock;
use crate::wire::text::escape;
use crate::wire::units::{format_duration, format_size};

/// The maximum number of files that are shown at once.
const MAX_FILES: usize = 8;

/// The interval of log lines per file, if stderr is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The bar of a file of known size.
const TEMPLATE_WITH_SIZE: &str =
    "{wide_msg} {percent:>3}% of {size:>9} {bar:20} {rate:>11} {left:>6}";

/// The bar of a file of unknown size.
const TEMPLATE_WITHOUT_SIZE: &str = "{wide_msg} {done:>9} {rate:>11}";

/// The progress display. A clone updates the same display. The default shows nothing.
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
    /// The number of [`LINE_INTERVAL`]s at the last log line of files that are sent together.
    intervals_logged: u64,
}

/// A file that is shown.
#[derive(Debug)]
struct ActiveFile {
    peer: Option<Peer>,
    name: String,
    /// The bar, on a terminal.
    bar: Option<ProgressBar>,
    /// The number of [`LINE_INTERVAL`]s at its last log line.
    intervals_logged: u64,
}

impl ProgressBars {
    /// Creates the display for this process's stderr.
    pub fn for_stderr(env: EnvLookup<'_>) -> ProgressBars {
        let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
        let terminal = (io::stderr().is_terminal() && !is_dumb).then(MultiProgress::new);
        ProgressBars(Some(Arc::new(ProgressShared { terminal, state: Mutex::default() })))
    }

    /// Returns whether anything is shown.
    pub fn is_visible(&self) -> bool {
        self.0.is_some()
    }

    /// Returns a sink that removes the bars while it writes to `sink`.
    pub fn wrap_sink(&self, sink: Sink) -> Sink {
        match self.0.as_ref().and_then(|shared| shared.terminal.clone()) {
            Some(bars) => Arc::new(Mutex::new(SuspendBars { bars, sink })),
            None => sink,
        }
    }

    /// Shows the progress of a file.
    pub fn update(&self, file: &Progress) {
        let Some(shared) = &self.0 else { return };
        let mut state = lock(&shared.state);
        match &shared.terminal {
            Some(terminal) => state.draw_bars(terminal, file),
            None => state.log_if_due(file),
        }
    }

    /// Removes the bar of a peer's file, or of a file that is sent.
    pub fn finish_file(&self, peer: Option<&Peer>) {
        let Some(ProgressShared { state, .. }) = self.0.as_deref() else { return };
        lock(state).files.retain(|file| file.peer.as_ref() != peer || file.clear_bar());
    }

    /// Removes all bars.
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
    /// Removes the bar, and returns `false` for `Vec::retain`.
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
            let make_bar = || terminal.add(new_bar("total", Some(size), bytes));
            self.total_bar.get_or_insert_with(make_bar).set_position(bytes);
        }
        let active = self.active_file(file, || {
            let bar = new_bar(&escape(&file.name), file.size, file.bytes);
            Some(terminal.insert(0, bar))
        });
        if let Some(ActiveFile { bar: Some(bar), .. }) = active {
            bar.set_position(file.bytes);
        }
    }

    /// Logs a line if one is due. Files that are sent together share one interval.
    fn log_if_due(&mut self, file: &Progress) {
        let (elapsed, intervals_logged) = match file.total {
            Some(total) => (total.elapsed, &mut self.intervals_logged),
            None => match self.active_file(file, || None) {
                Some(active) => (file.elapsed, &mut active.intervals_logged),
                None => return,
            },
        };
        let intervals = elapsed.as_secs() / LINE_INTERVAL.as_secs();
        if intervals > *intervals_logged {
            *intervals_logged = intervals;
            log::info!("{}", format_line(file));
        }
    }

    /// Returns the entry of a file. It replaces the entry of the same peer's previous file.
    ///
    /// Returns `None` if the maximum number of files is already shown.
    fn active_file(
        &mut self,
        file: &Progress,
        make_bar: impl FnOnce() -> Option<ProgressBar>,
    ) -> Option<&mut ActiveFile> {
        let is_same_peer = |active: &ActiveFile| active.peer == file.peer;
        self.files.retain(|active| {
            !is_same_peer(active) || active.name == file.name || active.clear_bar()
        });
        if !self.files.iter().any(is_same_peer) && self.files.len() < MAX_FILES {
            let (peer, name) = (file.peer.clone(), file.name.clone());
            self.files.push(ActiveFile { peer, name, bar: make_bar(), intervals_logged: 0 });
        }
        self.files.iter_mut().find(|active| is_same_peer(active))
    }
}

fn new_bar(text: &str, size: Option<u64>, bytes: u64) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::no_length, ProgressBar::new).with_position(bytes);
    let template = if size.is_some() { TEMPLATE_WITH_SIZE } else { TEMPLATE_WITHOUT_SIZE };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let style = with_key(style, "size", |state| format_size(state.len().unwrap_or(0)));
        let style = with_key(style, "done", |state| format_size(state.pos()));
        let style =
            with_key(style, "rate", |state| format!("{}/s", format_size(state.per_sec() as u64)));
        // A part of a second is no news.
        let style = with_key(style, "left", |state| {
            format_duration(Duration::from_secs(state.eta().as_secs()))
        });
        bar.set_style(style.progress_chars("=> "));
    }
    // Bytes from before the bar must not count in the rate.
    bar.reset_eta();
    bar.with_message(text.to_owned())
}

/// Adds a key to the template of a bar.
fn with_key(
    style: ProgressStyle,
    key: &'static str,
    format: impl Fn(&indicatif::ProgressState) -> String + Clone + Send + Sync + 'static,
) -> ProgressStyle {
    let write = move |state: &indicatif::ProgressState, out: &mut dyn fmt::Write| {
        // Writing to a string never fails.
        let _ = out.write_str(&format(state));
    };
    style.with_key(key, write)
}

/// Formats the progress of a file: `big.img: 3 GiB of 10 GiB (30%), 100 MiB/s, 1m12s left`.
fn format_line(file: &Progress) -> String {
    let mut text = format!("{}: {}", escape(&file.name), format_size(file.bytes));
    let transferred = file.bytes.saturating_sub(file.resumed_bytes);
    let rate = (transferred as f64 / file.elapsed.as_secs_f64().max(0.001)) as u64;
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
        text.push_str(&format!("; total {} of {}", format_size(bytes), format_size(size)));
    }
    text
}

/// A writer that removes the bars while it writes.
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
        Progress {
            peer: None,
            name: "\u{1b}[2J".into(),
            bytes,
            resumed_bytes: 1 << 20,
            size,
            elapsed: Duration::from_secs(10),
            total: None,
        }
    }

    fn peer(port: u16) -> Option<Peer> {
        Some(Peer::Inet(([127, 0, 0, 1], port).into()))
    }

    #[test]
    fn line_shows_rate_and_time_left() {
        let line = format_line(&progress(11 << 20, Some(20 << 20)));
        assert_eq!(line, "\\u{1b}[2J: 11 MiB of 20 MiB (55%), 1 MiB/s, 9 s left");
        assert_eq!(format_line(&progress(1 << 20, None)), "\\u{1b}[2J: 1 MiB, 0 B/s");
        let total = Some(TotalProgress {
            bytes: 12 << 20,
            size: 1 << 30,
            elapsed: Duration::from_secs(60),
        });
        let line = format_line(&Progress { total, ..progress(11 << 20, Some(11 << 20)) });
        assert!(line.ends_with("0 s left; total 12 MiB of 1 GiB"), "{line}");
    }

    #[test]
    fn line_is_due_every_ten_seconds() {
        let mut state = ProgressState::default();
        let mut logs = |progress: Progress| {
            let count = |state: &ProgressState| {
                state.intervals_logged
                    + state.files.iter().map(|file| file.intervals_logged).sum::<u64>()
            };
            let before = count(&state);
            state.log_if_due(&progress);
            count(&state) > before
        };
        for total in [None, Some(TotalProgress { bytes: 5, size: 9, elapsed: Duration::ZERO })] {
            let after = |secs| {
                let elapsed = Duration::from_secs(secs);
                let total = total.map(|total| TotalProgress { elapsed, ..total });
                Progress { elapsed, total, ..progress(5, None) }
            };
            let logged: Vec<u64> = (0..35).filter(|secs| logs(after(*secs))).collect();
            assert_eq!(logged, [10, 20, 30]);
        }
    }

    #[test]
    fn files_of_several_peers_have_separate_intervals() {
        let mut state = ProgressState::default();
        for round in 0..10 {
            for (port, secs) in [(1, 25), (2, 5)] {
                let (peer, elapsed) = (peer(port), Duration::from_secs(secs));
                state.log_if_due(&Progress { peer, elapsed, ..progress(5, None) });
                let logged: Vec<u64> =
                    state.files.iter().map(|file| file.intervals_logged).collect();
                assert!(logged == [2] || logged == [2, 0], "{round}: {logged:?}");
            }
        }
    }

    #[test]
    fn bars_follow_their_files_up_to_the_limit() {
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
