//! Writing a commit graph: what commits link to and which paths they may change, for walks through history, `git`'s too.

use std::io::{BufWriter, Write};

use packhouse_object::{Progress, ReadError, WriteCommitGraphError, write_commit_graph};

use super::backend::Directory;
use super::durable::{create_folders, sync_folder};
use super::error::DirectoryError;
use super::layout::config_flag;
use crate::error::RepoError;

/// With fewer commits a graph saves nothing that anybody would notice.
const LEAST: u32 = 1000;

impl Directory {
    /// Writes the commit graph of what the refs reach, unless the settings forbid it, the history is cut off or short, or an object
    /// is missing. Returns how many commits it has.
    ///
    /// It takes the place of one that is there, in whatever form. What changes, the graph that is read from now on included, is
    /// seen with the next look at the packs.
    pub(crate) fn write_commit_graph(&self, progress: &dyn Progress) -> Result<u32, RepoError> {
        let is_off = |section, key| config_flag(self.git_dir(), section, key) == Some(false);
        let is_cut = !self.shallow_commits()?.is_empty();
        if is_cut || is_off("core", "commitGraph") || is_off("gc", "writeCommitGraph") {
            return Ok(0);
        }
        let view = self.read_view()?;
        let tips = view.tips();
        let folder = self.objects_dir();
        let info = folder.path.join("info");
        let path = info.join("commit-graph");
        let io = |error| RepoError::io("write", &path, error);
        // Git removes files of this name when they are old.
        let new = tempfile::Builder::new()
            .prefix("tmp_graph_")
            .tempfile_in(&folder.path)
            .map_err(io)?;
        let mut out = BufWriter::new(new.as_file());
        let written = write_commit_graph(view.database(), &tips, LEAST, &mut out, progress);
        let commits = match written {
            Ok(commits) => commits,
            Err(WriteCommitGraphError::Write(error)) => return Err(io(error)),
            Err(WriteCommitGraphError::Read(ReadError::Cancelled)) => {
                return Err(ReadError::Cancelled.into());
            }
            // Everything works without it.
            Err(error) => {
                tracing::warn!(%error, "no commit graph was written");
                0
            }
        };
        if commits == 0 {
            return Ok(0);
        }
        out.flush().map_err(io)?;
        drop(out);
        new.as_file().sync_all().map_err(io)?;
        let _turn = self.enter()?;
        create_folders(&folder.path, &info, folder.sharing)
            .map_err(DirectoryError::io("make", &info))?;
        folder
            .sharing
            .publish([new.path()], &info)
            .map_err(DirectoryError::io("protect files for", &info))?;
        // Nobody else writes one meanwhile, neither one of several files, whose first may be made of the one of one file, nor that.
        // No `git` waits for the one lock while it holds the other.
        let _chain = self.lock_file(&info.join("commit-graphs/commit-graph-chain"))?;
        let _lock = self.lock_file(&path)?;
        new.persist(&path).map_err(|error| io(error.error))?;
        sync_folder(&info).map_err(DirectoryError::io("sync", &info))?;
        self.forget_commit_graph_chain()?;
        Ok(commits)
    }
}
