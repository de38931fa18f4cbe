//! The table that a run ends in.

use std::fmt::Write;
use std::process::Command;

/// One line of the table.
pub(crate) struct Row {
    pub line: String,
    pub target: String,
    pub ours: String,
    pub peer: String,
    pub reached: bool,
}

/// All lines of a run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    failures: Vec<(String, String)>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!(
            "  {}: {} (target {}, peer {})",
            row.line, row.ours, row.target, row.peer
        );
        self.rows.push(row);
    }

    pub(crate) fn failed(&mut self, line: &str, error: &str) {
        eprintln!("  {line}: could not be measured: {error}");
        self.failures.push((line.to_owned(), error.to_owned()));
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    pub(crate) fn print(&self) {
        eprint!("{}", self.table());
    }

    fn table(&self) -> String {
        let mut text = String::from(
            "| line | to reach | Packhouse | peer | reached |\n|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let reached = if row.reached { "yes" } else { "**no**" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {reached} |",
                row.line, row.target, row.ours, row.peer
            );
        }
        for (line, error) in &self.failures {
            let _ = writeln!(
                text,
                "| {line} | | could not be measured: {error} | | **no** |"
            );
        }
        text
    }

    /// The whole page.
    pub(crate) fn markdown(&self) -> String {
        let notes = include_str!("notes.md");
        format!(
            "# Benchmarks\n\nWritten by `make bench`; do not edit by hand.\n\n{}\n\n{}{notes}",
            machine(),
            self.table()
        )
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned());
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("MemTotal:")
        .trim()
        .to_owned();
    format!(
        "Machine: {} × {}, {memory}, Linux {}. Server, load generator and peer share it.\n\nVersions: packhouse {}, {}, {}, {}.",
        cores,
        model.unwrap_or_else(|| "unknown processor".to_owned()),
        first_line("uname", &["-r"]),
        env!("CARGO_PKG_VERSION"),
        first_line("git", &["--version"]),
        first_line("nginx", &["-v"]),
        first_line("postgres", &["--version"]),
    )
}

fn first_line(program: &str, args: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(args).output() else {
        return format!("no {program}");
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}
