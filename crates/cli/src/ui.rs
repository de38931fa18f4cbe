//! What a command shows: its result on stdout, as text or JSON, and its progress on stderr.
//!
//! A result is written once, at the end, so that a program can read it; progress appears only on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::CliError;
use crate::signals;

/// Where results go and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    /// One JSON document instead of text.
    pub(crate) json: bool,
}

impl Ui {
    /// Writes `value` as one line of JSON, or what `text` writes.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let written = if self.json {
            serde_json::to_writer(&mut out, value)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out))
        } else {
            text(&mut out)
        };
        match written.and_then(|()| out.flush()) {
            // The reader has seen enough: `packhouse admin org list | head -1`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(CliError::because(
                "could not write the result",
                &error,
                "check where stdout goes",
            )),
            Ok(()) => Ok(()),
        }
    }

    /// A line on stderr that says what is going on, until the returned value is dropped. From now on Ctrl-C ends
    /// the work in order.
    pub(crate) fn progress(self, doing: impl Into<String>) -> Progress {
        signals::stop_in_order();
        let doing = doing.into();
        if self.json || !io::stderr().is_terminal() {
            return Progress {
                bar: ProgressBar::hidden(),
                doing,
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} [{elapsed}]")
                .expect("the template is a constant and valid"),
        );
        bar.set_message(doing.clone());
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar, doing }
    }
}

/// Work under way; its line disappears when this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    doing: String,
}

impl Progress {
    /// Replaces what the line says.
    pub(crate) fn say(&self, doing: impl Into<String>) {
        self.bar.set_message(doing.into());
    }

    /// Says how much of a step is done; nothing of one that is only beginning.
    pub(crate) fn step(&self, what: &str, done: u64, total: Option<u64>) {
        if self.bar.is_hidden() {
            return;
        }
        match (done, total) {
            (0, _) => self.bar.set_message(format!("{}: {what}", self.doing)),
            _ => self.at(&format!(" {what}"), done, total),
        }
    }

    fn at(&self, what: &str, done: u64, total: Option<u64>) {
        // Called for every object: most calls must cost nothing.
        if !self.bar.is_hidden() && (done.is_multiple_of(1024) || Some(done) == total) {
            let of = total.map_or(String::new(), |total| format!(" of {total}"));
            self.bar
                .set_message(format!("{}:{what} {done}{of}", self.doing));
        }
    }
}

impl packhouse_object::Progress for Progress {
    fn receiving(&self, done: u64, total: u64) {
        self.at(" reading object", done, Some(total));
    }

    fn resolving(&self, done: u64, total: u64) {
        self.at(" resolving delta", done, Some(total));
    }

    fn counting(&self, n: u64) {
        self.at(" found object", n, None);
    }

    fn writing(&self, done: u64, total: u64) {
        self.at(" writing object", done, Some(total));
    }

    fn cancelled(&self) -> bool {
        signals::stopped()
    }
}

impl packhouse_repo::store::StoreProgress for Progress {
    fn step(&self, done: u64, total: Option<u64>) {
        self.at("", done, total);
    }

    fn cancelled(&self) -> bool {
        signals::stopped()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A count of bytes as people read it: `0 B`, `17.2 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with its noun: `1 key`, `2 keys`, `0 repositories`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    match noun.strip_suffix('y') {
        _ if n == 1 => format!("1 {noun}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{n} {stem}ies"),
        _ => format!("{n} {noun}s"),
    }
}

/// Milliseconds since the epoch as RFC 3339 in UTC, to the second.
pub(crate) fn time(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_sizes_keep_one_decimal_and_counts_their_plural() {
        assert_eq!(time(1_700_000_000_999), "2023-11-14T22:13:20Z");
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(4 << 30), "4.0 GiB");
        let counted = [count(1, "ref"), count(0, "key"), count(2, "repository")];
        assert_eq!(counted, ["1 ref", "0 keys", "2 repositories"]);
    }
}
