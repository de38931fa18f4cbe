//! The text of a `packed-refs` file.

use std::io::{self, BufWriter, Write};

use bstr::BString;
use packhouse_object::ObjectId;

const HEADER: &[u8] = b"# pack-refs with: peeled fully-peeled sorted \n";

/// One line of the file, with the peeled value that may follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedRef {
    pub(crate) name: BString,
    pub(crate) target: ObjectId,
    pub(crate) peeled: Peeled,
}

/// What the file says about where a tag leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peeled {
    /// To this object.
    To(ObjectId),
    /// Nowhere: the target is no tag object.
    NoTag,
    /// Nothing: an older Git wrote the file.
    Unknown,
}

/// Writes entries that are sorted and whose peeled values are all known.
pub(crate) fn write_entries<'a>(
    out: &mut dyn Write,
    entries: impl IntoIterator<Item = &'a PackedRef>,
) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    out.write_all(HEADER)?;
    for entry in entries {
        write!(out, "{} ", entry.target)?;
        out.write_all(&entry.name)?;
        out.write_all(b"\n")?;
        if let Peeled::To(peeled) = entry.peeled {
            writeln!(out, "^{peeled}")?;
        }
    }
    out.flush()
}

/// The entries in a text, sorted by name, each name once; or what is wrong with it, and where.
pub(super) fn parse(text: &[u8]) -> Result<Vec<PackedRef>, String> {
    let mut entries: Vec<PackedRef> = Vec::new();
    let mut traits: &[u8] = b"";
    let mut lines = text
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .peekable();
    if let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with(b"#")) {
        traits = line.strip_prefix(b"# pack-refs with:").unwrap_or_default();
    }
    let has = |word: &[u8]| {
        traits
            .split(|&byte| byte.is_ascii_whitespace())
            .any(|part| part == word)
    };
    let (peeled, fully_peeled) = (has(b"peeled"), has(b"fully-peeled"));
    for (number, line) in lines {
        let bad = |reason: &str| format!("line {}: {reason}", number + 1);
        let line = line
            .strip_suffix(b"\n")
            .ok_or_else(|| bad("the line does not end"))?;
        if let Some(digits) = line.strip_prefix(b"^") {
            let last = entries
                .last_mut()
                .ok_or_else(|| bad("a peeled value without a ref"))?;
            last.peeled = Peeled::To(ObjectId::from_hex(digits).map_err(|_| bad("no object id"))?);
            continue;
        }
        let target = line
            .get(..40)
            .and_then(|digits| ObjectId::from_hex(digits).ok())
            .ok_or_else(|| bad("no object id"))?;
        let name = line
            .get(41..)
            .filter(|name| line[40] == b' ' && !name.is_empty())
            .ok_or_else(|| bad("no name"))?;
        let known = fully_peeled || peeled && name.starts_with(b"refs/tags/");
        entries.push(PackedRef {
            name: name.into(),
            target,
            peeled: if known {
                Peeled::NoTag
            } else {
                Peeled::Unknown
            },
        });
    }
    if !entries.is_sorted_by(|a, b| a.name < b.name) {
        // An old Git did not sort by bytes. Of two lines with one name the later one counts.
        entries.reverse();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.dedup_by(|a, b| a.name == b.name);
    }
    Ok(entries)
}

/// Entries for tests.
#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(crate) fn id(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    pub(crate) fn entry(name: &str, target: ObjectId, peeled: Peeled) -> PackedRef {
        PackedRef {
            name: name.into(),
            target,
            peeled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{entry, id};
    use super::*;

    #[test]
    fn older_headers_leave_peeling_unknown_and_order_is_restored() {
        let (one, two) = (id('1'), id('2'));
        let text = format!(
            "# pack-refs with: peeled \n{one} refs/tags/v\n^{two}\n{one} refs/heads/b\n{two} refs/tags/l\n"
        );
        let entries = parse(text.as_bytes()).unwrap();
        let expected = [
            entry("refs/heads/b", one, Peeled::Unknown),
            entry("refs/tags/l", two, Peeled::NoTag),
            entry("refs/tags/v", one, Peeled::To(two)),
        ];
        assert_eq!(entries, expected);
        let text = format!("{one} refs/x\n{two} refs/x\n");
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            [entry("refs/x", two, Peeled::Unknown)]
        );
        for bad in [
            "x",
            "1 refs/x\n",
            &format!("{one}\n"),
            &format!("{one} \n"),
            &format!("{one} refs/x"),
            &format!("^{one}\n"),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
