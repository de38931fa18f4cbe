//! The `ls-refs` command of version 2.

use std::io;

use packhouse_object::HashKind;

use crate::error::{WireError, quote};
use crate::pktline::PacketWriter;
use crate::shown::Shown;
use crate::source::RefLine;
use crate::upload_pack::UnbornHead;
use crate::v2::Arguments;

/// More prefixes than this are not worth looking at: the client gets every ref and chooses itself, as from git.
const MAX_PREFIXES: usize = 65536;

#[derive(Debug, Default)]
struct LsRefs {
    peel: bool,
    symrefs: bool,
    unborn: bool,
    /// Empty: everything.
    prefixes: Vec<Vec<u8>>,
}

/// Answers `ls-refs`.
pub(crate) fn ls_refs(
    arguments: &mut Arguments<'_, '_>,
    shown: &Shown<'_>,
    unborn: UnbornHead,
    out: &mut PacketWriter<'_>,
) -> Result<(), WireError> {
    let mut request = parse(arguments)?;
    request.unborn &= unborn != UnbornHead::Ignored;
    write_head(&request, shown, out)?;
    for prefix in prefix_ranges(request.prefixes.clone()) {
        shown.visit_listed(&prefix, &mut |line| {
            let target = match request.symrefs {
                true => shown.symbolic_target(line.name),
                false => None,
            };
            let target = target.as_ref().map(|name| name.as_bytes());
            write_ref(&request, line.name, line, target, out)
        })?;
    }
    Ok(out.flush()?)
}

fn parse(arguments: &mut Arguments<'_, '_>) -> Result<LsRefs, WireError> {
    let mut request = LsRefs::default();
    let mut too_many = false;
    while let Some(line) = arguments.next()? {
        match line {
            b"peel" => request.peel = true,
            b"symrefs" => request.symrefs = true,
            b"unborn" => request.unborn = true,
            _ => match line.strip_prefix(b"ref-prefix ") {
                Some(_) if request.prefixes.len() == MAX_PREFIXES => too_many = true,
                Some(prefix) => request.prefixes.push(prefix.to_vec()),
                None => return Err(unexpected(line)),
            },
        }
    }
    if too_many {
        request.prefixes.clear();
    }
    Ok(request)
}

/// The refusal of an argument that a command does not have, in git's words.
pub(crate) fn unexpected(line: &[u8]) -> WireError {
    WireError::refused(format!("unexpected line: {}", quote(line)))
}

fn write_head(request: &LsRefs, shown: &Shown<'_>, out: &mut PacketWriter<'_>) -> io::Result<()> {
    if !request.prefixes.is_empty()
        && !request
            .prefixes
            .iter()
            .any(|prefix| b"HEAD".starts_with(prefix))
    {
        return Ok(());
    }
    let target = shown.head().map(|(name, _)| name);
    let target = target.as_ref().map(|name| name.as_bytes());
    match (shown.head_id(), target) {
        (Some(id), target) => {
            let line = RefLine {
                name: b"HEAD",
                id,
                peeled: None,
            };
            write_ref(request, b"HEAD", line, target, out)
        }
        (None, Some(target)) if request.unborn && request.symrefs => {
            out.data(&[b"unborn HEAD symref-target:", target, b"\n"])
        }
        (None, _) => Ok(()),
    }
}

fn write_ref(
    request: &LsRefs,
    name: &[u8],
    line: RefLine<'_>,
    symref: Option<&[u8]>,
    out: &mut PacketWriter<'_>,
) -> io::Result<()> {
    let symref = symref.filter(|_| request.symrefs);
    let (before_target, target): (&[u8], _) = match symref {
        Some(target) => (b" symref-target:", target),
        None => (b"", &b""[..]),
    };
    let mut hex = HashKind::hex_buf();
    let (before_peeled, peeled): (&[u8], _) = match line.peeled.filter(|_| request.peel) {
        Some(peeled) => (b" peeled:", peeled.hex_to_buf(&mut hex).as_bytes()),
        None => (b"", &b""[..]),
    };
    let parts = [
        b" ",
        name,
        before_target,
        target,
        before_peeled,
        peeled,
        b"\n",
    ];
    out.about(&line.id, &parts)
}

/// The prefixes in byte order, without those that a shorter one covers, so that visiting one after the
/// other yields every ref once and in order. No prefix at all means every ref.
fn prefix_ranges(mut prefixes: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if prefixes.is_empty() {
        return vec![Vec::new()];
    }
    prefixes.sort_unstable();
    let mut ranges: Vec<Vec<u8>> = Vec::new();
    for prefix in prefixes {
        if !ranges.last().is_some_and(|last| prefix.starts_with(last)) {
            ranges.push(prefix);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_select_what_the_prefixes_select_each_once(
            prefixes in prop::collection::vec(prop::collection::vec(b'a'..=b'c', 0..4), 0..6),
            names in prop::collection::btree_set(prop::collection::vec(b'a'..=b'c', 1..6), 0..40),
        ) {
            let expected: Vec<_> = names.iter()
                .filter(|name| prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix)))
                .collect();
            let mut visited = Vec::new();
            for range in prefix_ranges(prefixes.clone()) {
                visited.extend(names.iter().filter(|name| name.starts_with(&range)));
            }
            prop_assert_eq!(visited, expected);
        }
    }
}
