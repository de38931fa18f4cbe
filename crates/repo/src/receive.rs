//! A push: objects that came in a pack, and the refs to move.
//!
//! The pack was checked before this point; here the refs are decided, on the newest state. The words of a
//! rejection are those of git's receive-pack, which scripts read.

use std::collections::BTreeMap;
use std::sync::Arc;

use packhouse_object::{
    FinishedPack, NewObject, ObjectId, ObjectKind, ReadError, Received, RefName, is_ancestor,
};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::new_commits::{Looked, NewCommits};
use crate::repository::Repository;
use crate::view::View;

/// One ref that a push wants moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The ref.
    pub name: RefName,
    /// Where the client believes it is; `None`: it does not exist.
    pub old: Option<ObjectId>,
    /// Where it is to go; `None`: it is deleted.
    pub new: Option<ObjectId>,
}

/// A push to decide on.
pub struct Push {
    /// The refs to move.
    pub commands: Vec<Command>,
    /// The objects that came with it.
    pub received: Option<Received>,
    /// Move all refs or none.
    pub atomic: bool,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who pushed, for the reflog.
    pub who: String,
}

/// How a ref would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefChange {
    /// It does not exist yet.
    Create,
    /// It moves to a descendant.
    FastForward,
    /// It moves to something else, losing commits.
    Force,
    /// It goes away.
    Delete,
}

/// What a caller may do to refs.
pub trait RefPolicy: Send + Sync {
    /// Whether `name` may change in this way, to what is made here and now if it goes to anything; the error is the
    /// reason as git shows it.
    fn allows(&self, name: &RefName, change: RefChange) -> Result<(), String>;

    /// The same where it goes to what others made, so that a policy can look at the commits.
    fn allows_commits(
        &self,
        name: &RefName,
        change: RefChange,
        _commits: &NewCommits<'_>,
    ) -> Result<Result<(), String>, ReadError> {
        Ok(self.allows(name, change))
    }
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    /// The ref moved.
    Ok,
    /// It did not; the reason as git shows it.
    Rejected(String),
}

impl Repository {
    /// Decides a push. The answer has one status per command, in their order.
    ///
    /// A ref that is deleted to make room for one above or below it goes first, unless the push is atomic:
    /// one transaction cannot hold both, as in git.
    pub async fn receive(&self, push: Push) -> Result<Vec<CommandStatus>, RepoError> {
        let Push {
            commands,
            received,
            atomic,
            policy,
            who,
        } = push;
        let (objects, packs) = match received {
            Some(Received::Small(objects)) => (objects, Vec::new()),
            Some(Received::Large(pack)) => (Vec::new(), vec![pack]),
            None => (Vec::new(), Vec::new()),
        };
        let first = match atomic {
            true => Vec::new(),
            false => making_room(&commands),
        };
        if first.is_empty() {
            let refs = RefMoves {
                commands,
                atomic,
                policy,
                who: &who,
            };
            return self.move_refs(refs, objects, packs).await;
        }
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for (position, command) in commands.into_iter().enumerate() {
            match first.contains(&position) {
                true => early.push(command),
                false => late.push(command),
            }
        }
        let refs = |commands| RefMoves {
            commands,
            atomic,
            policy: policy.clone(),
            who: &who,
        };
        let deleted = self.move_refs(refs(early), Vec::new(), Vec::new()).await?;
        let late_len = late.len();
        let mut statuses = match self.move_refs(refs(late), objects, packs).await {
            // What was deleted is.
            Err(RepoError::Vanished { .. }) => {
                vec![CommandStatus::Rejected("missing necessary objects".to_owned()); late_len]
            }
            statuses => statuses?,
        };
        for (position, status) in first.into_iter().zip(deleted) {
            statuses.insert(position, status);
        }
        Ok(statuses)
    }

