//! Commits as stores write them, and the messages of those the caller gave none.

use std::time::{SystemTime, UNIX_EPOCH};

use bstr::{BString, ByteSlice};
use packhouse_object::{Commit, ObjectId, Signature};

use super::{ChangeReport, FileEntry, FileType, Identity, Messages};

/// The commit a store writes: one person, one time in UTC, UTF-8, and a message that ends with one line break.
pub(super) fn new_commit(
    tree: ObjectId,
    parents: Vec<ObjectId>,
    identity: &Identity,
    message: BString,
) -> Commit {
    commit_at(tree, parents, identity, message, now_seconds())
}

pub(super) fn commit_at(
    tree: ObjectId,
    parents: Vec<ObjectId>,
    identity: &Identity,
    mut message: BString,
    seconds: i64,
) -> Commit {
    let kept = message.trim_end_with(|c| c == '\n').len();
    message.truncate(kept);
    // A C string ends at NUL, and so does a message for `git`.
    message.retain(|&byte| byte != 0);
    message.push(b'\n');
    let person = Signature {
        name: identity.name.as_str().into(),
        email: identity.email.as_str().into(),
        seconds,
        offset_minutes: 0,
    };
    Commit {
        tree,
        parents,
        author: person.clone(),
        committer: person,
        extra_headers: vec![("encoding".into(), "UTF-8".into())],
        message,
    }
}

pub(super) fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}

/// How many changes a message lists one by one; more are counted.
const LISTED_MAX: usize = 20;

/// The message for what a report says, where `operation` is the short name of a bulk operation (`cp`, `sync`, …).
pub fn auto_message(report: &ChangeReport, operation: Option<&str>, style: Messages) -> String {
    match (report.total(), operation) {
        (0, _) => "No changes".to_owned(),
        (1, None) => single(report, style),
        (2..=LISTED_MAX, None) if style == Messages::Classic => {
            let listed: Vec<String> = each(report)
                .map(|(sign, entry)| classic(sign, entry))
                .collect();
            format!("Batch: {}", listed.join("; "))
        }
        (1, Some(_)) => single(report, style),
        (_, operation) => {
            let operation = operation.map_or_else(String::new, |name| format!(" {name}"));
            format!("Batch{operation}: {}", counts(report))
        }
    }
}

fn each(report: &ChangeReport) -> impl Iterator<Item = (char, &FileEntry)> {
    let signs = [
        ('+', &report.add),
        ('~', &report.update),
        ('-', &report.delete),
    ];
    signs
        .into_iter()
        .flat_map(|(sign, entries)| entries.iter().map(move |entry| (sign, entry)))
}

fn single(report: &ChangeReport, style: Messages) -> String {
    match (each(report).next(), style) {
        (Some((sign, entry)), Messages::Classic) => classic(sign, entry),
        (Some((sign, entry)), Messages::Compact) => compact(sign, entry),
        (None, _) => "No changes".to_owned(),
    }
}

fn classic(sign: char, entry: &FileEntry) -> String {
    let verb = if sign == '-' { "Remove" } else { "Write" };
    format!("{verb} {}", entry.path)
}

fn compact(sign: char, entry: &FileEntry) -> String {
    let kind = match entry.file_type {
        FileType::Executable if sign != '-' => " (executable)",
        FileType::Link if sign != '-' => " (link)",
        _ => "",
    };
    format!("{sign} {}{kind}", entry.path)
}

fn counts(report: &ChangeReport) -> String {
    let parts = [
        ('+', report.add.len()),
        ('~', report.update.len()),
        ('-', report.delete.len()),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    parts.join(" ")
}
