//! Files of named parts, behind a table of where they are (`gitformat-chunk(5)`): commit graphs and multi-pack indexes.

use std::ops::Range;

/// The name of a part and where it begins.
const ROW_LEN: usize = 12;

/// The table of the parts of a file, in their order, each with its size. It comes behind a header of this size.
pub(crate) fn table(header_len: usize, parts: &[(&[u8; 4], u64)]) -> Vec<u8> {
    let mut at = (header_len + (parts.len() + 1) * ROW_LEN) as u64;
    let mut table = Vec::with_capacity((parts.len() + 1) * ROW_LEN);
    for (name, len) in parts {
        table.extend_from_slice(&name[..]);
        table.extend_from_slice(&at.to_be_bytes());
        at += len;
    }
    table.extend_from_slice(&[0; 4]);
    table.extend_from_slice(&at.to_be_bytes());
    table
}

/// Where the parts of a file are.
pub(crate) struct Chunks(Vec<([u8; 4], Range<usize>)>);

impl Chunks {
    /// Reads the table of so many parts behind a header. `bytes` are the file without its checksum; every part is within them.
    pub(crate) fn of(bytes: &[u8], header_len: usize, count: usize) -> Option<Chunks> {
        let table_end = header_len + (count + 1) * ROW_LEN;
        let table = bytes.get(header_len..table_end)?;
        let offset = |row: &[u8]| {
            let offset = u64::from_be_bytes(row[4..12].try_into().expect("it has eight bytes"));
            usize::try_from(offset).unwrap_or(usize::MAX)
        };
        let rows: Vec<&[u8]> = table.chunks_exact(ROW_LEN).collect();
        let mut chunks = Vec::with_capacity(count);
        for pair in rows.windows(2) {
            let (start, end) = (offset(pair[0]), offset(pair[1]));
            if start < table_end || start > end || end > bytes.len() {
                return None;
            }
            let name = pair[0][..4].try_into().expect("it has four bytes");
            chunks.push((name, start..end));
        }
        Some(Chunks(chunks))
    }

    /// Where a part is, if there is one of this name.
    pub(crate) fn find(&self, name: &[u8; 4]) -> Option<Range<usize>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, range)| range.clone())
    }

    /// Where a part of this size begins.
    pub(crate) fn sized(&self, name: &[u8; 4], size: usize) -> Option<usize> {
        let found = self.find(name)?;
        (found.len() == size).then_some(found.start)
    }
}
