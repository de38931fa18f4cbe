//! The `fetch` command of version 2.

use packhouse_object::ObjectId;

use crate::error::{WireError, quote};
use crate::ids::parse_id;
use crate::ls_refs::unexpected;
use crate::negotiate::Negotiation;
use crate::pktline::PacketWriter;
use crate::send_pack::{PackRequest, send_pack};
use crate::sideband::Bands;
use crate::source::Source;
use crate::upload_pack::FetchOptions;
use crate::v2::Arguments;

#[derive(Debug, Default)]
struct Fetch {
    wants: Vec<ObjectId>,
    haves: Vec<ObjectId>,
    done: bool,
    wait_for_done: bool,
    thin_pack: bool,
    ofs_delta: bool,
    include_tag: bool,
    no_progress: bool,
}

/// Answers `fetch`: acknowledgments as long as the client is still looking for common commits, then a pack.
pub(crate) fn fetch(
    arguments: &mut Arguments<'_, '_>,
    source: &dyn Source,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let request = parse(arguments, source)?;
    if request.wants.is_empty() && !request.wait_for_done {
        return Ok(());
    }
    let mut negotiation = Negotiation::new(source.database(), &request.wants)?;
    let mut acknowledged = Vec::new();
    for have in &request.haves {
        if negotiation.have(*have)? {
            acknowledged.push(*have);
        }
    }
    let wants_acknowledgments =
        !request.done && (!request.haves.is_empty() || request.wants.is_empty());
    if wants_acknowledgments && !acknowledge(&request, &acknowledged, &mut negotiation, &mut out)? {
        out.flush()?;
        return Ok(out.send()?);
    }
    if wants_acknowledgments {
        out.delim()?;
    }
    out.text(format_args!("packfile\n"))?;
    let pack = PackRequest {
        haves: negotiation.common().to_vec(),
        wants: request.wants,
        include_tags: request.include_tag,
        thin: request.thin_pack,
        ofs_delta: request.ofs_delta,
        progress: !request.no_progress,
        bands: Bands::Large,
    };
    send_pack(pack, source, out, options)
}

/// Writes the acknowledgments section. Returns whether the pack follows in the same answer.
fn acknowledge(
    request: &Fetch,
    acknowledged: &[ObjectId],
    negotiation: &mut Negotiation<'_>,
    out: &mut PacketWriter<'_>,
) -> Result<bool, WireError> {
    out.text(format_args!("acknowledgments\n"))?;
    if acknowledged.is_empty() {
        out.text(format_args!("NAK\n"))?;
    }
    for id in acknowledged {
        out.text(format_args!("ACK {id}\n"))?;
    }
    let ready = !request.wait_for_done && !acknowledged.is_empty() && negotiation.is_ready()?;
    if ready {
        out.text(format_args!("ready\n"))?;
    }
    Ok(ready)
}

fn parse(arguments: &mut Arguments<'_, '_>, source: &dyn Source) -> Result<Fetch, WireError> {
    let mut request = Fetch::default();
    while let Some(line) = arguments.next()? {
        match line {
            b"done" => request.done = true,
            b"wait-for-done" => request.wait_for_done = true,
            b"thin-pack" => request.thin_pack = true,
            b"ofs-delta" => request.ofs_delta = true,
            b"include-tag" => request.include_tag = true,
            b"no-progress" => request.no_progress = true,
            _ => {
                if let Some(hex) = line.strip_prefix(b"want ") {
                    request.wants.push(parse_want(hex, line, source)?);
                } else if let Some(hex) = line.strip_prefix(b"have ") {
                    request.haves.push(parse_have(hex)?);
                } else {
                    // What belongs to capabilities that are not advertised (shallow, filter, …) ends here too.
                    return Err(unexpected(line));
                }
            }
        }
    }
    Ok(request)
}

/// Any object that exists may be wanted, as from git: whoever knows an id has seen what leads to it.
fn parse_want(hex: &[u8], line: &[u8], source: &dyn Source) -> Result<ObjectId, WireError> {
    let id = parse_id(hex).ok_or_else(|| {
        WireError::refused(format!(
            "protocol error, expected to get oid, not {}",
            quote(line)
        ))
    })?;
    match source.database().contains(&id)? {
        true => Ok(id),
        false => Err(not_our_ref(id)),
    }
}

/// The refusal of a want, in the words that clients know.
pub(crate) fn not_our_ref(id: ObjectId) -> WireError {
    WireError::refused(format!("not our ref {id}"))
}

/// The id of a `have` line.
pub(crate) fn parse_have(hex: &[u8]) -> Result<ObjectId, WireError> {
    parse_id(hex)
        .ok_or_else(|| WireError::refused(format!("expected SHA1 object, got {}", quote(hex))))
}
