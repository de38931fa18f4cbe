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

impl Row {
    fn markdown(&self) -> String {
        let reached = if self.reached { "yes" } else { "**no**" };
        format!(
            "| {} | {} | {} | {} | {reached} |",
            self.line, self.target, self.ours, self.peer
        )
    }
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
            let _ = writeln!(text, "{}", row.markdown());
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

    /// The page of an earlier run with these rows instead of the ones of the same names, and with the notes of today. A row that
    /// the page does not have is left out: only a whole run tells where it belongs.
    pub(crate) fn put_into(&self, page: &str) -> String {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        let mut text = String::new();
        for line in page.lines() {
            let named = |row: &&Row| line.starts_with(&format!("| {} |", row.line));
            // The names of a line's rows may be the same; they come in the same order.
            match rows.iter().position(named) {
                Some(at) => text.push_str(&rows.remove(at).markdown()),
                None => text.push_str(line),
            }
            text.push('\n');
        }
        let notes = include_str!("notes.md");
        match text.rfind("|\n\n") {
            Some(end) => text[..end + 2].to_owned() + notes,
            None => text,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_some_lines_take_the_places_of_their_older_ones() {
        let row = |line: &str, ours: &str| Row {
            line: line.to_owned(),
            target: "none".to_owned(),
            ours: ours.to_owned(),
            peer: "–".to_owned(),
            reached: true,
        };
        let report = |rows: Vec<Row>| Report {
            rows,
            failures: Vec::new(),
        };
        let first = report(vec![row("a", "1"), row("same", "2"), row("same", "3")]).markdown();
        let now = report(vec![row("same", "4"), row("same", "5"), row("new", "6")]);
        let then = report(vec![row("a", "1"), row("same", "4"), row("same", "5")]).markdown();
        assert_eq!(now.put_into(&first), then);
    }
}
