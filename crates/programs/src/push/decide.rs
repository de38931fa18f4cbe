//! What becomes of the commands of a push: connectivity, hooks, and the moves of their refs, in git's order.

use std::borrow::Cow;
use std::ffi::OsString;

use packhouse_object::{IdSet, ObjectId, ReadError, RefName};
use packhouse_repo::RepoError;
use packhouse_repo::directory::DirectoryError;
use packhouse_wire::{Command, Messages, RefReport};

use super::alias;
use super::certificate;
use super::connected::{is_connected, leads_to_cut};
use super::hook_line::HookLine;
use super::place::option_variables;
use super::proc_receive::{self, Heard, Report};
use super::sink::DirectorySink;
use super::transaction::Ended;
use super::update::{FAILED, Planned, Refusal, check, hook_failed, say_error};
use super::working_copy::Stuck;
use crate::error::{ProgramError, with_causes};
use crate::object_places::{self, with_lender};

/// The reason of every ref when the transaction of all is refused.
const TRANSACTION: &str = "atomic transaction failed";

/// The reason of every other ref when one of an atomic push may not move.
const VICTIM: &str = "atomic push failure";

/// The reason of every ref that the hook which sees them all says no to.
const DECLINED: &str = "pre-receive hook declined";

/// The reason of what the hook for special refs was to do, when it fails.
const HOOK_FAILED: &str = "fail to run proc-receive hook";

/// What becomes of a command, while that is found out: nothing is decided, it fares like another one, whose ref its own
/// stands for, it is refused, or a hook has done it.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Open,
    Follows(usize),
    Refused(Cow<'static, str>),
    Done(Vec<RefReport>),
}

impl Verdict {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Verdict::Open)
    }

    pub(super) fn refuse_if_open(&mut self, reason: &'static str) {
        if self.is_open() {
            *self = Verdict::Refused(reason.into());
        }
    }
}

impl DirectorySink {
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

    /// What hooks are told that look at a push before it is part of the repository.
    fn quarantine_variables(&self) -> Vec<(String, OsString)> {
        let mut variables = self.variables.clone();
        if let Some(incoming) = &self.incoming {
            let path = incoming.path().as_os_str().to_owned();
            let environment = self.place.hooks.environment();
            let lenders = with_lender(environment, &self.place.repository.objects());
            variables.push((object_places::OWN.to_owned(), path.clone()));
            variables.push((object_places::LENDERS.to_owned(), lenders));
            variables.push((object_places::QUARANTINE.to_owned(), path));
        }
        variables
    }

