//! The answer to `GET info/refs`: what the server can do and, before version 2, which refs there are.

use std::io::{self, Write};

use packhouse_object::{HashKind, ObjectId};

use crate::capabilities::{AGENT, OBJECT_FORMAT, upload_pack_words};
use crate::error::WireError;
use crate::pktline::PacketWriter;
use crate::push_offer::{PushOffer, offer_push};
use crate::shown::Shown;
use crate::source::{RefLine, Source};
use crate::upload_pack::{FetchOptions, Rounds, UnbornHead};
use crate::version::{Service, Version};

/// Writes the body of `GET info/refs?service=…`, with the default [`FetchOptions`].
///
/// There is no version 2 of pushing: a client that asks for it gets version 0, framed as git does.
pub fn advertise(
    service: Service,
    version: Version,
    source: &dyn Source,
    out: &mut (dyn Write + Send),
) -> Result<(), WireError> {
    match service {
        Service::UploadPack => {
            advertise_upload_pack(version, source, &FetchOptions::default(), out)
        }
        Service::ReceivePack => {
            let mut out = PacketWriter::new(out);
            announce(service, version, &mut out)?;
            offer_push(version, source, &PushOffer::default(), &mut out)?;
            Ok(out.send()?)
        }
    }
}

/// Writes what a fetch begins with: over HTTP ([`Rounds::One`]) the body of `GET info/refs?service=git-upload-pack`,
/// else what a client reads first on its connection. What is offered is what `options` allow.
pub fn advertise_upload_pack(
    version: Version,
    source: &dyn Source,
    options: &FetchOptions,
    out: &mut (dyn Write + Send),
) -> Result<(), WireError> {
    let mut out = PacketWriter::new(out);
    if options.rounds == Rounds::One {
        announce(Service::UploadPack, version, &mut out)?;
    }
    offer_fetch(version, source, options, &mut out)?;
    Ok(out.send()?)
}

/// The line that announces the service belongs to versions 0 and 1 of the transport.
fn announce(service: Service, version: Version, out: &mut PacketWriter<'_>) -> io::Result<()> {
    if version < Version::V2 {
        out.text(format_args!("# service={}\n", service.as_str()))?;
        out.flush()?;
    }
    Ok(())
}

/// Writes what a fetch begins with, without the line that only HTTP has before it.
pub(crate) fn offer_fetch(
    version: Version,
    source: &dyn Source,
    options: &FetchOptions,
    out: &mut PacketWriter<'_>,
) -> io::Result<()> {
    match version {
        Version::V2 => return advertise_v2(options, out),
        Version::V1 => out.text(format_args!("version 1\n"))?,
        Version::V0 => {}
    }
    advertise_refs(&Shown::new(source, &options.hidden), options, out)
}

fn advertise_v2(options: &FetchOptions, out: &mut PacketWriter<'_>) -> io::Result<()> {
    out.text(format_args!("version 2\n"))?;
    out.text(format_args!("agent={AGENT}\n"))?;
    out.text(match options.unborn {
        UnbornHead::Offered => format_args!("ls-refs=unborn\n"),
        UnbornHead::Told | UnbornHead::Ignored => format_args!("ls-refs\n"),
    })?;
    let features = [
        (options.shallow, "shallow"),
        (true, "wait-for-done"),
        (options.filter.allow, "filter"),
        (options.ref_in_want, "ref-in-want"),
        (options.sideband_all, "sideband-all"),
    ];
    let offered = features.iter().filter(|(is_offered, _)| *is_offered);
    let names: Vec<&str> = offered.map(|(_, name)| *name).collect();
    out.text(format_args!("fetch={}\n", names.join(" ")))?;
    out.text(format_args!("server-option\n"))?;
    out.text(format_args!("object-format={OBJECT_FORMAT}\n"))?;
    if let Some(id) = &options.session_id {
        out.text(format_args!("session-id={id}\n"))?;
    }
    if options.object_info {
        out.text(format_args!("object-info\n"))?;
    }
    if options.bundles.is_some() {
        out.text(format_args!("bundle-uri\n"))?;
    }
    out.flush()
}

fn advertise_refs(
    shown: &Shown<'_>,
    options: &FetchOptions,
    out: &mut PacketWriter<'_>,
) -> io::Result<()> {
    let mut lines = RefLines::new(out, upload_pack_words(options, shown));
    if let Some(id) = shown.head_id() {
        lines.write(id, b"HEAD", b"")?;
    }
    shown.visit_listed(b"", &mut |line: RefLine<'_>| {
        lines.write(line.id, line.name, b"")?;
        match line.peeled {
            Some(peeled) => lines.write(peeled, line.name, b"^{}"),
            None => Ok(()),
        }
    })?;
    lines.finish(shown.shallow())
}

/// Writes refs, the capabilities behind the first.
pub(crate) struct RefLines<'a, 'b> {
    out: &'a mut PacketWriter<'b>,
    capabilities: Option<Vec<u8>>,
}

impl<'a, 'b> RefLines<'a, 'b> {
    /// Refs on `out`, the first of them with `capabilities`.
    pub(crate) fn new(out: &'a mut PacketWriter<'b>, capabilities: Vec<u8>) -> RefLines<'a, 'b> {
        RefLines {
            out,
            capabilities: Some(capabilities),
        }
    }

    /// Ends the refs, and says where the repository's own history is cut.
    pub(crate) fn finish(mut self, shallow: &[ObjectId]) -> io::Result<()> {
        if self.capabilities.is_some() {
            // An empty repository still has to say what it can do.
            self.write(ObjectId::null(HashKind::Sha1), b"capabilities^{}", b"")?;
        }
        for id in shallow {
            self.out.text(format_args!("shallow {id}\n"))?;
        }
        self.out.flush()
    }

    /// Writes a ref, with `suffix` behind its name.
    pub(crate) fn write(&mut self, id: ObjectId, name: &[u8], suffix: &[u8]) -> io::Result<()> {
        let capabilities = self.capabilities.take();
        let (before, capabilities): (&[u8], &[u8]) = match &capabilities {
            Some(capabilities) => (b"\0", capabilities),
            None => (b"", b""),
        };
        let parts = [b" ", name, suffix, before, capabilities, b"\n"];
        self.out.about(&id, &parts)
    }
}
