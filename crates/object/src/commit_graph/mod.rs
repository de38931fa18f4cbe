//! Git's commit-graph files: what commits link to, without reading the commits, and which paths they may change.
//!
//! `gitformat-commit-graph(5)`, version 1, one file or a chain of them, with changed-path filters of both versions. What always
//! holds:
//!
//! - What is asked for is found here or nowhere: a commit that is not in a file is read, and so are all if a file is damaged.
//! - A file is held against its checksum before it is used, and sizes and positions in it are checked. That whoever wrote it
//!   wrote the truth is trusted, as by Git.
//! - Commits never change, so a file that is old is right all the same: about fewer commits.
//!
//! Generation numbers are not used: dates decide here what is looked at first, and never what the answer is.

mod file;
mod path_filter;
mod write;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use self::file::CommitGraphError;
use self::file::GraphFile;
pub use self::path_filter::PathFilter;
pub use self::write::{WriteCommitGraphError, write_commit_graph};
use crate::{ObjectId, ProcessLocal, oid};

/// The most bytes of a file that names the files of a chain.
const CHAIN_BYTES_MAX: u64 = 1 << 20;

/// What a commit links to: its tree, its parents in their order, and its committer's time in seconds since 1970.
pub type CommitLinks = (ObjectId, Vec<ObjectId>, i64);

/// The commit graph of one folder of objects.
pub(crate) struct CommitGraph {
    /// Each stands on those before it.
    files: Vec<GraphFile>,
}

impl CommitGraph {
    /// Opens what is in a folder of objects; `None` if there is nothing that can be used. Of a chain whose end is damaged the
    /// beginning is.
    pub(crate) fn open(objects: &Path) -> Option<CommitGraph> {
        let single = objects.join("info/commit-graph");
        let mut graph = CommitGraph { files: Vec::new() };
        if graph.add(&single, None) {
            return Some(graph);
        }
        let chain = objects.join("info/commit-graphs");
        let list = chain.join("commit-graph-chain");
        let size = fs::metadata(&list).ok()?.len();
        let names = match size <= CHAIN_BYTES_MAX {
            true => fs::read_to_string(&list).ok()?,
            false => return None,
        };
        for name in names.lines() {
            let id = ObjectId::from_hex(name.as_bytes()).ok()?;
            if !graph.add(&chain.join(format!("graph-{id}.graph")), Some(id)) {
                break;
            }
        }
        (!graph.files.is_empty()).then_some(graph)
    }

    /// Adds a file on top. Returns whether it can be used; `name` is what it has to be called by its content.
    fn add(&mut self, path: &Path, name: Option<ObjectId>) -> bool {
        let first = self.count();
        let below = self.files.iter().map(GraphFile::name);
        match GraphFile::open(path, first, below.collect()) {
            Ok(Ok(file)) if name.is_none_or(|name| name == file.name()) => {
                self.files.push(file);
                true
            }
            Ok(opened) => {
                let error = opened.err().unwrap_or(CommitGraphError::Checksum);
                let path = path.display();
                tracing::warn!(%path, %error, "a commit graph cannot be used");
                false
            }
            // Most repositories have none.
            Err(_) => false,
        }
    }

    fn count(&self) -> u32 {
        self.files.last().map_or(0, GraphFile::end)
    }

    fn find(&self, id: &oid) -> Option<(&GraphFile, u32)> {
        // The lowest file that knows a commit: parents are in the same file or below, so whoever goes to one never comes up again.
        let mut files = self.files.iter();
        files.find_map(|file| Some((file, file.lookup(id)?)))
    }

    fn id(&self, position: u32) -> Option<ObjectId> {
        let at = self.files.partition_point(|file| file.end() <= position);
        self.files.get(at)?.id(position)
    }

    fn links(&self, id: &oid) -> Option<CommitLinks> {
        let (file, at) = self.find(id)?;
        let (tree, parents, seconds) = file.links(at)?;
        let parents = parents.into_iter().map(|parent| self.id(parent));
        Some((tree, parents.collect::<Option<_>>()?, seconds))
    }
}

/// The commit graphs of the folders of a repository, opened when it has been asked often enough that it pays: a short walk reads
/// the commits.
pub struct CommitGraphs {
    folders: Vec<PathBuf>,
    reads_filters: bool,
    asked: AtomicU32,
    graphs: ProcessLocal<OnceLock<Vec<CommitGraph>>>,
}

impl CommitGraphs {
    /// So many commits are read before the files are looked for: to hold them against their checksums takes as long.
    const ENOUGH: u32 = 64;

    /// What these folders of objects may have.
    pub fn new(folders: Vec<PathBuf>) -> CommitGraphs {
        CommitGraphs {
            folders,
            reads_filters: true,
            asked: AtomicU32::new(0),
            graphs: ProcessLocal::new(),
        }
    }

    /// The same, of which changed-path filters are left alone.
    pub fn without_filters(self) -> CommitGraphs {
        CommitGraphs {
            reads_filters: false,
            ..self
        }
    }

    fn graphs(&self) -> &[CommitGraph] {
        if self.asked.load(Ordering::Relaxed) < CommitGraphs::ENOUGH {
            self.asked.fetch_add(1, Ordering::Relaxed);
            return &[];
        }
        let open = || {
            let folders = self.folders.iter();
            folders
                .filter_map(|folder| CommitGraph::open(folder))
                .collect()
        };
        self.graphs.get_or_init(OnceLock::new).get_or_init(open)
    }

    /// What a commit links to, if it is known here.
    pub(crate) fn links(&self, id: &oid) -> Option<CommitLinks> {
        self.graphs().iter().find_map(|graph| graph.links(id))
    }

    /// The filter of a commit, if it is one of those that are written here.
    pub(crate) fn filter_of(&self, id: &oid) -> Option<Vec<u8>> {
        if !self.reads_filters {
            return None;
        }
        let (file, at) = self.graphs().iter().find_map(|graph| graph.find(id))?;
        let found = file.filter_of(at)?;
        let is_ours = found.version == 1 && found.hashes == write::HASHES;
        (is_ours && !found.bits.is_empty()).then(|| found.bits.to_vec())
    }

    /// Whether it is certain that a commit does not change what `filter` is about, against its first parent.
    pub(crate) fn is_unchanged(&self, id: &oid, filter: &PathFilter) -> bool {
        if !self.reads_filters {
            return false;
        }
        let found = self.graphs().iter().find_map(|graph| graph.find(id));
        found.is_some_and(|(file, at)| {
            file.filter_of(at)
                .is_some_and(|bits| !filter.may_be_in(bits))
        })
    }
}

impl std::fmt::Debug for CommitGraphs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommitGraphs({:?})", self.folders)
    }
}
