//! Pushing: the refs to move, and a pack of what the other side lacks.

use std::io::Write;

use packhouse_object::{
    Database, ObjectId, PackOptions, Progress, RefName, Wanted, WritePackError, count_objects,
    write_pack,
};
use packhouse_wire::{AGENT, OBJECT_FORMAT};

use super::advertisement::Advertisement;
use super::lines;
use super::report::read_report;
use crate::remote::conversation::Conversation;
use crate::remote::options::Messages;
use crate::remote::{RemoteError, RemoteOptions};

/// One ref of the other side to move by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEdit {
    /// The ref.
    pub name: RefName,
    /// Where it is; `None`: it does not exist.
    pub old: Option<ObjectId>,
    /// Where it is to go; `None`: it is deleted.
    pub new: Option<ObjectId>,
}

/// What a push is about.
#[derive(Clone, Copy, Debug)]
pub struct PushRequest<'a> {
    /// The refs to move, at most one edit for each.
    pub edits: &'a [PushEdit],
    /// Our objects, among them all that the new targets reach.
    pub database: &'a Database,
    /// All refs move or none, if the other side can promise that.
    pub atomic: bool,
}

/// What became of one ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushStatus {
    /// It moved.
    Ok,
    /// It did not; the reason in the other side's words.
    Rejected(String),
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReport {
    /// One for each edit, in their order.
    pub statuses: Vec<PushStatus>,
    /// Whether the other side promised to move all refs or none.
    pub atomic: bool,
}

impl PushReport {
    /// The refs that did not move, with the reasons.
    pub fn rejected<'a>(
        &'a self,
        edits: &'a [PushEdit],
    ) -> impl Iterator<Item = (&'a RefName, &'a str)> {
        let both = edits.iter().zip(&self.statuses);
        both.filter_map(|(edit, status)| match status {
            PushStatus::Ok => None,
            PushStatus::Rejected(reason) => Some((&edit.name, reason.as_str())),
        })
    }
}

/// Sends edits and pack, and reads what became of them. The edits must not be empty.
pub(crate) fn push(
    conversation: &mut Conversation<'_>,
    advertisement: &Advertisement,
    request: &PushRequest<'_>,
    options: &RemoteOptions,
    progress: &dyn Progress,
) -> Result<PushReport, RemoteError> {
    let failures = conversation.failures.clone();
    let deletes = request.edits.iter().any(|edit| edit.new.is_none());
    if deletes && !advertisement.can("delete-refs") {
        return Err(failures.unsupported("deleting refs"));
    }
    if !advertisement.can("report-status") && !advertisement.can("report-status-v2") {
        return Err(failures.unsupported("telling what became of a push"));
    }
    let atomic = request.atomic && advertisement.can("atomic");
    let bands = advertisement.can("side-band-64k");
    let wants: Vec<ObjectId> = request.edits.iter().filter_map(|edit| edit.new).collect();
    let sends_pack = !wants.is_empty();
    let thin = !advertisement.can("no-thin");
    let refs = advertisement.refs.refs.iter().map(|entry| entry.target);
    let wanted = Wanted {
        wants,
        haves: refs
            .chain(advertisement.extra_haves.iter().copied())
            .collect(),
        include_tags: Vec::new(),
        thin,
    };
    // Before anything is sent: the other side does not wait for ever, and need not see what goes wrong here.
    let counted = count_objects(request.database, &wanted, progress)?;
    let pack_options = PackOptions {
        ofs_delta: advertisement.can("ofs-delta"),
        thin,
    };
    let commands = lines(|out| {
        let mut words = capabilities(advertisement, atomic, bands);
        for edit in request.edits {
            let null = ObjectId::null(packhouse_object::HashKind::Sha1);
            let (old, new) = (edit.old.unwrap_or(null), edit.new.unwrap_or(null));
            let line = format!("{old} {new} ");
            out.data(&[line.as_bytes(), edit.name.as_bytes(), words.as_bytes()])?;
            words.clear();
        }
        out.flush()
    })
    .map_err(|error| failures.io(&error))?;
    let write = Box::new(
        move |out: &mut (dyn Write + Send)| -> Result<(), WritePackError> {
            out.write_all(&commands)?;
            if sends_pack {
                write_pack(request.database, &counted, &pack_options, out, progress)?;
            }
            Ok(())
        },
    );
    let messages: Option<Messages> = options.messages.clone();
    let statuses = conversation.exchange(write, |reader| {
        read_report(reader, bands, request.edits, messages, &failures)
    })?;
    Ok(PushReport { statuses, atomic })
}

fn capabilities(advertisement: &Advertisement, atomic: bool, bands: bool) -> String {
    let mut words = vec![match advertisement.can("report-status-v2") {
        true => "report-status-v2".to_owned(),
        false => "report-status".to_owned(),
    }];
    if bands {
        words.push("side-band-64k".to_owned());
    }
    if atomic {
        words.push("atomic".to_owned());
    }
    if advertisement.can("object-format") {
        words.push(format!("object-format={OBJECT_FORMAT}"));
    }
    if advertisement.can("agent") {
        words.push(format!("agent={AGENT}"));
    }
    format!("\0 {}", words.join(" "))
}
