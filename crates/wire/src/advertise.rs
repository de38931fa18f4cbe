//! The answer to `GET info/refs`: what the server can do and, before version 2, which refs there are.

use std::io::{self, Write};

use packhouse_object::{HashKind, ObjectId};

use crate::capabilities::{AGENT, OBJECT_FORMAT, RECEIVE_PACK, UPLOAD_PACK};
use crate::error::WireError;
use crate::pktline::PacketWriter;
use crate::source::{RefLine, Source};
use crate::version::{Service, Version};

/// Writes the body of `GET info/refs?service=…`.
///
/// There is no version 2 of pushing: a client that asks for it gets version 0, framed as git does.
pub fn advertise(
    service: Service,
    version: Version,
    source: &dyn Source,
    out: &mut (dyn Write + Send),
) -> Result<(), WireError> {
    let mut out = PacketWriter::new(out);
    // The line that announces the service belongs to versions 0 and 1 of the transport.
    if version < Version::V2 {
        out.text(format_args!("# service={}\n", service.as_str()))?;
        out.flush()?;
    }
    match (service, version) {
        (Service::UploadPack, Version::V2) => advertise_v2(&mut out)?,
        (_, version) => {
            if version == Version::V1 {
                out.text(format_args!("version 1\n"))?;
            }
            advertise_refs(service, source, &mut out)?;
        }
    }
    Ok(out.send()?)
}

fn advertise_v2(out: &mut PacketWriter<'_>) -> io::Result<()> {
    out.text(format_args!("version 2\n"))?;
    out.text(format_args!("agent={AGENT}\n"))?;
    out.text(format_args!("ls-refs=unborn\n"))?;
    out.text(format_args!("fetch=wait-for-done\n"))?;
    out.text(format_args!("server-option\n"))?;
    out.text(format_args!("object-format={OBJECT_FORMAT}\n"))?;
    out.flush()
}

fn advertise_refs(
    service: Service,
    source: &dyn Source,
    out: &mut PacketWriter<'_>,
) -> io::Result<()> {
    let head = source
        .head()
        .and_then(|name| Some((source.find(name.as_bytes())?, name)));
    let mut capabilities = match service {
        Service::UploadPack => UPLOAD_PACK.as_bytes().to_vec(),
        Service::ReceivePack => RECEIVE_PACK.as_bytes().to_vec(),
    };
    if let (Service::UploadPack, Some((_, name))) = (service, &head) {
        capabilities.extend_from_slice(b" symref=HEAD:");
        capabilities.extend_from_slice(name.as_bytes());
    }
    write!(capabilities, " object-format={OBJECT_FORMAT} agent={AGENT}")?;

    let mut lines = RefLines {
        out,
        capabilities: Some(capabilities),
    };
    if let (Service::UploadPack, Some((id, _))) = (service, &head) {
        lines.write(*id, &[b"HEAD"])?;
    }
    source.visit(b"", &mut |line: RefLine<'_>| {
        lines.write(line.id, &[line.name])?;
        match (service, line.peeled) {
            (Service::UploadPack, Some(peeled)) => lines.write(peeled, &[line.name, b"^{}"]),
            _ => Ok(()),
        }
    })?;
    if lines.capabilities.is_some() {
        // An empty repository still has to say what it can do.
        lines.write(ObjectId::null(HashKind::Sha1), &[b"capabilities^{}"])?;
    }
    lines.out.flush()
}

/// Writes refs, the capabilities behind the first.
struct RefLines<'a, 'b> {
    out: &'a mut PacketWriter<'b>,
    capabilities: Option<Vec<u8>>,
}

impl RefLines<'_, '_> {
    fn write(&mut self, id: ObjectId, name: &[&[u8]]) -> io::Result<()> {
        let id = id.to_string();
        let mut parts: Vec<&[u8]> = vec![id.as_bytes(), b" "];
        parts.extend_from_slice(name);
        let capabilities = self.capabilities.take();
        if let Some(capabilities) = &capabilities {
            parts.extend_from_slice(&[b"\0", capabilities]);
        }
        parts.push(b"\n");
        self.out.data(&parts)
    }
}
