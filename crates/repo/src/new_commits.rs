//! The commits that a ref gains, for policies that look at them.

use std::cell::RefCell;

use packhouse_object::{
    CommitWalk, Database, IdSet, ObjectId, ObjectKind, ReadError, RefName, signed_commit,
};

use crate::view::View;

/// Commits that refs may gain at once where each is looked at: other writes of the repository wait meanwhile.
const MAX_COMMITS: usize = 10_000;

/// Commits that are gone through to find those, for all refs together.
const MAX_STEPS: usize = 1_000_000;

/// Refs that are looked at for commits that need not be.
const MAX_REFS: usize = 10_000;

/// Of so many refs that were found good those that come later need not look at the commits again.
const MAX_LATEST: usize = 16;

/// Judges what was signed and its signature; the error says what is wrong.
pub type CheckSignature<'c> = dyn Fn(&[u8], &[u8]) -> Result<(), String> + 'c;

/// The commits that a ref gains: those that what it goes to reaches, and what it was at does not.
pub struct NewCommits<'a> {
    before: &'a View,
    database: &'a Database,
    old: Option<ObjectId>,
    new: ObjectId,
    looked: Option<&'a Looked>,
}

/// What one policy found out about commits while it decided on several refs of one state. Each signature is checked once, and
/// what all of them together may cost has a limit.
#[derive(Debug, Default)]
pub struct Looked(RefCell<Findings>);

#[derive(Debug, Default)]
struct Findings {
    /// Signatures that were checked.
    checked: usize,
    /// Commits that were gone through, and refs that they were held against.
    steps: usize,
    /// Those whose signatures are good.
    signed: IdSet,
    /// All that these reach need not be looked at.
    good: IdSet,
    /// The last of them.
    latest: Vec<ObjectId>,
    /// What refs stand for of which the same is asked, once somebody wanted to know.
    trusted: Option<Vec<ObjectId>>,
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
            looked: None,
        }
    }

    /// The same, for one of several refs that share what is found out.
    pub fn among(self, looked: &'a Looked) -> NewCommits<'a> {
        let looked = Some(looked);
        NewCommits { looked, ..self }
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
        let own = Looked::default();
        let findings = &mut *self.looked.unwrap_or(&own).0.borrow_mut();
        if findings.good.contains(&tip) {
            return Ok(Ok(()));
        }
        let refs = self.before.refs();
        let head = self.before.head();
        let of_head = refs.get(head).filter(|_| is_trusted(head));
        let near = self.old.into_iter().chain(of_head.map(|head| head.target));
        // Nearly always these are enough, and looking at all refs is not.
        let hidden = self.commits_of(near)?;
        let mut found = findings.look(self.database, tip, hidden, check)?;
        if found.is_err() {
            let trusted = match findings.trusted.take() {
                Some(known) => known,
                None => {
                    let trusted = refs.iter().filter(|(name, _)| is_trusted(name));
                    let trusted = trusted.map(|(_, entry)| entry.target);
                    self.commits_of(trusted.take(MAX_REFS))?
                }
            };
            let hidden = self.commits_of(self.old)?;
            let hidden = [&hidden[..], &trusted].concat();
            findings.trusted = Some(trusted);
            found = findings.look(self.database, tip, hidden, check)?;
        }
        if found.is_ok() {
            findings.add_good(tip);
        }
        Ok(found)
    }

    /// Those of `ids` that stand for commits: tags of trees and blobs reach none.
    fn commits_of(
        &self,
        ids: impl IntoIterator<Item = ObjectId>,
    ) -> Result<Vec<ObjectId>, ReadError> {
        let mut commits = Vec::new();
        for id in ids {
            let (id, kind) = self.database.peel(id)?;
            if kind == ObjectKind::Commit {
                commits.push(id);
            }
        }
        Ok(commits)
    }
}

