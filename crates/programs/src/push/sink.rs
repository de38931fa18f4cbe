//! Takes one push into a repository on disk, in the order in which `git receive-pack` does.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use packhouse_object::{Database, IdSet, ObjectId, Progress, ReadError, ReceiveError, RefName};
use packhouse_repo::directory::{DirectoryError, IncomingError, IncomingObjects, RefsMoved};
use packhouse_repo::{RefEdit, RepoError, is_storage_full};
use packhouse_wire::{
    Command, CommandStatus, Messages, ReceiveRequest, RefReport, Sink, SinkError, Source,
    UnpackError,
};

use super::certificate;
use super::connected::{cut_commits, is_connected, leads_to_cut};
use super::hooks::HookCall;
use super::place::{PushPlace, option_variables};
use super::proc_receive::{self, Report};
use super::update::{FAILED, Refusal, check, hook_failed, id_text, say_error};
use crate::error::{ProgramError, with_causes};
use crate::source::ServedSource;

/// The reason of every ref when the transaction of all is refused.
const TRANSACTION: &str = "atomic transaction failed";

/// Accepts one push. Its calls block and run hooks.
#[derive(Debug)]
pub struct DirectorySink {
    place: PushPlace,
    source: ServedSource,
    /// The repository's objects, and those of the push once they came.
    database: Database,
    incoming: Option<IncomingObjects>,
    /// Commits that came without their parents.
    cut: IdSet,
    options: Vec<Vec<u8>>,
    takes_options: bool,
    certificate: Option<packhouse_wire::PushCertificate>,
    /// What hooks that see the whole push are told beside it.
    variables: Vec<(String, OsString)>,
    moved: Vec<HookLine>,
}

/// What becomes of a command, while that is found out: nothing is decided, it is refused, or a hook has done it.
#[derive(Clone, Debug)]
enum Verdict {
    Open,
    Refused(Cow<'static, str>),
    Done(Vec<RefReport>),
}

impl Verdict {
    fn is_open(&self) -> bool {
        matches!(self, Verdict::Open)
    }

    fn refuse_if_open(&mut self, reason: &'static str) {
        if self.is_open() {
            *self = Verdict::Refused(reason.into());
        }
    }
}

/// A move as hooks read it.
#[derive(Clone, Debug)]
struct HookLine {
    name: Vec<u8>,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
}

impl HookLine {
    fn of(command: &Command) -> HookLine {
        HookLine {
            name: command.name.as_bytes().to_vec(),
            old: command.old,
            new: command.new,
        }
    }

