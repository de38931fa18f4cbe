//! What a write has changed or would change: its lines, its JSON form, and its complaints.

use std::io::Write;

use bstr::{BStr, BString};
use packhouse_repo::store::{ChangeError, ChangeKind, ChangeReport, FileEntry, Snapshot, Store};
use serde::Serialize;

use super::failure::Failure;
use super::flags::TagFlags;
use super::output::{self, Format, name_of};
use super::session::{Session, warn};
use crate::error::FAILURE;

/// What a write did, in our own JSON form.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
    dry_run: bool,
    add: Vec<String>,
    update: Vec<String>,
    delete: Vec<String>,
    /// What could not be done, where the command went on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Problem<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Problem<'a>>,
}

/// What was not done as asked, and why.
#[derive(Serialize)]
struct Problem<'a> {
    path: String,
    error: &'a str,
}

/// How paths of a report are shown.
pub(crate) struct Shown<'a> {
    /// What stands before every path: `:`, or a local folder.
    pub(crate) before: &'a BStr,
    /// Whether nothing has been done.
    pub(crate) dry_run: bool,
    /// Past tense of what was done: `Copied`.
    pub(crate) done: &'a str,
    /// How many files that was.
    pub(crate) counted: Counted,
}

/// Which files of a report count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted {
    /// All of them.
    All,
    /// Those written, and not those that went for them.
    Written,
    /// None: what was written was there already.
    Nothing,
}

impl Counted {
    fn count(self, report: &ChangeReport) -> usize {
        match self {
            Counted::All => report.total(),
            Counted::Written => report.add.len() + report.update.len(),
            Counted::Nothing => 0,
        }
    }
}

/// Ends a command that wrote: the lines of a dry run, our JSON form if asked for, and what could not be done.
///
/// # Errors
///
/// Some files could not be handled, or the result not be written.
pub(crate) fn finish(
    session: &Session,
    snapshot: &Snapshot,
    shown: &Shown<'_>,
) -> Result<(), Failure> {
    finish_with(session, snapshot, Some(snapshot), shown)
}

/// As [`finish`], for what came from several commits, so that none is named.
///
/// # Errors
///
/// As [`finish`].
pub(crate) fn finish_of_several(
    session: &Session,
    snapshot: &Snapshot,
    shown: &Shown<'_>,
) -> Result<(), Failure> {
    finish_with(session, snapshot, None, shown)
}

fn finish_with(
    session: &Session,
    snapshot: &Snapshot,
    named: Option<&Snapshot>,
    shown: &Shown<'_>,
) -> Result<(), Failure> {
    let nothing = ChangeReport::default();
    let report = snapshot.changes().unwrap_or(&nothing);
    for warning in &report.warnings {
        warn(format_args!(
            "WARNING: {}: {}",
            warning.path,
            reason(warning)
        ));
    }
    if session.json() {
        let written = Written {
            branch: named.and_then(Snapshot::ref_name).map(str::to_owned),
            commit: named
                .filter(|_| !session.pretends())
                .map(|named| named.commit().to_string()),
            dry_run: shown.dry_run,
            add: paths(&report.add),
            update: paths(&report.update),
            delete: paths(&report.delete),
            errors: problems(&report.errors),
            warnings: problems(&report.warnings),
        };
        output::value(Format::Json, &written, |_| Ok(()))?;
    } else if shown.dry_run {
        lines(report, shown.before)?;
    } else {
        let count = shown.counted.count(report);
        session.tell(format_args!("{} {count} file(s)", shown.done));
    }
    complain(report)
}

fn paths(entries: &[FileEntry]) -> Vec<String> {
    entries.iter().map(|entry| name_of(&entry.path)).collect()
}

fn problems(found: &[ChangeError]) -> Vec<Problem<'_>> {
    let found = found.iter();
    found
        .map(|problem| Problem {
            path: name_of(&problem.path),
            error: reason(problem),
        })
        .collect()
}

/// Why something was not done, without the path, which stands before it.
pub(crate) fn reason(problem: &ChangeError) -> &str {
    let named = format!("{}: ", problem.path);
    problem.error.strip_prefix(&named).unwrap_or(&problem.error)
}