    async fn move_refs(
        &self,
        refs: RefMoves<'_>,
        objects: Vec<NewObject>,
        packs: Vec<FinishedPack>,
    ) -> Result<Vec<CommandStatus>, RepoError> {
        let RefMoves {
            commands,
            atomic,
            policy,
            who,
        } = refs;
        let decided = self
            .publish(who, packs, move |view| {
                decide(view, &commands, &objects, atomic, policy.as_ref())
            })
            .await;
        match decided {
            Ok((statuses, _)) => Ok(statuses),
            // It was there when the push was found complete.
            Err(PublishError::Refused(ReadError::NotFound { id })) => {
                Err(RepoError::Vanished { id })
            }
            Err(PublishError::Refused(error)) => Err(error.into()),
            Err(PublishError::Repo(error)) => Err(error),
        }
    }
}

/// The part of a push that is about refs.
struct RefMoves<'a> {
    commands: Vec<Command>,
    atomic: bool,
    policy: Arc<dyn RefPolicy>,
    who: &'a str,
}

/// The positions of deletions that a later command needs done before it can have its name.
fn making_room(commands: &[Command]) -> Vec<usize> {
    let creations: BTreeMap<&[u8], usize> = commands
        .iter()
        .enumerate()
        .filter(|(_, command)| command.new.is_some())
        .map(|(position, command)| (command.name.as_bytes(), position))
        .collect();
    let is_later =
        |position: usize, name: &[u8]| creations.get(name).is_some_and(|at| *at > position);
    let makes_room = |position: usize, name: &[u8]| {
        let mut above = name
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &name[..at]);
        let inside = [name, b"/"].concat();
        above.any(|name| is_later(position, name))
            || creations
                .range(&inside[..]..)
                .take_while(|(name, _)| name.starts_with(&inside))
                .any(|(name, _)| is_later(position, name))
    };
    commands
        .iter()
        .enumerate()
        .filter(|(position, command)| {
            command.new.is_none() && makes_room(*position, command.name.as_bytes())
        })
        .map(|(position, _)| position)
        .collect()
}

fn decide(
    view: &View,
    commands: &[Command],
    objects: &[NewObject],
    atomic: bool,
    policy: &dyn RefPolicy,
) -> Result<(Change, Vec<CommandStatus>), ReadError> {
    // Later commands see what earlier ones did to names: creating `a/b` after deleting `a` is legal.
    let mut trial = view.with_change(
        &Change {
            objects: objects.to_vec(),
            edits: Vec::new(),
        },
        0,
    )?;
    let mut edits = Vec::new();
    let mut statuses = Vec::with_capacity(commands.len());
    let looked = Looked::default();
    for command in commands {
        let checked = match atomic
            .then(|| conflict_within(view, commands, command))
            .flatten()
        {
            Some(reason) => Err(reason),
            None => check(&trial, view, command, policy, &looked)?,
        };
        match checked {
            Ok(edit) => {
                if let Some(edit) = edit {
                    trial = trial.with_change(
                        &Change {
                            objects: Vec::new(),
                            edits: vec![edit.clone()],
                        },
                        0,
                    )?;
                    edits.push(edit);
                }
                statuses.push(CommandStatus::Ok);
            }
            Err(reason) => statuses.push(CommandStatus::Rejected(reason)),
        }
    }
    if atomic && statuses.iter().any(|status| *status != CommandStatus::Ok) {
        edits.clear();
        for status in &mut statuses {
            if *status == CommandStatus::Ok {
                *status = CommandStatus::Rejected("atomic push failure".to_owned());
            }
        }
    }
    if edits.is_empty() {
        return Ok((Change::default(), statuses));
    }
    let mut new_objects = Vec::new();
    for object in objects {
        // The database knows the empty tree by heart; git wants it stored where something names it.
        if object.id.is_empty_tree() || !view.database().contains(&object.id)? {
            new_objects.push(object.clone());
        }
    }
    Ok((
        Change {
            objects: new_objects,
            edits,
        },
        statuses,
    ))
}

