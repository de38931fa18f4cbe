//! Trees: modes, names, their order, and no name twice.

use std::cmp::Ordering;

use super::{Judge, Link, SyntaxError};
use crate::path::judge_entry;
use crate::{EntryMode, HashKind, ObjectId, ObjectKind};

const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();

pub(super) fn check_tree(
    mut rest: &[u8],
    judge: &mut Judge<'_>,
    mut link: impl FnMut(Link),
) -> Result<(), SyntaxError> {
    let mut order = Order::default();
    while !rest.is_empty() {
        let (entry, tail) = split_entry(rest).ok_or(SyntaxError::BadTree)?;
        rest = tail;
        let (mode, named) = entry.judge(judge)?;
        order
            .check_next(entry.name, mode.is_tree())
            .or_else(&mut *judge)?;
        named.into_iter().for_each(&mut link);
    }
    Ok(())
}

/// Checks a tree that has the names and modes of one which has passed without a fault, and tells of the ids that are not
/// the same: most trees of a history are so made of the one before. `None`: more than ids differs.
pub(crate) fn check_changed_tree(
    passed: &[u8],
    data: &[u8],
    mut link: impl FnMut(Link),
) -> Option<Result<(), SyntaxError>> {
    if passed.len() != data.len() {
        return None;
    }
    let mut start = 0;
    while let Some(at) = first_difference(passed, data, start) {
        // Up to there both have the same entries; which of them it is in the one that passed says.
        let (nul, end) = loop {
            let nul = start + bstr::ByteSlice::find_byte(passed.get(start..)?, 0)?;
            let end = nul + 1 + HASH_LEN;
            if at < end {
                break (nul, end);
            }
            start = end;
        };
        if at <= nul {
            return None;
        }
        let (entry, _) = split_entry(data.get(start..end)?)?;
        match entry.judge(&mut Err) {
            Ok((_, named)) => named.into_iter().for_each(&mut link),
            Err(fault) => return Some(Err(fault)),
        }
        start = end;
    }
    Some(Ok(()))
}

/// Where two pieces of the same length differ first, from `start` on.
fn first_difference(a: &[u8], b: &[u8], start: usize) -> Option<usize> {
    const PIECE: usize = 256;
    let mut at = start;
    let pieces = a
        .get(start..)?
        .chunks(PIECE)
        .zip(b.get(start..)?.chunks(PIECE));
    for (a, b) in pieces {
        if a != b {
            let differs = a.iter().zip(b).position(|(a, b)| a != b);
            return differs.map(|here| at + here);
        }
        at += a.len();
    }
    None
}

struct Entry<'a> {
    mode: &'a [u8],
    name: &'a [u8],
    id: ObjectId,
}

impl Entry<'_> {
    /// Checks all but the order. Returns what it is, and the object that must be there for it.
    fn judge(&self, judge: &mut Judge<'_>) -> Result<(EntryMode, Option<Link>), SyntaxError> {
        if self.mode.starts_with(b"0") {
            judge(SyntaxError::ZeroPaddedMode)?;
        }
        let is_number =
            !self.mode.is_empty() && self.mode.iter().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = EntryMode::from_octal_str(self.mode).ok_or(match is_number {
            true => SyntaxError::BadMode,
            false => SyntaxError::BadTree,
        })?;
        let special = judge_entry(self.name, mode, &mut |fault| judge(fault.into()))?;
        if self.id.is_null() {
            return Err(SyntaxError::NullId);
        }
        let kind = match mode {
            EntryMode::Submodule => return Ok((mode, None)),
            EntryMode::Tree => ObjectKind::Tree,
            EntryMode::Blob | EntryMode::Executable | EntryMode::Symlink => ObjectKind::Blob,
        };
        let id = self.id;
        Ok((mode, Some(Link { id, kind, special })))
    }
}

/// The first entry, and what follows it.
fn split_entry(data: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let space = data.iter().take(16).position(|byte| *byte == b' ')?;
    let (mode, rest) = (&data[..space], &data[space + 1..]);
    let nul = bstr::ByteSlice::find_byte(rest, 0)?;
    let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
    let (id, rest) = rest.split_at_checked(HASH_LEN)?;
    Some((
        Entry {
            mode,
            name,
            id: ObjectId::from_bytes_or_panic(id),
        },
        rest,
    ))
}

/// Git sorts folders as if their names ended with a slash, so that `a` and a folder `a` need not
/// be neighbours: `a-b` goes between.
#[derive(Default)]
struct Order<'a> {
    last: Option<(&'a [u8], bool)>,
    /// Names of files that a folder to come may repeat; each is the start of the next.
    open: Vec<&'a [u8]>,
}