fn lines(report: &ChangeReport, before: &BStr) -> Result<(), Failure> {
    let mut out = output::stdout();
    for action in report.actions() {
        let sign = match action.kind {
            ChangeKind::Add => "+ ",
            ChangeKind::Update => "~ ",
            ChangeKind::Delete => "- ",
        };
        out.write_all(sign.as_bytes())?;
        out.write_all(before)?;
        out.write_all(&action.path)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

fn complain(report: &ChangeReport) -> Result<(), Failure> {
    for error in &report.errors {
        warn(format_args!("ERROR: {}: {}", error.path, reason(error)));
    }
    match report.errors.is_empty() {
        true => Ok(()),
        false => Err(Failure::silent(FAILURE)),
    }
}

/// `+1 ~2 -3`, without what is zero; `no changes` if all is.
pub(crate) fn summary(report: Option<&ChangeReport>) -> String {
    let Some(report) = report else {
        return "no changes".to_owned();
    };
    let counts = [
        ('+', report.add.len()),
        ('~', report.update.len()),
        ('-', report.delete.len()),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    match parts.is_empty() {
        true => "no changes".to_owned(),
        false => parts.join(" "),
    }
}

/// What stands before the paths of a report about `dest`: `:` and the folder.
pub(crate) fn stored_prefix(dest: &[u8]) -> BString {
    let mut prefix = BString::from(":");
    if !dest.is_empty() {
        prefix.extend_from_slice(dest);
        prefix.push(b'/');
    }
    prefix
}

/// Checks that `--tag` can be done, before anything is written.
///
/// # Errors
///
/// The tag exists, or its name is none.
pub(crate) fn check_tag(store: &Store, flags: &TagFlags) -> Result<(), Failure> {
    let Some(name) = &flags.tag else {
        return Ok(());
    };
    store.tags().check_name(name)?;
    match !flags.force_tag && store.tags().contains(name)? {
        true => Err(tag_exists(name, "--force-tag")),
        false => Ok(()),
    }
}

/// Makes the tag of `--tag` at the commit of `snapshot`.
///
/// # Errors
///
/// It exists, or its name is none.
pub(crate) fn tag(
    session: &Session,
    store: &Store,
    snapshot: &Snapshot,
    flags: &TagFlags,
) -> Result<(), Failure> {
    let Some(name) = &flags.tag else {
        return Ok(());
    };
    set_tag(store, name, snapshot, "--force-tag", flags.force_tag)?;
    session.tell(format_args!("Set tag {name}"));
    Ok(())
}

/// Makes a tag, in place of an old one if forced to by `flag`.
///
/// # Errors
///
/// It exists, or its name is none.
pub(crate) fn set_tag(
    store: &Store,
    name: &str,
    snapshot: &Snapshot,
    flag: &str,
    force: bool,
) -> Result<(), Failure> {
    let tags = store.tags();
    if tags.contains(name)? {
        if !force {
            return Err(tag_exists(name, flag));
        }
        tags.delete(name)?;
    }
    tags.set(name, snapshot)?;
    Ok(())
}

fn tag_exists(name: &str, flag: &str) -> Failure {
    Failure::new(format!("Tag already exists: {name}")).hint(format!("{flag} replaces it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_repo::store::FileType;

    #[test]
    fn a_summary_counts_what_changed() {
        let entry = |path: &str| FileEntry::new(path, FileType::Blob);
        let report = ChangeReport {
            add: vec![entry("a")],
            update: vec![entry("b"), entry("c")],
            ..ChangeReport::default()
        };
        assert_eq!(summary(Some(&report)), "+1 ~2");
        assert_eq!(summary(Some(&ChangeReport::default())), "no changes");
        assert_eq!(summary(None), "no changes");
    }

    #[test]
    fn paths_of_a_report_are_below_its_destination() {
        assert_eq!(stored_prefix(b""), ":");
        assert_eq!(stored_prefix(b"a/b"), ":a/b/");
    }
}