    /// Decides on all of them, and does what is decided.
    pub(super) fn decide(
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
                verdict.refuse_if_open(DECLINED);
            }
            self.victims = Some(DECLINED);
            return Ok(verdicts);
        }
        // What nobody may use stays out: objects that are here count as complete when the next push is looked at.
        if !verdicts.iter().any(Verdict::is_open) {
            self.victims = Some(VICTIM);
            return Ok(verdicts);
        }
        if let Some(incoming) = self.incoming.take() {
            incoming.keep().map_err(RepoError::from)?;
            if !self.cut.is_empty() && self.place.settings.shallow_update {
                self.place.repository.add_shallow(&self.cut)?;
            }
            self.database = self.place.repository.database()?;
        }
        self.check_aliases(commands, &mut verdicts, messages)?;
        let current = self.place.head_branch()?;
        self.run_proc_receive(commands, &mut verdicts, atomic, messages)?;
        match atomic {
            true => self.move_together(commands, &mut verdicts, current.as_ref(), messages)?,
            false => self.move_each(commands, &mut verdicts, current.as_ref(), messages),
        }
        alias::settle(&mut verdicts);
        Ok(verdicts)
    }

    /// Has the hook do what is its own.
    fn run_proc_receive(
        &mut self,
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
        let hooks = &self.place.hooks;
        let options = self.takes_options.then_some(&self.options[..]);
        let heard = proc_receive::run(hooks, commands, &places, atomic, options, messages);
        let Heard {
            reports,
            is_whole,
            went_well,
        } = heard.map_err(hook_failed)?;
        for (at, report) in places.into_iter().zip(reports) {
            verdicts[at] = match report {
                Report::Done(done) => Verdict::Done(done),
                Report::Refused(reason) => Verdict::Refused(reason.into()),
                Report::Ordinary => continue,
                Report::None if is_whole => {
                    Verdict::Refused("proc-receive failed to report status".into())
                }
                Report::None => Verdict::Refused(HOOK_FAILED.into()),
            };
        }
        if !went_well && atomic {
            for verdict in verdicts {
                verdict.refuse_if_open(HOOK_FAILED);
            }
            self.victims = Some(HOOK_FAILED);
        }
        Ok(())
    }

    /// Moves each by itself. One that fails, for whatever reason, is told of, and the others have their turns.
    fn move_each(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) {
        for (command, verdict) in commands.iter().zip(verdicts) {
            if !verdict.is_open() {
                continue;
            }
            let ended = match self.check(command, current, messages) {
                Ok(planned) => self.move_refs(std::slice::from_ref(&planned), messages),
                Err(Refusal::Reason(reason)) => {
                    verdict.refuse_if_open(reason);
                    continue;
                }
                Err(Refusal::Failure(error)) => Err(error),
            };
            match ended {
                Ok(Ended::Moved) => {}
                Ok(Ended::Stuck(Stuck { reason, .. })) => verdict.refuse_if_open(reason),
                Ok(Ended::Refused) => verdict.refuse_if_open(FAILED),
                Err(error) => {
                    say_error(messages, &with_causes(&error));
                    verdict.refuse_if_open(FAILED);
                }
            }
        }
    }

    fn move_together(
        &mut self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<(), ProgramError> {
        let is_refused = |verdict: &Verdict| matches!(verdict, Verdict::Refused(_));
        if verdicts.iter().any(is_refused) {
            for verdict in verdicts {
                verdict.refuse_if_open(VICTIM);
            }
            self.victims.get_or_insert(VICTIM);
            return Ok(());
        }
        if let Some(reason) = self.try_together(commands, verdicts, current, messages)? {
            self.victims = Some(reason);
            // A hook may have done what it was to do: git says this of its refs too.
            for verdict in verdicts {
                if matches!(verdict, Verdict::Open | Verdict::Done(_)) {
                    *verdict = Verdict::Refused(reason.into());
                }
            }
        }
        Ok(())
    }

    /// Moves all that are open in one transaction. If that cannot be, those it fails for are refused, and the reason of
    /// the others is returned.
    fn try_together(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<Option<&'static str>, ProgramError> {
        let mut planned = Vec::with_capacity(commands.len());
        // Whose each of them is.
        let mut places = Vec::with_capacity(commands.len());
        let mut may_move = true;
        for (at, command) in commands.iter().enumerate() {
            if !verdicts[at].is_open() {
                continue;
            }
            match self.check(command, current, messages) {
                Ok(one) => {
                    planned.push(one);
                    places.push(at);
                }
                Err(Refusal::Failure(error)) => return Err(error),
                // Git finds out when it has looked at all of them.
                Err(Refusal::Reason(FAILED)) => may_move = false,
                Err(Refusal::Reason(why)) => {
                    verdicts[at].refuse_if_open(why);
                    return Ok(Some(VICTIM));
                }
            }
        }
        if !may_move {
            return Ok(Some(TRANSACTION));
        }
        Ok(match self.move_refs(&planned, messages)? {
            Ended::Moved => None,
            Ended::Refused => Some(TRANSACTION),
            Ended::Stuck(Stuck { at, reason }) => {
                verdicts[places[at]].refuse_if_open(reason);
                Some(VICTIM)
            }
        })
    }

    fn check(
        &self,
        command: &Command,
        current: Option<&RefName>,
        messages: &dyn Messages,
    ) -> Result<Planned, Refusal> {
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
}
