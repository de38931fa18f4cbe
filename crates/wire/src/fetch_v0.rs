//! A fetch of version 0 or 1: wants with capabilities, then haves, then `done`.
//!
//! Over HTTP every request repeats the wants and what is known to be common, so each is answered alone.

use packhouse_object::{IdSet, ObjectId};

use crate::capabilities::Capabilities;
use crate::error::{WireError, quote};
use crate::fetch_v2::{not_our_ref, parse_have};
use crate::ids::parse_id;
use crate::negotiate::Negotiation;
use crate::pktline::{Packet, PacketReader, PacketWriter};
use crate::reach::unreachable_from;
use crate::send_pack::{PackRequest, send_pack};
use crate::sideband::Bands;
use crate::source::Source;
use crate::upload_pack::FetchOptions;

/// How much the client wants to hear about each of its haves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum MultiAck {
    #[default]
    No,
    Continue,
    Detailed,
}

#[derive(Debug)]
struct Wants {
    ids: Vec<ObjectId>,
    multi_ack: MultiAck,
    no_done: bool,
    thin_pack: bool,
    ofs_delta: bool,
    include_tag: bool,
    progress: bool,
    bands: Bands,
}

/// Answers a request. One without wants, which clients send to try a connection, has an empty answer.
pub(crate) fn serve(
    input: &mut PacketReader<'_>,
    source: &dyn Source,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let Some(wants) = read_wants(input, options)? else {
        return Ok(());
    };
    check_wants(&wants.ids, source)?;
    let mut negotiation = Negotiation::new(source.database(), &wants.ids)?;
    if !negotiate(input, &wants, &mut negotiation, &mut out, options)? {
        return Ok(out.send()?);
    }
    let pack = PackRequest {
        haves: negotiation.common().to_vec(),
        wants: wants.ids,
        include_tags: wants.include_tag,
        thin: wants.thin_pack,
        ofs_delta: wants.ofs_delta,
        progress: wants.progress,
        bands: wants.bands,
    };
    send_pack(pack, source, out, options)
}

fn read_wants(
    input: &mut PacketReader<'_>,
    options: &FetchOptions,
) -> Result<Option<Wants>, WireError> {
    let mut wants: Option<Wants> = None;
    let mut seen = IdSet::default();
    let mut lines = 0;
    while let Some(packet) = input.read()? {
        let Some(line) = packet.text() else {
            return match packet {
                Packet::Flush => Ok(wants),
                _ => Err(WireError::refused("unexpected delimiter packet")),
            };
        };
        lines += 1;
        if lines > options.max_lines {
            return Err(WireError::refused("too many wants"));
        }
        refuse_later(line)?;
        let (id, capabilities) = parse_want(line)?;
        if seen.insert(id) {
            match &mut wants {
                Some(wants) => wants.ids.push(id),
                None => wants = Some(first_want(id, Capabilities::new(capabilities))?),
            }
        }
    }
    match wants {
        None => Ok(None),
        Some(_) => Err(crate::pktline::PacketError::Truncated.into()),
    }
}

/// Lines of capabilities that are not advertised. Clients do not send them unasked; whoever does must not
/// believe that they were heeded.
fn refuse_later(line: &[u8]) -> Result<(), WireError> {
    if line.starts_with(b"filter ") {
        return Err(WireError::refused("filtering capability not negotiated"));
    }
    if line.starts_with(b"shallow ") || line.starts_with(b"deepen") {
        return Err(WireError::refused(format!(
            "shallow capability not negotiated, got {}",
            quote(line)
        )));
    }
    Ok(())
}

fn parse_want(line: &[u8]) -> Result<(ObjectId, &[u8]), WireError> {
    let parsed = line.strip_prefix(b"want ").and_then(|rest| {
        let hex = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
        Some((parse_id(hex)?, &rest[hex.len()..]))
    });
    parsed.ok_or_else(|| {
        WireError::refused(format!(
            "protocol error, expected to get object ID, not {}",
            quote(line)
        ))
    })
}

