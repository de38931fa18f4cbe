//! Takes one push into a repository on disk, in the order in which `git receive-pack` does.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use packhouse_object::{Database, IdSet, ObjectId, Progress, ReceiveError, ReceiveLimits, RefName};
use packhouse_repo::directory::{IncomingError, IncomingObjects};
use packhouse_repo::{RepoError, is_storage_full};
use packhouse_wire::{
    Command, CommandStatus, Messages, ReceiveRequest, Sink, SinkError, Source, UnpackError,
};

use super::connected::cut_commits;
use super::decide::Verdict;
use super::hook_line::{HookLine, hook_input};
use super::hooks::HookCall;
use super::place::PushPlace;
use super::update::{hook_failed, say_error};
use crate::error::{ProgramError, with_causes};
use crate::source::ServedSource;

/// Accepts one push. Its calls block and run hooks.
#[derive(Debug)]
pub struct DirectorySink {
    pub(super) place: PushPlace,
    pub(super) source: ServedSource,
    /// The repository's objects, and those of the push once they came.
    pub(super) database: Database,
    pub(super) incoming: Option<IncomingObjects>,
    /// Commits that came without their parents.
    pub(super) cut: IdSet,
    pub(super) options: Vec<Vec<u8>>,
    pub(super) takes_options: bool,
    pub(super) certificate: Option<packhouse_wire::PushCertificate>,
    /// What hooks that see the whole push are told beside it.
    pub(super) variables: Vec<(String, OsString)>,
    /// What refs of an atomic push that was refused are told if nothing else is held against them.
    pub(super) victims: Option<&'static str>,
    moved: Vec<HookLine>,
}

impl DirectorySink {
    pub(super) fn new(place: PushPlace, source: ServedSource) -> Result<DirectorySink, RepoError> {
        Ok(DirectorySink {
            database: place.repository.database()?,
            place,
            source,
            incoming: None,
            cut: IdSet::default(),
            options: Vec::new(),
            takes_options: false,
            certificate: None,
            variables: Vec::new(),
            victims: None,
            moved: Vec::new(),
        })
    }

    /// Runs a hook that reads the commands.
    pub(super) fn run_on_all(
        &self,
        name: &'static str,
        lines: &[HookLine],
        variables: &[(String, OsString)],
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        if lines.is_empty() || !self.place.hooks.has(name) {
            return Ok(true);
        }
        let lines = lines
            .iter()
            .map(|line| (&line.name[..], line.old, line.new));
        let call = HookCall {
            name,
            arguments: Vec::new(),
            variables,
            input: Some(hook_input(lines)),
        };
        self.place.hooks.run(call, messages).map_err(hook_failed)
    }

    /// What `git` does of itself when much has been pushed; without it nothing needs to be done.
    fn look_after(&self, messages: &dyn Messages) {
        let git = |arguments: &[&str]| {
            let call = HookCall {
                name: "git",
                arguments: arguments.iter().map(OsString::from).collect(),
                ..HookCall::default()
            };
            // Not installed, or unhappy: the push is made all the same.
            let _ = self.place.hooks.run_program("git".as_ref(), call, messages);
        };
        if self.place.settings.auto_gc {
            git(&["gc", "--auto", "--quiet"]);
        }
        if self.place.settings.update_server_info {
            git(&["update-server-info"]);
        }
    }
}

impl Sink for DirectorySink {
    fn begin(&mut self, request: &ReceiveRequest) {
        self.options = request.push_options.clone();
        self.takes_options = request.takes_push_options();
        self.certificate = request.certificate.clone();
    }

    fn is_hidden(&self, name: &RefName) -> bool {
        self.source.hides(name.as_bytes())
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.source.find(name)
    }

    fn is_broken(&self, name: &RefName) -> bool {
        self.source.is_broken(&self.place.repository, name)
    }

    fn contains(&self, id: ObjectId) -> bool {
        // What cannot be read is not there for this purpose, which is the choice of a message.
        self.database.contains(&id).unwrap_or(false)
    }

    fn deletes_unseen(&self) -> bool {
        true
    }