    /// What was done in the place of this.
    fn but(&self, report: &RefReport) -> HookLine {
        HookLine {
            name: report.name.clone().unwrap_or_else(|| self.name.clone()),
            old: report.old.or(self.old),
            new: report.new.or(self.new),
        }
    }
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
            moved: Vec::new(),
        })
    }

    /// The verdicts on commands before hooks see them: what they need has to be there.
    fn check_objects(&self, commands: &[Command]) -> Result<Vec<Verdict>, ProgramError> {
        let mut verdicts = vec![Verdict::Open; commands.len()];
        let tips: Vec<ObjectId> = commands.iter().filter_map(|command| command.new).collect();
        let refs = self.source.view().refs();
        let known: Vec<ObjectId> = refs.iter().map(|(_, entry)| entry.target).collect();
        // History may end where the repository knows that it is cut off, and where this push says so; nowhere else.
        let mut cut = self.place.repository.shallow()?;
        cut.extend(&self.cut);
        let connected = |tips: &[ObjectId]| -> Result<bool, ReadError> {
            is_connected(&self.database, tips, &known, &cut, &())
        };
        if !connected(&tips).map_err(RepoError::from)? {
            for (command, verdict) in commands.iter().zip(&mut verdicts) {
                if let Some(new) = command.new
                    && !connected(&[new]).map_err(RepoError::from)?
                {
                    verdict.refuse_if_open("missing necessary objects");
                }
            }
        }
        if !self.cut.is_empty() && !self.place.settings.shallow_update {
            let known: IdSet = known.into_iter().collect();
            for (command, verdict) in commands.iter().zip(&mut verdicts) {
                if let (Some(new), true) = (command.new, verdict.is_open())
                    && leads_to_cut(&self.database, new, &known, &self.cut)
                        .map_err(RepoError::from)?
                {
                    verdict.refuse_if_open("shallow update not allowed");
                }
            }
        }
        Ok(verdicts)
    }

    /// Runs a hook that reads the commands.
    fn run_on_all(
        &self,
        name: &'static str,
        lines: &[HookLine],
        variables: &[(String, OsString)],
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        if lines.is_empty() || !self.place.hooks.has(name) {
            return Ok(true);
        }
        let mut input = Vec::new();
        for HookLine { name, old, new } in lines {
            input.extend_from_slice(format!("{} {} ", id_text(*old), id_text(*new)).as_bytes());
            input.extend_from_slice(name);
            input.push(b'\n');
        }
        let call = HookCall {
            name,
            arguments: Vec::new(),
            variables,
            input: Some(input),
        };
        self.place.hooks.run(call, messages).map_err(hook_failed)
    }

    /// What hooks are told that look at a push before it is part of the repository.
    fn quarantine_variables(&self) -> Vec<(String, OsString)> {
        let mut variables = self.variables.clone();
        if let Some(incoming) = &self.incoming {
            let path = incoming.path().as_os_str().to_owned();
            let objects = self.place.repository.objects().into_os_string();
            variables.push(("GIT_OBJECT_DIRECTORY".to_owned(), path.clone()));
            variables.push(("GIT_ALTERNATE_OBJECT_DIRECTORIES".to_owned(), objects));
            variables.push(("GIT_QUARANTINE_PATH".to_owned(), path));
        }
        variables
    }

    fn decide(
        &mut self,
        commands: &[Command],
        atomic: bool,
        messages: &dyn Messages,
    ) -> Result<Vec<Verdict>, ProgramError> {
        let mut verdicts = self.check_objects(commands)?;
        self.variables = option_variables(&self.options);
        if let Some(certificate) = &self.certificate {
            let told = certificate::variables(
                certificate,
                &self.place.repository.objects(),
                &self.place.signatures,
                self.place.nonce.as_ref(),
            );
            let told = told.map_err(|error| {
                ProgramError::Repo(RepoError::from(DirectoryError::WriteLoose(error)))
            })?;
            self.variables.extend(told);
        }
        let quarantine = self.quarantine_variables();
        let lines: Vec<HookLine> = commands.iter().map(HookLine::of).collect();
        if !self.run_on_all("pre-receive", &lines, &quarantine, messages)? {
            for verdict in &mut verdicts {
                verdict.refuse_if_open("pre-receive hook declined");
            }
            return Ok(verdicts);
        }
        // What nobody may use stays out: objects that are here count as complete when the next push is looked at.
        if !verdicts.iter().any(Verdict::is_open) {
            return Ok(verdicts);
        }
        if let Some(incoming) = self.incoming.take() {
            incoming.keep().map_err(RepoError::from)?;
            if !self.cut.is_empty() && self.place.settings.shallow_update {
                self.place.repository.add_shallow(&self.cut)?;
            }
            self.database = self.place.repository.database()?;
        }
        let current = self.place.head_branch()?;
        self.run_proc_receive(commands, &mut verdicts, atomic, messages)?;
        match atomic {
            true => self.move_together(commands, &mut verdicts, current.as_ref(), messages)?,
            false => self.move_each(commands, &mut verdicts, current.as_ref(), messages)?,
        }
        Ok(verdicts)
    }

    /// Has the hook do what is its own.
    fn run_proc_receive(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        atomic: bool,
        messages: &dyn Messages,
    ) -> Result<(), ProgramError> {
        let places: Vec<usize> = (0..commands.len())
            .filter(|at| verdicts[*at].is_open() && self.place.proc_receive.has(&commands[*at]))
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        let meant: Vec<&Command> = places.iter().map(|at| &commands[*at]).collect();
        let hooks = &self.place.hooks;
        let options = self.takes_options.then_some(&self.options[..]);
        let (reports, went_well) =
            proc_receive::run(hooks, &meant, atomic, options, messages).map_err(hook_failed)?;
        for (at, report) in places.into_iter().zip(reports) {
            verdicts[at] = match report {
                Report::Done(done) => Verdict::Done(done),
                Report::Refused(reason) => Verdict::Refused(reason.into()),
                Report::Ordinary => continue,
                Report::None if went_well => {
                    Verdict::Refused("proc-receive failed to report status".into())
                }
                Report::None => Verdict::Refused("fail to run proc-receive hook".into()),
            };
        }
        if !went_well && atomic {
            for verdict in verdicts {
                verdict.refuse_if_open("fail to run proc-receive hook");
            }
        }
        Ok(())
    }

    fn move_each(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<(), ProgramError> {
        for (command, verdict) in commands.iter().zip(verdicts) {
            if !verdict.is_open() {
                continue;
            }
            match self.check(command, current, messages) {
                Ok(edit) if !self.move_refs(std::slice::from_ref(&edit), messages)? => {
                    verdict.refuse_if_open(FAILED)
                }
                Ok(_) => {}
                Err(Refusal::Reason(reason)) => verdict.refuse_if_open(reason),
                Err(Refusal::Failure(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn move_together(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<(), ProgramError> {
        let mut edits = Vec::with_capacity(commands.len());
        let mut reason = verdicts
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Refused(_)))
            .then_some("atomic push failure");
        if reason.is_none() {
            for (command, verdict) in commands.iter().zip(&mut *verdicts) {
                if !verdict.is_open() {
                    continue;
                }
                match self.check(command, current, messages) {
                    Ok(edit) => edits.push(edit),
                    Err(Refusal::Failure(error)) => return Err(error),
                    Err(Refusal::Reason(why)) => {
                        verdict.refuse_if_open(why);
                        reason = Some("atomic push failure");
                        break;
                    }
                }
            }
        }
        if reason.is_none() && !self.move_refs(&edits, messages)? {
            reason = Some(TRANSACTION);
        }
        if let Some(reason) = reason {
            for verdict in verdicts {
                verdict.refuse_if_open(reason);
            }
        }
        Ok(())
    }

    fn check(
        &self,
        command: &Command,
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<RefEdit, Refusal> {
        // A name may become too long by its namespace.
        let stored = self
            .source
            .stored(command.name.as_bytes())
            .ok_or("funny refname")?;
        check(
            &self.place,
            command,
            &stored,
            &self.database,
            current,
            messages,
        )
    }

    /// Moves refs in one transaction. Returns whether they moved; why not has been told.
    fn move_refs(&self, edits: &[RefEdit], messages: &dyn Messages) -> Result<bool, ProgramError> {
        let mut asked = false;
        let mut broken = None;
        let agreed = &mut || {
            asked = true;
            match self.ask_about(edits, "prepared", messages) {
                Ok(agreed) => agreed,
                Err(error) => {
                    broken = Some(error);
                    false
                }
            }
        };
        let moved = self
            .place
            .repository
            .move_refs(edits, &self.place.who, agreed);
        if let Some(error) = broken {
            return Err(error);
        }
        let refused = match moved {
            Ok(RefsMoved::Moved) => {
                // The refs have moved: what the hook thinks of that changes nothing.
                let _ = self.ask_about(edits, "committed", messages);
                return Ok(true);
            }
            Ok(RefsMoved::Declined) => "ref updates aborted by hook".to_owned(),
            Ok(RefsMoved::Stale { name, found }) => {
                let expected = edits.iter().find(|edit| edit.name == name);
                stale(&name, expected.and_then(|edit| edit.old), found)
            }
            Err(RepoError::Directory(error)) => match refusal(&error) {
                Some(text) => text,
                None => return Err(RepoError::Directory(error).into()),
            },
            Err(error) => return Err(error.into()),
        };
        say_error(messages, &refused);
        if asked {
            let _ = self.ask_about(edits, "aborted", messages);
        }
        Ok(false)
    }

    fn ask_about(
        &self,
        edits: &[RefEdit],
        state: &str,
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        let name = "reference-transaction";
        if !self.place.hooks.has(name) {
            return Ok(true);
        }
        let mut input = Vec::new();
        for RefEdit { name, old, new, .. } in edits {
            input.extend_from_slice(format!("{} {} ", id_text(*old), id_text(*new)).as_bytes());
            input.extend_from_slice(name.as_bytes());
            input.push(b'\n');
        }
        let call = HookCall {
            name,
            arguments: vec![state.into()],
            variables: &[],
            input: Some(input),
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

/// In git's words, where a ref is not where it was expected.
fn stale(name: &RefName, expected: Option<ObjectId>, found: Option<ObjectId>) -> String {
    match (expected, found) {
        (None, _) => format!("cannot lock ref '{name}': reference already exists"),
        (Some(_), None) => {
            format!("cannot lock ref '{name}': unable to resolve reference '{name}'")
        }
        (Some(expected), Some(found)) => {
            format!("cannot lock ref '{name}': is at {found} but expected {expected}")
        }
    }
}

/// What is the push's own fault, or that of others who write at the same time.
fn refusal(error: &DirectoryError) -> Option<String> {
    match error {
        DirectoryError::NameConflict { name, existing } => Some(format!(
            "cannot lock ref '{name}': '{existing}' exists; cannot create '{name}'"
        )),
        DirectoryError::Locked { .. }
        | DirectoryError::EditedTwice { .. }
        | DirectoryError::Damaged { .. } => Some(error.to_string()),
        _ => None,
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

    fn contains(&self, id: ObjectId) -> bool {
        // What cannot be read is not there for this purpose, which is the choice of a message.
        self.database.contains(&id).unwrap_or(false)
    }

    fn unpack(
        &mut self,
        input: &mut dyn Read,
        shallow: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<(), UnpackError> {
        let base = self.database.clone();
        let mut incoming = self.place.repository.incoming().map_err(internal)?;
        let cut_at: IdSet = shallow.iter().copied().collect();
        let limits = &self.place.settings.limits;
        incoming
            .receive(input, &base, limits, &cut_at, progress)
            .map_err(unpack_error)?;
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
                Verdict::Open => {
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

/// A bad pack is the client's to hear about; what went wrong in here is not.
fn unpack_error(error: IncomingError) -> UnpackError {
    match error {
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
