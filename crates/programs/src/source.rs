//! A repository on disk as clients of one namespace see it.

use std::io;
use std::sync::Arc;

use packhouse_object::{Database, ObjectId, ReadError, RefName};
use packhouse_repo::directory::{Served, ServedHead, StandsFor};
use packhouse_repo::{RepoError, View};
use packhouse_wire::{HiddenRefs, RefLine, Source};

use crate::named_object::named_object;

/// Refs and objects at one moment.
#[derive(Clone, Debug)]
pub(crate) struct ServedSource {
    view: Arc<View>,
    prefix: Vec<u8>,
    hidden: HiddenRefs,
    head: Option<RefName>,
    detached: Option<ObjectId>,
}

impl ServedSource {
    /// What clients of the namespace with this prefix see now.
    pub(crate) fn new(
        repository: &Served,
        prefix: Vec<u8>,
        hidden: HiddenRefs,
    ) -> Result<ServedSource, RepoError> {
        let view = repository.view()?;
        let (head, detached) = match prefix.is_empty() {
            true => match repository.head()? {
                // Of a branch that is damaged nobody can say that it is not there.
                ServedHead::Branch(name) if is_broken(repository, &view, &name)? => (None, None),
                ServedHead::Branch(name) => (Some(name), None),
                ServedHead::Detached(id) => (None, Some(id)),
                ServedHead::Broken => (None, None),
            },
            false => head_within(&view, &prefix),
        };
        let mut source = ServedSource {
            view,
            prefix,
            hidden,
            head: None,
            detached: None,
        };
        let is_shown = !source.hides(b"HEAD");
        source.head = head.filter(|_| is_shown);
        source.detached = detached.filter(|_| is_shown);
        Ok(source)
    }

    /// Whether clients are not to see a ref of this name, or to move it.
    pub(crate) fn hides(&self, name: &[u8]) -> bool {
        let full = [&self.prefix[..], name].concat();
        self.hidden.is_hidden(name, &full)
    }

    /// What a client's name is called in the store.
    pub(crate) fn stored(&self, name: &[u8]) -> Option<RefName> {
        RefName::parse([&self.prefix[..], name].concat()).ok()
    }

    /// Whether a client's name is that of a ref of which nobody can tell where it points.
    pub(crate) fn is_broken(&self, repository: &Served, name: &RefName) -> bool {
        // Where that cannot be found out it is, so that no answer says that all is well.
        let stored = self.stored(name.as_bytes());
        stored.is_some_and(|stored| is_broken(repository, &self.view, &stored).unwrap_or(true))
    }

    /// What a name in the store is called by clients; `None`: it is not in their namespace.
    pub(crate) fn shown_as<'n>(&self, stored: &'n RefName) -> Option<&'n [u8]> {
        stored.as_bytes().strip_prefix(&self.prefix[..])
    }

    /// What refs of other namespaces point to.
    pub(crate) fn outside(&self) -> Vec<ObjectId> {
        if self.prefix.is_empty() {
            return Vec::new();
        }
        let refs = self.view.refs().iter().filter(|(name, _)| {
            !name.as_bytes().starts_with(&self.prefix)
                && !self.hidden.is_hidden(b"", name.as_bytes())
        });
        refs.map(|(_, entry)| entry.target).collect()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

/// Whether a ref is there, and nobody can tell where it points: its file is damaged, or it is symbolic and leads round in a
/// circle, or to what is no ref.
fn is_broken(repository: &Served, view: &View, name: &RefName) -> Result<bool, RepoError> {
    Ok(match repository.stands_for(name)? {
        StandsFor::Nothing => true,
        StandsFor::Itself => view.is_valueless(name.as_bytes()),
        StandsFor::Other(target) => view.is_valueless(target.as_bytes()),
    })
}

/// The `HEAD` of a namespace: a symbolic ref, or one that names an object.
fn head_within(view: &View, prefix: &[u8]) -> (Option<RefName>, Option<ObjectId>) {
    let Ok(name) = RefName::parse([prefix, b"HEAD"].concat()) else {
        return (None, None);
    };
    if let Some(target) = view.symbolic_refs().get(&name) {
        let inside = target.as_bytes().strip_prefix(prefix);
        let branch = inside.and_then(|inside| RefName::parse(inside).ok());
        if branch.is_some() {
            return (branch, None);
        }
    }
    (None, view.refs().get(&name).map(|entry| entry.target))
}

impl Source for ServedSource {
    fn head(&self) -> Option<RefName> {
        self.head.clone()
    }

    fn detached_head(&self) -> Option<ObjectId> {
        self.detached
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        if self.hides(name) {
            return None;
        }
        let stored = self.stored(name)?;
        self.view.refs().get(&stored).map(|entry| entry.target)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let stored = [&self.prefix[..], prefix].concat();
        for (full, entry) in self.view.refs().prefixed(&stored) {
            let name = &full.as_bytes()[self.prefix.len()..];
            // The HEAD of a namespace is below `refs/` in the store, and no ref to its clients.
            if name.starts_with(b"refs/") && !self.hidden.is_hidden(name, full.as_bytes()) {
                visitor(RefLine {
                    name,
                    id: entry.target,
                    peeled: entry.peeled,
                })?;
            }
        }
        Ok(())
    }

    fn visit_listed(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let stored = [&self.prefix[..], prefix].concat();
        for (full, entry) in self.view.listed(&stored) {
            let name = &full[self.prefix.len()..];
            if name.starts_with(b"refs/") && !self.hidden.is_hidden(name, full) {
                visitor(RefLine::listed(name, entry))?;
            }
        }
        Ok(())
    }

    fn symbolic_target(&self, name: &[u8]) -> Option<RefName> {
        let symbolic = self.view.symbolic_refs();
        if symbolic.is_empty() {
            return None;
        }
        let target = symbolic.get(&self.stored(name)?)?;
        RefName::parse(self.shown_as(target)?).ok()
    }

    fn database(&self) -> &Database {
        self.view.database()
    }

    fn shallow(&self) -> &[ObjectId] {
        self.view.shallow_commits()
    }

    fn namespace(&self) -> &[u8] {
        &self.prefix
    }

    fn named_object(&self, name: &[u8]) -> Result<Option<ObjectId>, ReadError> {
        // In a namespace another branch is the `HEAD` that clients see.
        let branch = self.head.as_ref().filter(|_| self.prefix.is_empty());
        let at_branch = branch.and_then(|name| self.view.refs().get(name));
        let head = at_branch.map(|entry| entry.target).or(self.detached);
        named_object(&self.view, head, name)
    }
}