    fn unpack(
        &mut self,
        input: &mut dyn Read,
        shallow: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<(), UnpackError> {
        let limits = ReceiveLimits {
            rules: self.place.rules.in_force().map_err(UnpackError::Bad)?,
            ..self.place.settings.limits.clone()
        };
        let base = self.database.clone();
        let mut incoming = self.place.repository.incoming().map_err(internal)?;
        let cut_at: IdSet = shallow.iter().copied().collect();
        let mut input = PackInput::new(input);
        incoming
            .receive(&mut input, &base, &limits, &cut_at, progress)
            .map_err(|error| unpack_error(error, input.objects() <= limits.small_objects))?;
        self.database = incoming.laid_over(&base);
        let known = self.place.repository.shallow().map_err(internal)?;
        self.cut = cut_commits(&self.database, shallow, &known).map_err(internal)?;
        self.incoming = Some(incoming);
        Ok(())
    }

    fn publish(
        &mut self,
        commands: Vec<Command>,
        atomic: bool,
        messages: &dyn Messages,
    ) -> Result<Vec<CommandStatus>, SinkError> {
        let verdicts = self.decide(&commands, atomic, messages).map_err(|error| {
            say_error(messages, &with_causes(&error));
            match is_storage_full(&error) {
                true => SinkError::full(Box::new(error)),
                // Of several refs some may have moved.
                false => SinkError::internal(Box::new(error)),
            }
        })?;
        let mut statuses = Vec::with_capacity(commands.len());
        for (command, verdict) in commands.into_iter().zip(verdicts) {
            statuses.push(match verdict {
                Verdict::Refused(reason) => CommandStatus::rejected(reason),
                Verdict::Open | Verdict::Follows(_) => {
                    self.moved.push(HookLine::of(&command));
                    CommandStatus::Ok
                }
                Verdict::Done(reports) => {
                    let line = HookLine::of(&command);
                    match reports.is_empty() {
                        true => self.moved.push(line),
                        false => self
                            .moved
                            .extend(reports.iter().map(|report| line.but(report))),
                    }
                    CommandStatus::Reported(reports)
                }
            });
        }
        Ok(statuses)
    }

    fn told_of_others(&self) -> Option<&str> {
        self.victims
    }

    fn finish(&mut self, messages: &dyn Messages) {
        let moved = std::mem::take(&mut self.moved);
        // Nothing can be taken back any more: a hook that fails is told of, and that is all.
        let told = self.run_on_all("post-receive", &moved, &self.variables, messages);
        if let Err(error) = told {
            say_error(messages, &with_causes(&error));
        }
        if !moved.is_empty() {
            let call = HookCall {
                name: "post-update",
                arguments: moved
                    .iter()
                    .map(|line| OsStr::from_bytes(&line.name).into())
                    .collect(),
                ..HookCall::default()
            };
            if let Err(error) = self.place.hooks.run(call, messages) {
                say_error(messages, &with_causes(&hook_failed(error)));
            }
        }
        self.look_after(messages);
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> UnpackError {
    match is_storage_full(&error) {
        true => UnpackError::Full(Box::new(error)),
        false => UnpackError::Internal(Box::new(error)),
    }
}

/// A pack on its way in, whose beginning says how many objects it has.
struct PackInput<'a> {
    input: &'a mut dyn Read,
    begin: Vec<u8>,
}

impl<'a> PackInput<'a> {
    const BEGIN_BYTES: usize = 12;

    fn new(input: &'a mut dyn Read) -> PackInput<'a> {
        let begin = Vec::with_capacity(PackInput::BEGIN_BYTES);
        PackInput { input, begin }
    }

    /// How many objects it says to have.
    fn objects(&self) -> u64 {
        match self.begin[..] {
            [_, _, _, _, _, _, _, _, a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
            _ => 0,
        }
    }
}

impl Read for PackInput<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        let missing = PackInput::BEGIN_BYTES - self.begin.len();
        self.begin.extend_from_slice(&out[..count.min(missing)]);
        Ok(count)
    }
}

/// An object that breaks a rule of git's, in its words. It unpacks small packs by another of its programs.
fn fault(id: ObjectId, reason: &dyn Display, last: &str, is_small: bool) -> UnpackError {
    UnpackError::Explained {
        reason: match is_small {
            true => "unpack-objects abnormal exit",
            false => "index-pack abnormal exit",
        },
        lines: format!("error: object {id}: {reason}\nfatal: {last}\n"),
    }
}

/// A bad pack is the client's to hear about; what went wrong in here is not.
fn unpack_error(error: IncomingError, is_small: bool) -> UnpackError {
    match error {
        IncomingError::Pack(ReceiveError::BadObject { id, reason, .. }) => {
            fault(id, &reason, "fsck error in packed object", is_small)
        }
        IncomingError::Pack(ReceiveError::BadSpecialFile { id, reason, .. }) => {
            fault(id, &reason, "fsck error in pack objects", is_small)
        }
        IncomingError::Pack(ReceiveError::PackTooLarge { .. }) => {
            UnpackError::Bad("pack exceeds maximum allowed size".to_owned())
        }
        IncomingError::Pack(
            ReceiveError::Base(_) | ReceiveError::Storage(_) | ReceiveError::Cancelled,
        ) => internal(error),
        IncomingError::Pack(error) => UnpackError::Bad(with_causes(&error)),
        error => internal(error),
    }
}