/// Why a ref cannot be created by a transaction that also deletes what is in its way.
fn conflict_within(view: &View, commands: &[Command], command: &Command) -> Option<String> {
    let name = &command.name;
    command.new?;
    let other = view.refs().in_the_way(name)?;
    commands
        .iter()
        .any(|command| command.name == other && command.new.is_none())
        .then(|| format!("cannot lock ref '{name}': '{other}' exists; cannot create '{name}'"))
}

/// The edit a command comes to (`None`: nothing to do), or why not.
fn check(
    trial: &View,
    before: &View,
    command: &Command,
    policy: &dyn RefPolicy,
    looked: &Looked,
) -> Result<Result<Option<RefEdit>, String>, ReadError> {
    let name = &command.name;
    let found = trial.refs().get(name).map(|entry| entry.target);
    let Some(new) = command.new else {
        if found.is_none() {
            // Git warns and reports success.
            return Ok(Ok(None));
        }
        if before.head() == name {
            return Ok(Err("deletion of the current branch prohibited".to_owned()));
        }
        return Ok(stale(name, command.old, found).and_then(|()| {
            policy.allows(name, RefChange::Delete)?;
            Ok(Some(edit(command)))
        }));
    };
    if let Err(reason) = stale(name, command.old, found) {
        return Ok(Err(reason));
    }
    let Some(header) = trial.database().header(&new)? else {
        return Ok(Err("missing necessary objects".to_owned()));
    };
    if name.branch_short().is_some() && header.kind != ObjectKind::Commit {
        return Ok(Err(format!(
            "cannot update ref '{name}': trying to write non-commit object {new} to branch '{name}'"
        )));
    }
    if header.kind == ObjectKind::Tag {
        match trial.database().peel(new) {
            Ok(_) => {}
            Err(error @ ReadError::TagsTooDeep { .. }) => {
                return Ok(Err(format!("cannot update ref '{name}': {error}")));
            }
            Err(error) => return Err(error),
        }
    }
    let change = match found {
        None => {
            if let Some(by) = trial.refs().in_the_way(name) {
                return Ok(Err(format!(
                    "cannot lock ref '{name}': '{by}' exists; cannot create '{name}'"
                )));
            }
            RefChange::Create
        }
        Some(old) if old == new => RefChange::FastForward,
        Some(old) => match is_fast_forward(trial, old, new)? {
            true => RefChange::FastForward,
            false => RefChange::Force,
        },
    };
    let commits = NewCommits::new(before, trial.database(), found, new).among(looked);
    let allowed = policy.allows_commits(name, change, &commits)?;
    Ok(allowed.map(|()| Some(edit(command))))
}

fn is_fast_forward(view: &View, old: ObjectId, new: ObjectId) -> Result<bool, ReadError> {
    let database = view.database();
    let ((old, old_kind), (new, new_kind)) = (database.peel(old)?, database.peel(new)?);
    if old_kind != ObjectKind::Commit || new_kind != ObjectKind::Commit {
        return Ok(false);
    }
    is_ancestor(database, old, new)
}

fn stale(
    name: &RefName,
    expected: Option<ObjectId>,
    found: Option<ObjectId>,
) -> Result<(), String> {
    match (expected, found) {
        (expected, found) if expected == found => Ok(()),
        (None, Some(_)) => Err(format!(
            "cannot lock ref '{name}': reference already exists"
        )),
        (Some(_), None) => Err(format!(
            "cannot lock ref '{name}': unable to resolve reference '{name}'"
        )),
        (Some(expected), Some(found)) => Err(format!(
            "cannot lock ref '{name}': is at {found} but expected {expected}"
        )),
        (None, None) => Ok(()),
    }
}

fn edit(command: &Command) -> RefEdit {
    RefEdit {
        name: command.name.clone(),
        old: command.old,
        new: command.new,
        message: "push".to_owned(),
    }
}
