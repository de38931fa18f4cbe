//! The `object-info` command of version 2: sizes of objects without the objects.

use crate::error::{WireError, quote};
use crate::ids::parse_id;
use crate::pktline::PacketWriter;
use crate::shown::Shown;
use crate::v2::Arguments;

/// Answers `object-info`: a line for each id that is asked about, with its size in bytes if that is wanted and it is there.
pub(crate) fn object_info(
    arguments: &mut Arguments<'_, '_>,
    shown: &Shown<'_>,
    out: &mut PacketWriter<'_>,
) -> Result<(), WireError> {
    let mut ids = Vec::new();
    let mut wants_size = false;
    while let Some(line) = arguments.next()? {
        match line.strip_prefix(b"oid ") {
            Some(hex) => ids.push(parse_id(hex).ok_or_else(|| {
                refused(format!(
                    "protocol error, expected to get oid, not {}",
                    quote(hex)
                ))
            })?),
            None if line == b"size" => wants_size = true,
            None => return Err(refused(format!("unexpected line: {}", quote(line)))),
        }
    }
    if wants_size && !ids.is_empty() {
        out.data(&[b"size"])?;
    }
    for id in ids {
        if !wants_size {
            out.text(format_args!("{id}"))?;
            continue;
        }
        match shown.database().header(&id)? {
            Some(header) => out.text(format_args!("{id} {}", header.size))?,
            None => out.text(format_args!("{id} "))?,
        }
    }
    Ok(out.flush()?)
}

fn refused(message: String) -> WireError {
    WireError::Verbatim(format!("object-info: {message}"))
}
