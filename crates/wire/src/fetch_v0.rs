//! A fetch of version 0 or 1: wants with capabilities, then haves, then `done`.
//!
//! Over HTTP every request repeats the wants and what is known to be common, so each is answered alone. On a connection
//! the haves go on behind each answer, until the client says `done`.

use packhouse_object::{IdSet, ObjectId, ReadError};

use crate::capabilities::Capabilities;
use crate::error::{WireError, quote};
use crate::fetch_line::{parse_have, read_filter};
use crate::filter_spec::FilterSpec;
use crate::ids::parse_id;
use crate::negotiate::Negotiation;
use crate::pktline::{Packet, PacketReader, PacketWriter};
use crate::send_pack::{PackRequest, send_pack};
use crate::shallow_answer::ShallowAnswer;
use crate::shallow_request::ShallowRequest;
use crate::shown::Shown;
use crate::sideband::Bands;
use crate::upload_pack::{FetchOptions, Rounds};
use crate::walk_progress::WalkProgress;

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
    offers_filter: bool,
    deepen_relative: bool,
    shallow: ShallowRequest,
    filter: Option<FilterSpec>,
}

/// Answers a request. One without wants, which clients send to try a connection, has an empty answer.
pub(crate) fn serve(
    input: &mut PacketReader<'_>,
    shown: &Shown<'_>,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    let Some(mut wants) = read_wants(input, shown, options)? else {
        return Ok(());
    };
    options.wants.check(&wants.ids, shown, options)?;
    wants.shallow.check()?;
    let progress = WalkProgress::silent(options);
    let shallow = ShallowAnswer::to(&wants.shallow, &wants.ids, false, shown, options, &progress)?;
    if wants.shallow.depth.is_some() || wants.shallow.by_rules() {
        shallow.write(&mut out)?;
        out.flush()?;
        // The client reads this before it says what it has.
        if options.rounds == Rounds::Many {
            out.send()?;
        }
    }
    wants.ids.extend(shallow.wants);
    let mut negotiation = Negotiation::new(shown.database(), &wants.ids, shallow.cut.clone())?;
    if !negotiate(input, &wants, &mut negotiation, &mut out, options)? {
        return Ok(out.send()?);
    }
    let mut haves = shallow.unshallow;
    haves.extend_from_slice(negotiation.common());
    let pack = PackRequest {
        haves,
        wants: wants.ids,
        shallow: shallow.cut,
        filter: wants.filter,
        include_tags: wants.include_tag,
        thin: wants.thin_pack,
        ofs_delta: wants.ofs_delta,
        progress: wants.progress,
        bands: wants.bands,
    };
    send_pack(pack, shown, out, options)
}

fn read_wants(
    input: &mut PacketReader<'_>,
    shown: &Shown<'_>,
    options: &FetchOptions,
) -> Result<Option<Wants>, WireError> {
    let mut wants: Option<Wants> = None;
    let mut shallow = ShallowRequest::default();
    let mut filter = None;
    let mut seen = IdSet::default();
    let mut lines = 0;
    while let Some(packet) = input.read()? {
        let Some(line) = packet.text() else {
            return match packet {
                Packet::Flush => Ok(wants.map(|wants| {
                    shallow.relative |= wants.deepen_relative;
                    Wants {
                        shallow,
                        filter,
                        ..wants
                    }
                })),
                _ => Err(WireError::refused("unexpected delimiter packet")),
            };
        };
        lines += 1;
        if lines > options.max_lines {
            return Err(WireError::refused("too many wants"));
        }
        if options.shallow && shallow.take(line, shown)? {
            continue;
        }
        if let Some(spec) = line.strip_prefix(b"filter ") {
            if !wants.as_ref().is_some_and(|wants| wants.offers_filter) {
                return Err(WireError::refused("filtering capability not negotiated"));
            }
            read_filter(spec, &mut filter, options)?;
            continue;
        }
        refuse_shallow(line)?;
        let (id, capabilities) = parse_want(line)?;
        if seen.insert(id) {
            match &mut wants {
                Some(wants) => wants.ids.push(id),
                None => wants = Some(first_want(id, Capabilities::new(capabilities), options)?),
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
fn refuse_shallow(line: &[u8]) -> Result<(), WireError> {
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

fn first_want(
    id: ObjectId,
    capabilities: Capabilities<'_>,
    options: &FetchOptions,
) -> Result<Wants, WireError> {
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
        // Git 2.39 names `filter` even where it is not offered, and then sends no filter: not a reason to refuse.
        offers_filter: options.filter.allow && capabilities.has("filter"),
        deepen_relative: options.shallow && capabilities.has("deepen-relative"),
        shallow: ShallowRequest::default(),
        filter: None,
    })
}

/// Whether the client need name no more, at the end of its list. Over a connection it may end as many lists as it likes.
fn is_ready_at_flush(negotiation: &mut Negotiation<'_>, rounds: Rounds) -> Result<bool, ReadError> {
    match rounds {
        Rounds::One => negotiation.is_ready(),
        Rounds::Many => negotiation.is_ready_early(),
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
    // Since the last flush, which begins a round.
    let mut got_common = false;
    let mut only_common = true;
    let mut sent_ready = false;
    let mut lines = 0;
    while let Some(packet) = input.read()? {
        let Some(line) = packet.text() else {
            if let (MultiAck::Detailed, true, true, Some(last)) =
                (wants.multi_ack, got_common, only_common, last_common)
                && is_ready_at_flush(negotiation, options.rounds)?
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
            // The client looks at the answer and sends another request, or goes on.
            if options.rounds == Rounds::One {
                return Ok(false);
            }
            out.send()?;
            (got_common, only_common) = (false, true);
            continue;
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
            got_common = true;
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
    match options.rounds {
        // The input ended without `done`: the client only wanted to know what is common.
        Rounds::One => Ok(false),
        Rounds::Many => Err(crate::pktline::PacketError::Truncated.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::tests::history;

    #[test]
    fn lists_of_a_connection_cause_a_bounded_number_of_looks() {
        // A line of commits that the client names one by one, and another root that it wants.
        let last = 200;
        let parents: Vec<Vec<usize>> = (0..=last)
            .map(|number| match number {
                0 => Vec::new(),
                number if number == last => Vec::new(),
                number => vec![number - 1],
            })
            .collect();
        let commits: Vec<(i64, &[usize])> = (0..).zip(parents.iter().map(Vec::as_slice)).collect();
        let (database, ids) = history(&commits);
        let looked_at = |rounds| {
            let wants = [ids[last]];
            let mut negotiation = Negotiation::new(&database, &wants, IdSet::default()).unwrap();
            for have in &ids[..last] {
                negotiation.have(*have).unwrap();
                assert!(!is_ready_at_flush(&mut negotiation, rounds).unwrap());
            }
            negotiation.looked_at()
        };
        assert_eq!(looked_at(Rounds::One), last);
        assert_eq!(looked_at(Rounds::Many), 64);
    }
}
