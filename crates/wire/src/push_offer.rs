//! What a push may ask for, and the refs that its client is shown first.

use std::io::{self, Write};

use packhouse_object::{IdSet, ObjectId};

use crate::advertise::RefLines;
use crate::capabilities::{AGENT, OBJECT_FORMAT, RECEIVE_PACK};
use crate::pktline::PacketWriter;
use crate::source::Source;
use crate::version::Version;

/// What a push may ask for beside what every push may, and what its client learns of beside the refs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushOffer {
    /// All refs or none (`receive.advertiseAtomic`).
    pub atomic: bool,
    /// Deltas that name their base by its place (`repack.useDeltaBaseOffset`).
    pub ofs_delta: bool,
    /// Options for hooks (`receive.advertisePushOptions`).
    pub push_options: bool,
    /// A signed push, whose certificate has to repeat this nonce (`receive.certNonceSeed`).
    pub certificate_nonce: Option<String>,
    /// Names this exchange in logs, and has the client name it too (`transfer.advertiseSID`).
    pub session_id: Option<String>,
    /// Objects that are here with all they reach though no ref says so: those of alternates, and of other namespaces.
    pub haves: Vec<ObjectId>,
    /// Commits whose parents are not here, in a repository whose history is cut off.
    pub shallow: Vec<ObjectId>,
}

impl Default for PushOffer {
    /// Git's: atomic pushes and deltas by offset, no options and no signatures.
    fn default() -> PushOffer {
        PushOffer {
            atomic: true,
            ofs_delta: true,
            push_options: false,
            certificate_nonce: None,
            session_id: None,
            haves: Vec::new(),
            shallow: Vec::new(),
        }
    }
}

impl PushOffer {
    fn capabilities(&self) -> io::Result<Vec<u8>> {
        let mut text = RECEIVE_PACK.as_bytes().to_vec();
        if self.atomic {
            text.extend_from_slice(b" atomic");
        }
        if self.ofs_delta {
            text.extend_from_slice(b" ofs-delta");
        }
        if let Some(nonce) = &self.certificate_nonce {
            write!(text, " push-cert={nonce}")?;
        }
        if self.push_options {
            text.extend_from_slice(b" push-options");
        }
        if let Some(id) = &self.session_id {
            write!(text, " session-id={id}")?;
        }
        write!(text, " object-format={OBJECT_FORMAT} agent={AGENT}")?;
        Ok(text)
    }
}

/// Writes what a push begins with. There is no version 2 of pushing: a client that asks for it gets version 0.
pub(crate) fn offer_push(
    version: Version,
    source: &dyn Source,
    offer: &PushOffer,
    out: &mut PacketWriter<'_>,
) -> io::Result<()> {
    if version == Version::V1 {
        out.text(format_args!("version 1\n"))?;
    }
    let mut lines = RefLines::new(out, offer.capabilities()?);
    let mut seen = IdSet::default();
    let gather = !offer.haves.is_empty();
    source.visit_listed(b"", &mut |line| {
        if gather {
            seen.insert(line.id);
        }
        lines.write(line.id, line.name, b"")
    })?;
    for have in &offer.haves {
        if seen.insert(*have) {
            lines.write(*have, b".have", b"")?;
        }
    }
    lines.finish(&offer.shallow)
}
