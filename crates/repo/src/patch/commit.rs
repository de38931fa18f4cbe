//! A commit made from a patch.
//!
//! The patch is applied before the write gets its turn, so that others do not wait for it; in its turn it is only
//! looked whether the files it touches are still the same. If they are not, a small patch is applied again on the spot,
//! and a large one before another turn.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_object::{Database, ObjectId, RefName};

use super::apply::{Patched, apply};
use super::blobs::Blobs;
use super::header::FilePatch;
use super::parse::parse;
use super::{PatchError, PatchText};
use crate::commit::{
    CommitError, CommitOnto, CommitOutcome, NewTree, Parent, edited_tree, parent_of,
};
use crate::error::RepoError;
use crate::repository::Repository;
use crate::view::View;

/// Patches up to this size are applied while others wait, if need be, in bytes.
const SMALL_BYTES: u64 = 256 << 10;
/// What such a patch may make of files, in bytes.
const SMALL_RESULT_BYTES: usize = 16 << 20;
/// How often a large patch is applied because the files it touches have changed.
const ATTEMPTS: u32 = 8;

/// A commit from a patch.
#[derive(Clone, Debug)]
pub struct PatchRequest {
    /// Where it goes and what it says.
    pub onto: CommitOnto,
    /// What changes.
    pub text: PatchText,
    /// Bytes of changed files that may be held in memory; more go to a pack file.
    pub memory_bytes: usize,
    /// The largest file it may make, in bytes.
    pub file_bytes: u64,
}

/// A commit that was made from a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchOutcome {
    /// The commit.
    pub commit: CommitOutcome,
    /// How many files the patch wrote.
    pub files: u64,
}

impl Repository {
    /// Makes one commit that changes what a patch changes, with the semantics of `git apply --cached --binary`: hunks
    /// may have moved, but apply as they are or not at all. Beyond what Git takes, a hunk may begin with `@@` alone;
    /// then its old lines must be in the file once.
    pub async fn commit_patch(&self, request: PatchRequest) -> Result<PatchOutcome, CommitError> {
        let PatchRequest {
            onto,
            text,
            memory_bytes,
            file_bytes,
        } = request;
        let work = Arc::new(Work {
            patches: {
                let text = text.clone();
                blocking(move || Ok(parse(&text)?)).await?
            },
            text,
            memory_bytes,
            file_bytes,
            folder: self.quarantine_dir().to_owned(),
        });
        let mut attempt = 1;
        loop {
            let view = self.view().await?;
            let root = parent_of(&view, &onto);
            let prepared = match root {
                // The refusal is repeated in its turn, on a state that is known to be the newest.
                Err(_) => None,
                Ok(parent) => {
                    let work = work.clone();
                    Some(blocking(move || work.apply(&view, parent)).await?)
                }
            };
            let is_stale = Arc::new(AtomicBool::new(false));
            let made = self
                .commit_prepared(&onto, work.clone(), prepared, is_stale.clone())
                .await;
            let is_stale = made.is_err() && is_stale.load(Ordering::Relaxed);
            // It left out an object that was there, and was dropped since.
            let is_incomplete = matches!(made, Err(CommitError::Repo(RepoError::Vanished { .. })));
            if (is_stale || is_incomplete) && attempt < ATTEMPTS {
                attempt += 1;
                continue;
            }
            return made;
        }
    }

    async fn commit_prepared(
        &self,
        onto: &CommitOnto,
        work: Arc<Work>,
        mut prepared: Option<Patched>,
        is_stale: Arc<AtomicBool>,
    ) -> Result<PatchOutcome, CommitError> {
        let packs = prepared
            .as_mut()
            .map(|patched| std::mem::take(&mut patched.packs));
        let files = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let (name, counted) = (onto.target.clone(), files.clone());
        let commit = self
            .commit_onto(
                onto.clone(),
                packs.unwrap_or_default(),
                move |view, parent| {
                    is_stale.store(false, Ordering::Relaxed);
                    let root = parent.map(|parent| parent.tree);
                    if let Some(patched) = &prepared
                        && patched.holds_on(view.database(), root)?
                    {
                        counted.store(patched.files, Ordering::Relaxed);
                        return edited_tree(view.database(), root, &patched.edits, &patched.blobs);
                    }
                    let Some((tree, files)) = work.apply_small(view, parent)? else {
                        is_stale.store(true, Ordering::Relaxed);
                        return Err(contended(&name));
                    };
                    counted.store(files, Ordering::Relaxed);
                    Ok(tree)
                },
            )
            .await?;
        Ok(PatchOutcome {
            commit,
            files: files.load(Ordering::Relaxed),
        })
    }
}

/// The tree that a patch makes of the tree `root` (`None`: an empty one), with the objects that it needs and the
/// database may not have. They are held in memory, so this is for patches that one knows.
pub fn apply_patch(
    database: &Database,
    root: Option<ObjectId>,
    text: &PatchText,
) -> Result<NewTree, CommitError> {
    let patches = parse(text)?;
    let blobs = Blobs::new(None, usize::MAX, u64::MAX);
    let patched = apply(database, root, text, &patches, blobs)?;
    let patched = patched.expect("there is always room in memory");
    edited_tree(database, root, &patched.edits, &patched.blobs)
}

struct Work {
    text: PatchText,
    patches: Vec<FilePatch>,
    memory_bytes: usize,
    file_bytes: u64,
    folder: PathBuf,
}

impl Work {
    fn apply(&self, view: &View, parent: Option<ObjectId>) -> Result<Patched, CommitError> {
        let root = parent
            .map(|parent| crate::commit::tree_of(view.database(), parent))
            .transpose()?;
        let blobs = Blobs::new(Some(&self.folder), self.memory_bytes, self.file_bytes);
        let patched = apply(view.database(), root, &self.text, &self.patches, blobs)?;
        Ok(patched.expect("there is always room in a pack file"))
    }

    /// Applies the patch while others wait. `None`: it is too large for that.
    fn apply_small(
        &self,
        view: &View,
        parent: Option<Parent>,
    ) -> Result<Option<(NewTree, u64)>, CommitError> {
        if self.text.len() > SMALL_BYTES {
            return Ok(None);
        }
        let root = parent.map(|parent| parent.tree);
        let blobs = Blobs::new(None, SMALL_RESULT_BYTES, self.file_bytes);
        let patched = apply(view.database(), root, &self.text, &self.patches, blobs)?;
        let Some(patched) = patched else {
            return Ok(None);
        };
        let tree = edited_tree(view.database(), root, &patched.edits, &patched.blobs)?;
        Ok(Some((tree, patched.files)))
    }
}

fn contended(name: &RefName) -> CommitError {
    let name = name.to_string();
    CommitError::Repo(RepoError::Contended {
        name,
        attempts: ATTEMPTS,
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CommitError> + Send + 'static,
) -> Result<T, CommitError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| CommitError::Repo(RepoError::Stopped))?
}

impl From<PatchError> for CommitError {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::Read(error) => CommitError::Repo(error.into()),
            PatchError::Write(error) => CommitError::Repo(error.into()),
            error => CommitError::Patch(Box::new(error)),
        }
    }
}