fn first_want(id: ObjectId, capabilities: Capabilities<'_>) -> Result<Wants, WireError> {
    // Git 2.39 names `filter` here even where it is not offered, and then sends no filter: not a reason to refuse.
    capabilities.check_object_format()?;
    Ok(Wants {
        ids: vec![id],
        multi_ack: match (
            capabilities.has("multi_ack_detailed"),
            capabilities.has("multi_ack"),
        ) {
            (true, _) => MultiAck::Detailed,
            (false, true) => MultiAck::Continue,
            (false, false) => MultiAck::No,
        },
        no_done: capabilities.has("no-done"),
        thin_pack: capabilities.has("thin-pack"),
        ofs_delta: capabilities.has("ofs-delta"),
        include_tag: capabilities.has("include-tag"),
        progress: !capabilities.has("no-progress"),
        bands: match (
            capabilities.has("side-band-64k"),
            capabilities.has("side-band"),
        ) {
            (true, _) => Bands::Large,
            (false, true) => Bands::Small,
            (false, false) => Bands::None,
        },
    })
}

/// Wants must be advertised; or, since a ref may have moved between the advertisement and this request,
/// commits that the refs reach.
fn check_wants(wants: &[ObjectId], source: &dyn Source) -> Result<(), WireError> {
    let mut left: IdSet = wants.iter().copied().collect();
    source.visit(b"", &mut |line| {
        left.remove(&line.id);
        Ok(())
    })?;
    if left.is_empty() {
        return Ok(());
    }
    let mut tips = Vec::new();
    source.visit(b"", &mut |line| {
        tips.push(line.id);
        Ok(())
    })?;
    let foreign = unreachable_from(source.database(), &left, tips)?;
    match wants.iter().find(|want| foreign.contains(*want)) {
        Some(want) => Err(not_our_ref(*want)),
        None => Ok(()),
    }
}

/// Reads haves and acknowledges them. Returns whether it is time for the pack.
fn negotiate(
    input: &mut PacketReader<'_>,
    wants: &Wants,
    negotiation: &mut Negotiation<'_>,
    out: &mut PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<bool, WireError> {
    let mut last_common = None;
    let mut only_common = true;
    let mut sent_ready = false;
    let mut lines = 0;
    while let Some(packet) = input.read()? {
        let Some(line) = packet.text() else {
            if let (MultiAck::Detailed, true, Some(last)) =
                (wants.multi_ack, only_common, last_common)
                && negotiation.is_ready()?
            {
                sent_ready = true;
                out.text(format_args!("ACK {last} ready\n"))?;
            }
            if last_common.is_none() || wants.multi_ack != MultiAck::No {
                out.text(format_args!("NAK\n"))?;
            }
            if let (true, true, Some(last)) = (wants.no_done, sent_ready, last_common) {
                out.text(format_args!("ACK {last}\n"))?;
                return Ok(true);
            }
            // The client looks at the answer and sends another request.
            return Ok(false);
        };
        lines += 1;
        if lines > options.max_lines {
            return Err(WireError::refused("too many haves"));
        }
        if line == b"done" {
            match last_common {
                Some(last) if wants.multi_ack != MultiAck::No => {
                    out.text(format_args!("ACK {last}\n"))?
                }
                Some(_) => {}
                None => out.text(format_args!("NAK\n"))?,
            }
            return Ok(true);
        }
        let hex = line.strip_prefix(b"have ").ok_or_else(|| {
            WireError::refused(format!("expected SHA1 list, got {}", quote(line)))
        })?;
        let id = parse_have(hex)?;
        if negotiation.have(id)? {
            let first = last_common.replace(id).is_none();
            match wants.multi_ack {
                MultiAck::Detailed => out.text(format_args!("ACK {id} common\n"))?,
                MultiAck::Continue => out.text(format_args!("ACK {id} continue\n"))?,
                MultiAck::No if first => out.text(format_args!("ACK {id}\n"))?,
                MultiAck::No => {}
            }
        } else {
            only_common = false;
            // Acknowledging what is not here keeps the client from naming its ancestors.
            if wants.multi_ack != MultiAck::No
                && last_common.is_some()
                && negotiation.is_ready_early()?
            {
                match wants.multi_ack {
                    MultiAck::Detailed => {
                        sent_ready = true;
                        out.text(format_args!("ACK {id} ready\n"))?;
                    }
                    _ => out.text(format_args!("ACK {id} continue\n"))?,
                }
            }
        }
    }
    // The input ended without `done`: the client only wanted to know what is common.
    Ok(false)
}
