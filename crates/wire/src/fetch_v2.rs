//! The `fetch` command of version 2.

use std::collections::HashSet;

use packhouse_object::{IdSet, ObjectId};

use crate::error::{WireError, quote};
use crate::fetch_line::{parse_have, read_filter};
use crate::filter_spec::FilterSpec;
use crate::ids::parse_id;
use crate::ls_refs::unexpected;
use crate::negotiate::Negotiation;
use crate::pktline::PacketWriter;
use crate::send_pack::{PackRequest, send_pack};
use crate::shallow_answer::ShallowAnswer;
use crate::shallow_request::ShallowRequest;
use crate::shown::Shown;
use crate::sideband::{self, Bands};
use crate::upload_pack::FetchOptions;
use crate::v2::Arguments;
use crate::walk_progress::WalkProgress;
use crate::wanted_ids::not_our_ref;

/// So many haves are acknowledged as often as the client names them, as by git; of more each is once.
const MAX_REPEATED: usize = 1_000_000;

/// What is asked for. What the client says time and again is kept once, so that memory grows with what it names.
#[derive(Debug, Default)]
struct Fetch {
    wants: Vec<ObjectId>,
    wanted: IdSet,
    /// Refs that were wanted by name, and where each is.
    wanted_refs: Vec<(Vec<u8>, ObjectId)>,
    named: HashSet<Vec<u8>>,
    haves: Vec<ObjectId>,
    had: IdSet,
    done: bool,
    wait_for_done: bool,
    thin_pack: bool,
    ofs_delta: bool,
    include_tag: bool,
    no_progress: bool,
    shallow: ShallowRequest,
    filter: Option<FilterSpec>,
}

impl Fetch {
    fn want(&mut self, id: ObjectId) {
        if self.wanted.insert(id) {
            self.wants.push(id);
        }
    }

    fn have(&mut self, id: ObjectId) {
        if self.had.insert(id) || self.haves.len() < MAX_REPEATED {
            self.haves.push(id);
        }
    }
}

/// Answers `fetch`: acknowledgments as long as the client is still looking for common commits, then a pack.
pub(crate) fn fetch(
    arguments: &mut Arguments<'_, '_>,
    shown: &Shown<'_>,
    mut out: PacketWriter<'_>,
    options: &FetchOptions,
    sideband_all: &mut bool,
) -> Result<(), WireError> {
    let mut request = parse(arguments, shown, options, sideband_all)?;
    if *sideband_all {
        out.set_band(Some(sideband::DATA));
    }
    if request.wants.is_empty() && !request.wait_for_done {
        return Ok(());
    }
    let cut = request.shallow.cut(shown);
    let mut negotiation = Negotiation::new(shown.database(), &request.wants, cut)?;
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
    let shallow = {
        let progress = match *sideband_all {
            true => WalkProgress::in_bands(options, &mut out),
            false => WalkProgress::silent(options),
        };
        let (shallow, wants) = (&request.shallow, &request.wants);
        ShallowAnswer::to(shallow, wants, true, shown, options, &progress)?
    };
    if !request.shallow.is_none() || !shown.shallow().is_empty() {
        out.text(format_args!("shallow-info\n"))?;
        shallow.write(&mut out)?;
        out.delim()?;
    }
    // Behind `shallow-info`, as the protocol has it and its clients read it; git 2.39's own server has them the other way
    // round, so that no shallow clone by want-ref succeeds there.
    write_wanted_refs(&request, &mut out)?;
    out.text(format_args!("packfile\n"))?;
    // What the client has at its old boundary comes first: deltas and comparisons are best there.
    let mut haves = shallow.unshallow;
    haves.extend_from_slice(negotiation.common());
    request.wants.extend(shallow.wants);
    let pack = PackRequest {
        haves,
        wants: request.wants,
        shallow: shallow.cut,
        filter: request.filter,
        include_tags: request.include_tag,
        thin: request.thin_pack,
        ofs_delta: request.ofs_delta,
        progress: !request.no_progress,
        bands: Bands::Large,
    };
    send_pack(pack, shown, out, options)
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

fn write_wanted_refs(request: &Fetch, out: &mut PacketWriter<'_>) -> Result<(), WireError> {
    if request.wanted_refs.is_empty() {
        return Ok(());
    }
    out.text(format_args!("wanted-refs\n"))?;
    for (name, id) in &request.wanted_refs {
        out.data(&[id.to_string().as_bytes(), b" ", name, b"\n"])?;
    }
    Ok(out.delim()?)
}

fn parse(
    arguments: &mut Arguments<'_, '_>,
    shown: &Shown<'_>,
    options: &FetchOptions,
    sideband_all: &mut bool,
) -> Result<Fetch, WireError> {
    let mut request = Fetch::default();
    while let Some(line) = arguments.next()? {
        match line {
            b"done" => request.done = true,
            b"wait-for-done" => request.wait_for_done = true,
            b"thin-pack" => request.thin_pack = true,
            b"ofs-delta" => request.ofs_delta = true,
            b"include-tag" => request.include_tag = true,
            b"no-progress" => request.no_progress = true,
            b"sideband-all" if options.sideband_all => *sideband_all = true,
            _ => take(line, &mut request, shown, options)?,
        }
    }
    request.shallow.check()?;
    Ok(request)
}

/// Takes an argument with a value.
fn take(
    line: &[u8],
    request: &mut Fetch,
    shown: &Shown<'_>,
    options: &FetchOptions,
) -> Result<(), WireError> {
    if let Some(hex) = line.strip_prefix(b"want ") {
        request.want(parse_want(hex, line, shown)?);
    } else if let Some(hex) = line.strip_prefix(b"have ") {
        request.have(parse_have(hex)?);
    } else if let (true, Some(name)) = (options.ref_in_want, line.strip_prefix(b"want-ref ")) {
        let id = shown.find(name).ok_or_else(|| {
            let name = String::from_utf8_lossy(&name[..name.len().min(200)]);
            WireError::Verbatim(format!("unknown ref {name}"))
        })?;
        if request.named.insert(name.to_vec()) {
            request.wanted_refs.push((name.to_vec(), id));
        }
        request.want(id);
    } else if let (true, Some(spec)) = (options.filter.allow, line.strip_prefix(b"filter ")) {
        read_filter(spec, &mut request.filter, options)?;
    } else if !(options.shallow && request.shallow.take(line, shown)?) {
        // What belongs to capabilities that are not advertised ends here too.
        return Err(unexpected(line));
    }
    Ok(())
}

/// Any object that exists may be wanted, as from git: whoever knows an id has seen what leads to it.
fn parse_want(hex: &[u8], line: &[u8], shown: &Shown<'_>) -> Result<ObjectId, WireError> {
    let id = parse_id(hex).ok_or_else(|| {
        WireError::refused(format!(
            "protocol error, expected to get oid, not {}",
            quote(line)
        ))
    })?;
    match shown.database().contains(&id)? {
        true => Ok(id),
        false => Err(not_our_ref(id)),
    }
}