impl Findings {
    /// Looks at what `tip` reaches and none of `hidden` does.
    fn look(
        &mut self,
        database: &Database,
        tip: ObjectId,
        hidden: Vec<ObjectId>,
        check: &CheckSignature<'_>,
    ) -> Result<Result<(), String>, ReadError> {
        self.steps += hidden.len();
        let hidden = hidden.into_iter().chain(self.latest.iter().copied());
        for found in CommitWalk::new(database, [tip]).hide(hidden) {
            let (id, _) = found?;
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Ok(Err(
                    "there are too many commits to look for signatures; move fewer refs at once"
                        .to_owned(),
                ));
            }
            if self.signed.contains(&id) {
                continue;
            }
            if self.checked == MAX_COMMITS {
                return Ok(Err(format!(
                    "signatures of more than {MAX_COMMITS} commits are not looked at together; move in steps"
                )));
            }
            self.checked += 1;
            let data = database.bytes_of(id, ObjectKind::Commit)?;
            let signed = match signed_commit(&data) {
                Some((signature, payload)) => check(&payload, &signature),
                None => Err("it is not signed".to_owned()),
            };
            if let Err(reason) = signed {
                return Ok(Err(format!("commit {id}: {reason}")));
            }
            self.signed.insert(id);
        }
        Ok(Ok(()))
    }

    fn add_good(&mut self, tip: ObjectId) {
        self.good.insert(tip);
        if self.latest.len() == MAX_LATEST {
            self.latest.remove(0);
        }
        self.latest.push(tip);
    }
}

impl std::fmt::Debug for NewCommits<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewCommits({:?} to {})", self.old, self.new)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use packhouse_object::{Commit, NewObject, ObjectCache, Signature};

    use super::*;
    use crate::refs::Refs;

    /// A line of so many commits that are signed in some way, from `parent` on.
    fn line(parent: Option<ObjectId>, count: usize, objects: &mut Vec<NewObject>) -> ObjectId {
        let tree = NewObject::new(ObjectKind::Tree, Vec::new()).unwrap();
        let mut last = parent;
        for _ in 0..count {
            let number = objects.len();
            let person = Signature {
                name: "A".into(),
                email: "a@example.com".into(),
                seconds: number as i64,
                offset_minutes: 0,
            };
            let commit = Commit {
                tree: tree.id,
                parents: last.into_iter().collect(),
                author: person.clone(),
                committer: person,
                extra_headers: vec![("gpgsig".into(), "signed".into())],
                message: number.to_string().into(),
            };
            let object = NewObject::new(ObjectKind::Commit, commit.encode()).unwrap();
            last = Some(object.id);
            objects.push(object);
        }
        last.unwrap()
    }

    fn view(objects: Vec<NewObject>, main: ObjectId) -> View {
        let db = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1).with_objects(objects);
        let mut refs = Refs::default();
        refs.set(RefName::branch("main").unwrap(), main, None, 0);
        View::new(1, RefName::branch("main").unwrap(), refs, db)
    }

    #[test]
    fn each_signature_is_checked_once_for_all_refs() {
        let mut objects = Vec::new();
        let main = line(None, 3, &mut objects);
        let first = line(Some(main), 10, &mut objects);
        let second = line(Some(first), 10, &mut objects);
        let apart = line(Some(main), 10, &mut objects);
        let view = view(objects, main);
        let (looked, checked) = (Looked::default(), Cell::new(0));
        let look = |tip| {
            let commits = NewCommits::new(&view, view.database(), None, tip).among(&looked);
            let found = commits.are_signed(&|_| true, &|_, _| {
                checked.set(checked.get() + 1);
                Ok(())
            });
            (found.unwrap(), checked.get())
        };
        assert_eq!(look(second), (Ok(()), 20));
        for tip in [second, first, main] {
            assert_eq!(look(tip), (Ok(()), 20));
        }
        assert_eq!(look(apart), (Ok(()), 30));
    }

    #[test]
    fn refs_together_may_gain_as_many_commits_as_one() {
        let mut objects = Vec::new();
        let main = line(None, 1, &mut objects);
        let tips = [(); 2].map(|()| line(Some(main), MAX_COMMITS / 2 + 1, &mut objects));
        let view = view(objects, main);
        let looked = Looked::default();
        let look = |tip| {
            let commits = NewCommits::new(&view, view.database(), None, tip);
            let alone = commits.are_signed(&|_| true, &|_, _| Ok(())).unwrap();
            assert_eq!(alone, Ok(()));
            let commits = commits.among(&looked);
            commits.are_signed(&|_| true, &|_, _| Ok(())).unwrap()
        };
        assert_eq!(look(tips[0]), Ok(()));
        let refused = look(tips[1]).unwrap_err();
        assert!(refused.contains("move in steps"), "{refused}");
        // What was looked at stays so.
        assert_eq!(look(tips[0]), Ok(()));
    }
}
