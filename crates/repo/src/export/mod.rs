//! Writing a repository as an ordinary bare one, for any `git` to read.

mod reachable;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use packhouse_object::{Database, ObjectCache, Progress, Received};

use crate::directory::durable::{create_folders, sync_folder};
use crate::directory::{
    DirectoryError, ObjectsDir, OpenError, PackedRef, Peeled, Sharing, move_pack, packed_refs_path,
    write_entries, write_skeleton,
};
use crate::refs::Refs;
use crate::under_way::{FolderUnderWay, Kind, remove_left_behind};
use crate::view::View;

pub use reachable::{CopyError, copy_objects};
pub(crate) use reachable::{Small, copy_reachable};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// Refs, ephemeral ones among them.
    pub refs: u64,
    /// Objects that they reach.
    pub objects: u64,
    /// The size of the pack that holds them; 0 where there is none.
    pub pack_bytes: u64,
}

/// A repository was not exported. Nothing of it is left at the destination.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something is there already.
    #[error("`{}` exists and is not an empty folder", path.display())]
    NotEmpty {
        /// The destination.
        path: PathBuf,
    },
    /// The objects could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The new repository could not be written.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new repository could not be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A file could not be written.
    #[error("could not write `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Writes everything that the refs of `view` reach into `dir`, which must be missing or an empty folder.
///
/// The result is one pack, `packed-refs` and `HEAD`. It is built beside `dir` and takes its place when it
/// is complete and durable.
pub fn export(
    view: &View,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<ExportReport, ExportError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ExportError::Io { path, source }
    };
    let occupied = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != ErrorKind::NotFound,
    };
    if occupied {
        return Err(ExportError::NotEmpty {
            path: dir.to_owned(),
        });
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_folders(
        Path::new("/"),
        &std::path::absolute(parent).map_err(failed(parent))?,
        Sharing::Umask,
    )
    .map_err(failed(parent))?;
    remove_left_behind(parent);
    let under_way = FolderUnderWay::make(Kind::Export, parent).map_err(failed(parent))?;
    let building = under_way.new_path();
    let report = fill(view, &building, progress)?;
    sync_folder(&building).map_err(failed(&building))?;
    // Only an empty folder can be renamed over, so nothing is lost if someone was faster.
    fs::rename(&building, dir).map_err(|source| match source.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => ExportError::NotEmpty {
            path: dir.to_owned(),
        },
        _ => failed(dir)(source),
    })?;
    sync_folder(parent).map_err(failed(parent))?;
    Ok(report)
}

fn fill(view: &View, folder: &Path, progress: &dyn Progress) -> Result<ExportReport, ExportError> {
    write_skeleton(folder, view.head())?;
    let objects = folder.join("objects");
    let wants: Vec<_> = view.refs().iter().map(|(_, value)| value.target).collect();
    let mut report = ExportReport {
        refs: wants.len() as u64,
        objects: 0,
        pack_bytes: 0,
    };
    if wants.is_empty() {
        return Ok(report);
    }
    let nothing = Database::new(ObjectCache::new(0).into(), 0);
    let copied = copy_reachable(
        view.database(),
        wants,
        &objects.join("pack"),
        &nothing,
        Small::AsPack,
        progress,
    )?;
    if let Received::Large(finished) = copied {
        report.objects = finished.objects;
        report.pack_bytes = finished.pack_bytes;
        let objects = ObjectsDir {
            path: objects,
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        move_pack(finished, &objects)?;
    }
    let path = packed_refs_path(folder);
    write_packed_refs(view.refs(), &path).map_err(|source| ExportError::Io { path, source })?;
    Ok(report)
}

fn write_packed_refs(refs: &Refs, path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
    let entries: Vec<PackedRef> = refs
        .iter()
        .map(|(name, value)| PackedRef {
            name: name.as_bstr().to_owned(),
            target: value.target,
            peeled: value.peeled.map_or(Peeled::NoTag, Peeled::To),
        })
        .collect();
    write_entries(&mut file, &entries)?;
    file.sync_all()
}
