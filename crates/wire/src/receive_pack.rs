//! The body of `POST git-receive-pack`: commands and a pack in, a report out.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use packhouse_object::RefName;

use crate::error::{WireError, quote};
use crate::pktline::{PacketReader, PacketWriter};
use crate::push_offer::PushOffer;
use crate::receive_progress::ReceiveProgress;
use crate::receive_request::{ReceiveRequest, RefCommand};
use crate::report::report;
use crate::sideband::Sideband;
use crate::sink::{Command, CommandStatus, Messages, Sink, SinkError, UnpackError};

/// How pushes are answered. What a pack may cost is the sink's matter.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    /// An empty packet is sent when nothing else was for this long while a pack is checked.
    /// Git's `receive.keepAlive`, 5 seconds.
    pub keepalive: Duration,
    /// The most bytes that the commands of one push may take.
    pub max_command_bytes: usize,
    /// Whether no client is told how far the work is; else it is one that asks for quiet.
    pub quiet: bool,
    /// What a client may ask for beside what every client may.
    pub offer: PushOffer,
    /// Set from outside to end the work; a broken output ends it too.
    pub cancelled: Arc<AtomicBool>,
}

impl Default for ReceiveOptions {
    fn default() -> ReceiveOptions {
        ReceiveOptions {
            keepalive: Duration::from_secs(5),
            max_command_bytes: 64 << 20,
            quiet: false,
            offer: PushOffer::default(),
            cancelled: Arc::default(),
        }
    }
}

