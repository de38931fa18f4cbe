//! What a remote says of its refs.

use std::collections::BTreeMap;

use bstr::{BStr, BString};
use packhouse_object::{ObjectId, RefName};
use packhouse_repo::ref_text;

use super::RemoteError;

/// One ref of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// The whole name.
    pub name: RefName,
    /// What it points to.
    pub target: ObjectId,
    /// What an annotated tag finally points to, if the remote said so.
    pub peeled: Option<ObjectId>,
}

/// The refs of a remote, in byte order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteRefs {
    /// Refs below `refs/`.
    pub refs: Vec<RemoteRef>,
    /// What `HEAD` points to, if it points to anything.
    pub head: Option<ObjectId>,
    /// The ref that `HEAD` stands for, if the remote said so. It may not exist yet.
    pub head_ref: Option<RefName>,
    /// Those of `refs` that stand for other refs, with what they lead to. Only a folder of this machine tells.
    pub symbolic: BTreeMap<RefName, RefName>,
    /// Refs that are there and name nothing, which are not gone: Git lists them with a null id.
    pub damaged: Vec<BString>,
    /// Names that no repository of ours can have. They are left out.
    pub skipped: Vec<BString>,
}

impl RemoteRefs {
    /// The ref of this name.
    pub fn get(&self, name: &RefName) -> Option<&RemoteRef> {
        let found = self.refs.binary_search_by(|entry| entry.name.cmp(name));
        found.ok().map(|at| &self.refs[at])
    }

    /// Fails if a ref that `counts` is damaged: who makes something the same as those would take it for one that is gone.
    pub fn check_whole(&self, counts: impl Fn(&RefName) -> bool) -> Result<(), RemoteError> {
        let is_missed =
            |name: &&BString| RefName::parse(BStr::new(*name)).is_ok_and(|name| counts(&name));
        match self.damaged.iter().find(is_missed) {
            None => Ok(()),
            Some(name) => Err(RemoteError::DamagedRef {
                name: ref_text(name),
            }),
        }
    }

    /// Takes one more line of the remote's list.
    pub(crate) fn add(&mut self, name: &BStr, target: ObjectId, peeled: Option<ObjectId>) {
        if target.is_null() {
            if name != "HEAD" {
                self.damaged.push(name.to_owned());
            }
            return;
        }
        if name == "HEAD" {
            self.head = Some(target);
            return;
        }
        match RefName::parse(name) {
            Ok(name) => self.refs.push(RemoteRef {
                name,
                target,
                peeled,
            }),
            Err(_) => self.skipped.push(name.to_owned()),
        }
    }

    /// Says what the tag named last peels to.
    pub(crate) fn peel_last(&mut self, name: &BStr, peeled: ObjectId) {
        if let Some(last) = self
            .refs
            .last_mut()
            .filter(|last| last.name.as_bstr() == name)
        {
            last.peeled = Some(peeled);
        }
    }

    /// Puts the list in order; of two refs of one name the first counts.
    pub(crate) fn sort(&mut self) {
        self.refs.sort_by(|a, b| a.name.cmp(&b.name));
        self.refs.dedup_by(|later, first| later.name == first.name);
    }

    /// How many lines were taken.
    pub(crate) fn lines(&self) -> usize {
        self.refs.len() + self.skipped.len()
    }
}
