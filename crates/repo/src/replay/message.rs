//! The messages of commits that are made again, or undone: Git's.

use bstr::{BString, ByteSlice};
use packhouse_object::{Commit, ObjectId};

/// The message of a picked commit that names where it came from.
pub(super) fn with_origin(message: &[u8], origin: ObjectId) -> BString {
    let mut text: BString = message.trim_end_with(|c| c == '\n').into();
    if !text.is_empty() {
        let last = text.lines().next_back().unwrap_or_default();
        // Behind other lines of that kind it stands without a gap.
        let joins = text.find("\n\n").is_some() && is_trailer(last);
        text.extend_from_slice(if joins { b"\n" } else { b"\n\n" });
    }
    text.extend_from_slice(format!("(cherry picked from commit {origin})\n").as_bytes());
    text
}

/// The message of a commit that undoes another; `mainline` is the parent that a merge was compared with.
pub(super) fn of_revert(reverted: &Commit, id: ObjectId, mainline: Option<ObjectId>) -> BString {
    let mut text = BString::from("Revert \"");
    text.extend_from_slice(subject(&reverted.message));
    let mainline = match mainline {
        Some(parent) => format!(", reversing\nchanges made to {parent}"),
        None => String::new(),
    };
    text.extend_from_slice(format!("\"\n\nThis reverts commit {id}{mainline}.\n").as_bytes());
    text
}

/// The first line that is not empty.
pub(super) fn subject(message: &[u8]) -> &[u8] {
    let mut lines = message.lines();
    lines
        .find(|line| !line.trim_ascii().is_empty())
        .unwrap_or_default()
}

fn is_trailer(line: &[u8]) -> bool {
    let is_key = |key: &[u8]| {
        !key.is_empty()
            && key
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    line.starts_with(b"(cherry picked from commit ")
        || line.find_byte(b':').is_some_and(|at| is_key(&line[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_joins_the_trailers() {
        let id = ObjectId::from_hex(b"1111111111111111111111111111111111111111").unwrap();
        let line = format!("(cherry picked from commit {id})\n");
        for (message, start) in [
            ("subject\n", "subject\n\n"),
            ("subject", "subject\n\n"),
            ("fix: subject\n", "fix: subject\n\n"),
            ("subject\n\nbody\n", "subject\n\nbody\n\n"),
            (
                "subject\n\nSigned-off-by: A <a@b>\n",
                "subject\n\nSigned-off-by: A <a@b>\n",
            ),
            ("", ""),
        ] {
            assert_eq!(
                with_origin(message.as_bytes(), id),
                format!("{start}{line}")
            );
        }
    }
}