impl ReceiveOptions {
    /// With no more limits than git has, for a process that works for one client.
    pub fn of_git() -> ReceiveOptions {
        ReceiveOptions {
            max_command_bytes: usize::MAX,
            ..ReceiveOptions::default()
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiveSummary {
    /// Why the pack was not accepted, as the client was told.
    pub unpack_error: Option<String>,
    /// Each command with its status, in the client's order.
    pub commands: Vec<(RefCommand, CommandStatus)>,
}

/// Answers the request in `input` on `out`.
///
/// What the client can be told of an error it has been told when this returns it. The input may not have
/// been read to its end then; who owns the connection drains it, so that the client gets to reading.
pub fn receive_pack(
    input: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    out: &mut (dyn Write + Send),
    options: &ReceiveOptions,
) -> Result<ReceiveSummary, WireError> {
    let mut reader = PacketReader::new(input);
    let request = match ReceiveRequest::read(&mut reader, options) {
        Ok(Some(request)) => request,
        Ok(None) => return Ok(ReceiveSummary::default()),
        Err(error) => {
            let mut writer = PacketWriter::new(out);
            writer.text(format_args!("ERR receive-pack: {}", error.message()))?;
            writer.send()?;
            return Err(error);
        }
    };
    let sideband = Sideband::new(PacketWriter::new(out), request.bands, options.keepalive);
    sink.begin(&request);
    let unpacked = match request.has_pack() {
        true => {
            let is_shown = !(request.quiet || options.quiet);
            let progress = ReceiveProgress::new(&sideband, options, is_shown);
            let unpacked = sink.unpack(reader.rest(), &request.shallow, &progress);
            progress.show_warnings();
            if let Err(UnpackError::Explained { lines, .. }) = &unpacked {
                sideband.progress(lines)?;
            }
            unpacked
        }
        false => Ok(()),
    };
    if options.is_cancelled() || sideband.is_broken() {
        return Err(WireError::Gone(std::io::ErrorKind::BrokenPipe.into()));
    }
    let Updated {
        statuses,
        warnings,
        failure,
    } = match &unpacked {
        Ok(()) => update_refs(&request, sink, &sideband),
        Err(error) => Updated {
            statuses: refuse_all(&request, error),
            warnings: Vec::new(),
            failure: None,
        },
    };
    let unpacked = unpacked.err();
    let unpack_error = unpacked
        .as_ref()
        .filter(|error| !matches!(error, UnpackError::Shallow))
        .map(|error| match error {
            UnpackError::Explained { lines, .. } if !sideband.has_messages() => {
                lines.trim_end().to_owned()
            }
            error => error.to_string(),
        });
    // The client is told what it may know; the caller learns the cause.
    let failure = failure.or(match unpacked {
        Some(UnpackError::Internal(cause)) => Some(SinkError::internal(cause)),
        Some(UnpackError::Full(cause)) => Some(SinkError::full(cause)),
        _ => None,
    });

    for message in messages(&request, &statuses, &warnings) {
        sideband.progress(&message)?;
    }
    if request.report {
        let lines: Vec<_> = request
            .commands
            .iter()
            .map(|command| &command.name[..])
            .zip(statuses.iter().cloned())
            .collect();
        let unpacked = unpack_error.as_deref().map_or(Ok(()), Err);
        let bytes = report(unpacked, &lines, request.reports_others)?;
        sideband.data().write_all(&bytes)?;
        sideband.data().flush()?;
    }
    sink.finish(&sideband);
    sideband.finish()?;
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(ReceiveSummary {
            unpack_error,
            commands: request.commands.into_iter().zip(statuses).collect(),
        }),
    }
}

impl Messages for Sideband<'_> {
    // A failure is remembered by the sideband, and noticed at the end.
    fn show(&self, text: &[u8]) {
        let _ = self.progress_bytes(text);
    }

    fn are_seen(&self) -> bool {
        self.has_messages()
    }

    fn keep_alive(&self) {
        let _ = Sideband::keep_alive(self);
    }
}

/// What a person is told, in the order git tells it: of each command in turn, or, if all are one
/// transaction, of how that ended at the end.
fn messages(
    request: &ReceiveRequest,
    statuses: &[CommandStatus],
    warnings: &[bool],
) -> Vec<String> {
    let mut messages: Vec<(bool, String)> = Vec::new();
    for (index, status) in statuses.iter().enumerate() {
        if warnings.get(index) == Some(&true) {
            messages.push((false, "warning: deleting a non-existent ref\n".to_owned()));
        }
        if let CommandStatus::Rejected {
            detail: Some(detail),
            ..
        } = status
        {
            messages.push((request.atomic, format!("error: {detail}\n")));
        }
    }
    messages.sort_by_key(|(last, _)| *last);
    messages.into_iter().map(|(_, message)| message).collect()
}

fn refuse_all(request: &ReceiveRequest, error: &UnpackError) -> Vec<CommandStatus> {
    let reason = match error {
        UnpackError::Shallow => "shallow update not allowed",
        _ => "unpacker error",
    };
    vec![CommandStatus::rejected(reason); request.commands.len()]
}

/// The reason of a ref that the transaction refuses; a line for a person says more.
const FAILED: &str = "failed to update ref";
/// The reason of every ref of an atomic push whose one transaction was refused.
const TRANSACTION: &str = "atomic transaction failed";
/// The reason of a ref that could have moved, had the push not been atomic.
const VICTIM: &str = "atomic push failure";
/// The end of the reasons for refs of the other namespace. Git looks for them before anything else.
const HIDDEN: &str = "a hidden ref";

/// What is known of a command before the sink is asked.
enum Verdict {
    Rejected(CommandStatus),
    /// It deletes what does not exist.
    NothingToDo,
    Try(Command),
}

/// How updating the refs went.
struct Updated {
    /// One per command.
    statuses: Vec<CommandStatus>,
    /// Which commands deleted what did not exist.
    warnings: Vec<bool>,
    /// The server's own failure.
    failure: Option<SinkError>,
}

fn update_refs(request: &ReceiveRequest, sink: &mut dyn Sink, messages: &dyn Messages) -> Updated {
    if !request.certificate_agrees() {
        let status = CommandStatus::rejected("inconsistent push options");
        return Updated {
            statuses: vec![status; request.commands.len()],
            warnings: Vec::new(),
            failure: None,
        };
    }
    let verdicts = judge(request, sink);
    let warnings = verdicts
        .iter()
        .map(|verdict| matches!(verdict, Verdict::NothingToDo))
        .collect();
    let refused = verdicts
        .iter()
        .any(|verdict| matches!(verdict, Verdict::Rejected(_)));
    let tried: Vec<Command> = match request.atomic && refused {
        true => Vec::new(),
        false => verdicts.iter().filter_map(Verdict::command).collect(),
    };
    let (published, failure) = match tried.len() {
        0 => (Vec::new(), None),
        count => match sink.publish(tried, request.atomic, messages) {
            Ok(statuses) => (statuses, None),
            Err(error) => (
                vec![CommandStatus::rejected(error.told()); count],
                Some(error),
            ),
        },
    };
    let mut published = published.into_iter();
    let others = match failure {
        None if request.atomic => sink.told_of_others(),
        _ => None,
    };
    let statuses = verdicts.into_iter().map(|verdict| match verdict {
        Verdict::Rejected(status) => status,
        Verdict::NothingToDo => match others {
            Some(reason) => CommandStatus::rejected(reason),
            None => CommandStatus::Ok,
        },
        Verdict::Try(_) if request.atomic && refused => CommandStatus::rejected(VICTIM),
        Verdict::Try(_) => published
            .next()
            .unwrap_or_else(|| CommandStatus::rejected("internal error")),
    });
    let statuses = statuses.collect();
    // Of refs that may have moved none is a victim of another.
    let is_unconfirmed = failure.as_ref().is_some_and(SinkError::is_unconfirmed);
    Updated {
        statuses: if request.atomic && !is_unconfirmed && others.is_none() {
            all_or_none(statuses)
        } else {
            statuses
        },
        warnings,
        failure,
    }
}

/// What is reported of an atomic push: git ends it at the first ref it may not update, and speaks of the
/// others as victims; or it gets as far as the transaction, which then fails for all of them.
fn all_or_none(mut statuses: Vec<CommandStatus>) -> Vec<CommandStatus> {
    let first = |is: &dyn Fn(&str) -> bool| {
        statuses.iter().position(
            |status| matches!(status, CommandStatus::Rejected { reason, .. } if is(reason)),
        )
    };
    let forbidden = first(&|reason| !matches!(reason, FAILED | VICTIM | TRANSACTION));
    let Some(culprit) = forbidden.or_else(|| first(&|reason| reason == FAILED)) else {
        return statuses;
    };
    let forbidden = forbidden.is_some();
    for (index, status) in statuses.iter_mut().enumerate() {
        match status {
            CommandStatus::Rejected { reason, .. } if reason.ends_with(HIDDEN) => {}
            CommandStatus::Rejected { reason, .. } if index == culprit => {
                if !forbidden {
                    *reason = TRANSACTION.to_owned();
                }
            }
            other if forbidden => *other = CommandStatus::rejected(VICTIM),
            other => *other = CommandStatus::rejected(TRANSACTION),
        }
    }
    statuses
}

impl Verdict {
    fn command(&self) -> Option<Command> {
        match self {
            Verdict::Try(command) => Some(command.clone()),
            _ => None,
        }
    }
}

fn judge(request: &ReceiveRequest, sink: &dyn Sink) -> Vec<Verdict> {
    let mut times: HashMap<&[u8], u32> = HashMap::new();
    for command in &request.commands {
        *times.entry(&command.name).or_default() += 1;
    }
    request
        .commands
        .iter()
        .map(|command| judge_one(command, times[&command.name[..]] > 1, sink))
        .collect()
}

fn judge_one(command: &RefCommand, repeated: bool, sink: &dyn Sink) -> Verdict {
    let reject = |reason: &str, detail: Option<String>| {
        Verdict::Rejected(CommandStatus::Rejected {
            reason: reason.to_owned(),
            detail,
        })
    };
    let Some(name) = parse_name(command) else {
        let detail = format!(
            "refusing to create funny ref {} remotely",
            quote(&command.name)
        );
        return reject("funny refname", Some(detail));
    };
    if sink.is_hidden(&name) {
        return match command.new {
            Some(_) => reject("deny updating a hidden ref", None),
            None => reject("deny deleting a hidden ref", None),
        };
    }
    if repeated {
        return reject(
            FAILED,
            Some(format!("multiple updates for ref '{name}' not allowed")),
        );
    }
    if command.new.is_none() {
        let known = command.old.is_some_and(|old| sink.contains(old));
        match (sink.find(name.as_bytes()), command.old) {
            (None, _) if sink.is_broken(&name) => {}
            (None, _) if !known => return Verdict::NothingToDo,
            (None, _) => {
                let detail =
                    format!("cannot lock ref '{name}': unable to resolve reference '{name}'");
                return reject(FAILED, Some(detail));
            }
            (Some(_), None) if !sink.deletes_unseen() => {
                return reject(
                    FAILED,
                    Some(format!(
                        "cannot lock ref '{name}': reference already exists"
                    )),
                );
            }
            (Some(_), _) => {}
        }
    }
    Verdict::Try(Command {
        name,
        old: command.old,
        new: command.new,
    })
}

/// The name, if git would take it: below `refs/`, and for a ref that is to exist two levels below.
fn parse_name(command: &RefCommand) -> Option<RefName> {
    let below = command.name.strip_prefix(b"refs/")?;
    if command.new.is_some() && !below.contains(&b'/') {
        return None;
    }
    RefName::parse(&command.name).ok()
}
