//! The commits that a ref gains, for policies that look at them.

use packhouse_object::{
    CommitWalk, Database, ObjectId, ObjectKind, ReadError, RefName, signed_commit,
};

use crate::view::View;

/// Commits that a ref may gain at once where each is looked at: other writes of the repository wait meanwhile.
const MAX_COMMITS: usize = 10_000;

/// Refs that are looked at for commits that need not be.
const MAX_REFS: usize = 10_000;

/// Judges what was signed and its signature; the error says what is wrong.
pub type CheckSignature<'c> = dyn Fn(&[u8], &[u8]) -> Result<(), String> + 'c;

/// The commits that a ref gains: those that what it goes to reaches, and what it was at does not.
pub struct NewCommits<'a> {
    before: &'a View,
    database: &'a Database,
    old: Option<ObjectId>,
    new: ObjectId,
}

impl<'a> NewCommits<'a> {
    /// What a ref gains that goes from `old` to `new`. `before` is the state before anything was moved; `database` has
    /// what comes with the move as well.
    pub fn new(
        before: &'a View,
        database: &'a Database,
        old: Option<ObjectId>,
        new: ObjectId,
    ) -> NewCommits<'a> {
        NewCommits {
            before,
            database,
            old,
            new,
        }
    }

    /// Whether each of the commits is signed as `check` wants it, which is given what was signed and the signature. The
    /// inner error says which is not, and why.
    ///
    /// Commits of refs of which `is_trusted` holds count as signed: they were looked at when they came there, or stood
    /// there before anybody asked. Commits of other refs do not, or whatever may be pushed to one of those could be moved
    /// on from there.
    pub fn are_signed(
        &self,
        is_trusted: &dyn Fn(&RefName) -> bool,
        check: &CheckSignature<'_>,
    ) -> Result<Result<(), String>, ReadError> {
        let (tip, kind) = self.database.peel(self.new)?;
        if kind != ObjectKind::Commit {
            return Ok(Err(format!("a {} has no signature", kind.as_str())));
        }
        let refs = self.before.refs();
        let head = self.before.head();
        let of_head = refs.get(head).filter(|_| is_trusted(head));
        let near = self.old.into_iter().chain(of_head.map(|head| head.target));
        // Nearly always these are enough, and looking at all refs is not.
        let looked = self.look(tip, near.collect(), check)?;
        if looked.is_ok() {
            return Ok(looked);
        }
        let trusted = refs.iter().filter(|(name, _)| is_trusted(name));
        let trusted = trusted.map(|(_, entry)| entry.target).take(MAX_REFS);
        self.look(tip, self.old.into_iter().chain(trusted).collect(), check)
    }

    fn look(
        &self,
        tip: ObjectId,
        trusted: Vec<ObjectId>,
        check: &CheckSignature<'_>,
    ) -> Result<Result<(), String>, ReadError> {
        let mut hidden = Vec::with_capacity(trusted.len());
        for id in trusted {
            // Tags of trees and blobs reach no commit.
            let (id, kind) = self.database.peel(id)?;
            if kind == ObjectKind::Commit {
                hidden.push(id);
            }
        }
        let walk = CommitWalk::new(self.database, [tip]).hide(hidden);
        for (count, found) in walk.enumerate() {
            if count == MAX_COMMITS {
                return Ok(Err(format!(
                    "signatures of more than {MAX_COMMITS} commits are not looked at together; move in steps"
                )));
            }
            let (id, _) = found?;
            let data = self.database.bytes_of(id, ObjectKind::Commit)?;
            let signed = match signed_commit(&data) {
                Some((signature, payload)) => check(&payload, &signature),
                None => Err("it is not signed".to_owned()),
            };
            if let Err(reason) = signed {
                return Ok(Err(format!("commit {id}: {reason}")));
            }
        }
        Ok(Ok(()))
    }
}

impl std::fmt::Debug for NewCommits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewCommits({:?} to {})", self.old, self.new)
    }
}