impl<'a> Order<'a> {
    /// Takes the next name, whatever is wrong with it.
    fn check_next(&mut self, name: &'a [u8], is_tree: bool) -> Result<(), SyntaxError> {
        let mut checked = Ok(());
        if let Some((last, last_is_tree)) = self.last.replace((name, is_tree)) {
            if last == name {
                checked = Err(SyntaxError::DuplicateEntries);
            } else if compare(last, last_is_tree, name, is_tree) != Ordering::Less {
                checked = Err(SyntaxError::NotSorted);
            }
        }
        while self.open.last().is_some_and(|open| !name.starts_with(open)) {
            self.open.pop();
        }
        if !is_tree {
            self.open.push(name);
        } else if self.open.last() == Some(&name) {
            checked = checked.and(Err(SyntaxError::DuplicateEntries));
        }
        checked
    }
}

fn compare(a: &[u8], a_is_tree: bool, b: &[u8], b_is_tree: bool) -> Ordering {
    let common = a.len().min(b.len());
    a[..common].cmp(&b[..common]).then_with(|| {
        let after = |name: &[u8], is_tree: bool| {
            name.get(common)
                .copied()
                .unwrap_or(if is_tree { b'/' } else { 0 })
        };
        after(a, a_is_tree).cmp(&after(b, b_is_tree))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut data = Vec::new();
        for (mode, name) in entries {
            data.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            data.extend_from_slice(&[7; HASH_LEN]);
        }
        data
    }

    fn check(entries: &[(&str, &str)]) -> Result<usize, SyntaxError> {
        let mut links = 0;
        check_tree(&tree(entries), &mut Err, |_| links += 1).map(|()| links)
    }

    #[test]
    fn order_is_that_of_git() {
        assert_eq!(
            check(&[("100644", "a"), ("100644", "a-b"), ("40000", "b")]),
            Ok(3)
        );
        assert_eq!(
            check(&[("100644", "a.b"), ("40000", "a"), ("100644", "a0")]),
            Ok(3)
        );
        assert_eq!(
            check(&[("40000", "a"), ("100644", "a.b")]),
            Err(SyntaxError::NotSorted),
            "a folder sorts as `a/`"
        );
    }

    #[test]
    fn a_name_stands_there_once() {
        let duplicate = Err(SyntaxError::DuplicateEntries);
        assert_eq!(check(&[("100644", "a"), ("100755", "a")]), duplicate);
        assert_eq!(
            check(&[("100644", "a"), ("100644", "a-b"), ("40000", "a")]),
            duplicate
        );
        assert_eq!(
            check(&[
                ("100644", "a"),
                ("100644", "a-"),
                ("100644", "a-+"),
                ("40000", "a-")
            ]),
            duplicate
        );
        assert_eq!(
            check(&[("100644", "a"), ("100644", "a-"), ("40000", "a0")]),
            Ok(3)
        );
    }

    #[test]
    fn a_tree_with_other_ids_is_checked_by_them_alone() {
        let names: Vec<String> = (0..40).map(|n| format!("file-{n:02}")).collect();
        let entries: Vec<(&str, &str)> = names.iter().map(|name| ("100644", &name[..])).collect();
        let passed = tree(&entries);
        let len = passed.len() / entries.len();
        let changed = |data: &[u8]| {
            let mut links = Vec::new();
            let checked = check_changed_tree(&passed, data, |link| links.push(link.id));
            checked.map(|checked| checked.map(|()| links))
        };
        assert_eq!(changed(&passed), Some(Ok(Vec::new())));
        for at in 0..passed.len() {
            let mut data = passed.clone();
            data[at] ^= 1;
            let (start, is_id) = (at / len * len, at % len >= len - HASH_LEN);
            let id = ObjectId::from_bytes_or_panic(&data[start + len - HASH_LEN..start + len]);
            assert_eq!(changed(&data), is_id.then(|| Ok(vec![id])), "{at}");
        }
        // Several, next to each other and at both ends; one with a byte in it that ends names.
        let mut data = passed.clone();
        for entry in [0, 1, 20, 39] {
            data[(entry + 1) * len - 1] = 0;
        }
        assert_eq!(
            changed(&data).map(|found| found.map(|ids| ids.len())),
            Some(Ok(4))
        );
        data[20 * len..][len - HASH_LEN..len].fill(0);
        assert_eq!(changed(&data), Some(Err(SyntaxError::NullId)));
        assert_eq!(changed(&passed[..len]), None);
    }

    #[test]
    fn commits_of_other_repositories_are_no_links() {
        assert_eq!(check(&[("100644", "a"), ("160000", "module")]), Ok(1));
    }

    #[test]
    fn a_tree_cut_anywhere_but_between_entries_is_refused() {
        let data = tree(&[("100644", "a"), ("40000", "b")]);
        for len in 0..=data.len() {
            let whole = len == 0 || len == 29 || len == data.len();
            assert_eq!(
                check_tree(&data[..len], &mut Err, |_| {}).is_ok(),
                whole,
                "{len}"
            );
        }
    }
}
