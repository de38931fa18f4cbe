//! Commits as stores write them, and the messages of those the caller gave none.

use std::time::{SystemTime, UNIX_EPOCH};

use bstr::{BString, ByteSlice};
use packhouse_object::{Commit, ObjectId, Signature};

use super::template::{Value, fill};
use super::{ChangeReport, FileEntry, FileType, Identity, Messages, StoreError};

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

/// The message for a write: the caller's, with its placeholders filled in, or an automatic one.
///
/// A message with a `{` is a template as Python's `str.format` takes it, over `default`, `add_count`, `update_count`,
/// `delete_count`, `total_count` and `op`. An empty one is automatic.
pub fn format_message(
    message: Option<&str>,
    report: &ChangeReport,
    operation: Option<&str>,
    style: Messages,
) -> Result<String, StoreError> {
    match message {
        None | Some("") => Ok(auto_message(report, operation, style)),
        Some(template) if template.contains('{') => fill(template, &|name| {
            Some(match name {
                "default" => Value::Text(auto_message(report, operation, style)),
                "add_count" => Value::Count(report.add.len()),
                "update_count" => Value::Count(report.update.len()),
                "delete_count" => Value::Count(report.delete.len()),
                "total_count" => Value::Count(report.total()),
                "op" => Value::Text(operation.unwrap_or_default().to_owned()),
                _ => return None,
            })
        }),
        Some(message) => Ok(message.to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(add: &[(&str, FileType)], update: &[&str], delete: &[&str]) -> ChangeReport {
        let blob = |path: &&str| FileEntry::new(*path, FileType::Blob);
        ChangeReport {
            add: add
                .iter()
                .map(|(path, of)| FileEntry::new(*path, *of))
                .collect(),
            update: update.iter().map(blob).collect(),
            delete: delete.iter().map(blob).collect(),
            ..ChangeReport::default()
        }
    }

    #[test]
    fn automatic_messages_follow_the_style() {
        use Messages::{Classic, Compact};
        let auto = |report: &ChangeReport, op, style| auto_message(report, op, style);
        let one = report(&[("a", FileType::Executable)], &[], &[]);
        assert_eq!(auto(&one, None, Classic), "Write a");
        assert_eq!(auto(&one, None, Compact), "+ a (executable)");
        let link = report(&[("l", FileType::Link)], &[], &[]);
        assert_eq!(auto(&link, Some("cp"), Compact), "+ l (link)");
        let gone = report(&[], &[], &["old.txt"]);
        assert_eq!(auto(&gone, None, Classic), "Remove old.txt");
        assert_eq!(auto(&gone, None, Compact), "- old.txt");
        assert_eq!(auto(&report(&[], &["u"], &[]), None, Compact), "~ u");
        let mixed = report(&[("a", FileType::Blob), ("b", FileType::Blob)], &[], &["c"]);
        assert_eq!(auto(&mixed, None, Compact), "Batch: +2 -1");
        assert_eq!(auto(&mixed, Some("sync"), Classic), "Batch sync: +2 -1");
        assert_eq!(
            auto(&mixed, None, Classic),
            "Batch: Write a; Write b; Remove c"
        );
        assert_eq!(auto(&report(&[], &[], &[]), None, Classic), "No changes");
    }

    #[test]
    fn templates_are_filled_in_and_mistakes_are_told() {
        let mixed = report(&[("a", FileType::Blob)], &["u"], &[]);
        let format =
            |text| format_message(Some(text), &mixed, Some("cp"), Messages::Compact).unwrap();
        assert_eq!(format("plain"), "plain");
        assert_eq!(format("x }"), "x }");
        assert_eq!(format("{default}!"), "Batch cp: +1 ~1!");
        assert_eq!(
            format("{op} {add_count}{update_count}{delete_count}{total_count} {{x}}"),
            "cp 1102 {x}"
        );
        assert_eq!(format(""), "Batch cp: +1 ~1");
        let fails = |text| format_message(Some(text), &mixed, None, Messages::Compact).unwrap_err();
        assert!(
            matches!(fails("{what}"), StoreError::UnknownPlaceholder { name } if name == "what")
        );
        for bad in ["{", "{default", "{default}}"] {
            assert!(
                matches!(fails(bad), StoreError::BadTemplate { .. }),
                "{bad}"
            );
        }
    }
}
