//! `ls`: the entries of folders.

use std::collections::BTreeMap;
use std::ffi::OsString;

use bstr::{BString, ByteSlice};
use clap::Args;
use packhouse_object::ObjectId;
use packhouse_repo::store::{FileType, Snapshot, StoreError};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, GlobFlag, SnapshotFlags};
use super::output::{self, Format, FormatFlag, List, name_of};
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// List files and folders
///
/// Several paths and patterns are listed together, sorted and without repetitions.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// Folders, files or patterns [default: the root]
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    #[command(flatten)]
    glob: GlobFlag,
    /// All files below, with their whole paths
    #[arg(short = 'R', long)]
    recursive: bool,
    /// With id, size and target
    #[arg(short, long)]
    long: bool,
    /// Show whole ids
    #[arg(long)]
    full_hash: bool,
    #[command(flatten)]
    format: FormatFlag,
}

/// An entry to show. What needs another look at the store is there only if it is shown.
struct Found {
    file_type: FileType,
    id: ObjectId,
    size: Option<u64>,
    target: Option<BString>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// The entries of all arguments by name.
struct Listing {
    long: bool,
    recursive: bool,
    found: BTreeMap<BString, Found>,
}

pub(crate) fn run(args: LsArgs, session: &Session) -> Result<(), Failure> {
    let mut places = args
        .paths
        .iter()
        .map(|path| RefPath::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    if places.is_empty() {
        places.push(RefPath::default());
    }
    select::check(&places, &args.branch, &args.snapshot)?;
    let store = session.open()?;
    let mut listing = Listing {
        long: args.long,
        recursive: args.recursive,
        found: BTreeMap::new(),
    };
    for place in &places {
        let snapshot = select::snapshot(&store, place, &args.branch, &args.snapshot)?;
        if !args.glob.no_glob && has_wildcard(&place.path) {
            for path in snapshot.glob(&place.path)? {
                listing.add_match(&snapshot, path)?;
            }
        } else {
            listing.add_path(&snapshot, &place.path)?;
        }
    }
    let digits = if args.full_hash { usize::MAX } else { 7 };
    listing.print(session.format(args.format), digits)
}

/// Whether a path is a pattern.
pub(crate) fn has_wildcard(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'*' | b'?'))
}

impl Listing {
    /// The entries of a folder, or a file.
    fn add_path(&mut self, snapshot: &Snapshot, path: &BString) -> Result<(), Failure> {
        if self.recursive {
            return self.add_below(snapshot, path);
        }
        match snapshot.ls(path) {
            Ok(entries) => {
                let folder = path.trim_end_with(|char| char == '/');
                for entry in entries {
                    let at = packhouse_repo::store::join(folder, &entry.name);
                    let (kind, id) = (entry.file_type, entry.id);
                    self.add(snapshot, entry.name, &at, kind, id)?;
                }
                Ok(())
            }
            // A file is the same with a slash behind it.
            Err(StoreError::NotADirectory { .. }) => {
                let file = path.trim_end_with(|char| char == '/');
                self.add_match(snapshot, file.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All files below a folder, or a file.
    fn add_below(&mut self, snapshot: &Snapshot, path: &BString) -> Result<(), Failure> {
        let is_root = path.iter().all(|byte| *byte == b'/');
        if !is_root && !snapshot.is_dir(path)? {
            let path = path.trim_end_with(|char| char == '/');
            return self.add_entry(snapshot, path.into());
        }
        for file in snapshot.files(path)? {
            let (at, mode, id) = file?;
            self.add(snapshot, at.clone(), &at, mode.into(), id)?;
        }
        Ok(())
    }

    /// What a pattern found: itself, or what is below it.
    fn add_match(&mut self, snapshot: &Snapshot, path: BString) -> Result<(), Failure> {
        match self.recursive {
            true => self.add_below(snapshot, &path),
            false => self.add_entry(snapshot, path),
        }
    }

    fn add_entry(&mut self, snapshot: &Snapshot, path: BString) -> Result<(), Failure> {
        let entry = snapshot
            .entry(&path)?
            .ok_or_else(|| StoreError::NotFound { path: path.clone() })?;
        let at = path.clone();
        self.add(snapshot, path, &at, entry.file_type, entry.id)
    }

    fn add(
        &mut self,
        snapshot: &Snapshot,
        mut name: BString,
        path: &[u8],
        file_type: FileType,
        id: ObjectId,
    ) -> Result<(), Failure> {
        if self.long && file_type == FileType::Tree {
            name.push(b'/');
        }
        if self.found.contains_key(&name) {
            return Ok(());
        }
        let details = self.long && file_type.is_blob();
        let size = details.then(|| snapshot.object_size(&id)).transpose()?;
        let target = match details && file_type == FileType::Link {
            true => Some(snapshot.readlink(path)?),
            false => None,
        };
        let found = Found {
            file_type,
            id,
            size,
            target,
        };
        self.found.insert(name, found);
        Ok(())
    }

    fn print(self, format: Format, digits: usize) -> Result<(), Failure> {
        let mut list = List::new(format);
        if !self.long {
            for name in self.found.keys() {
                list.item(
                    || name_of(name),
                    |out| output::path_line(out, "", name.as_bstr()),
                )?;
            }
            return list.finish();
        }
        let sizes = self.found.values().filter_map(|found| found.size);
        let width = sizes.max().map_or(0, |size| size.to_string().len());
        for (name, found) in &self.found {
            list.item(
                || shown(name, found),
                |out| {
                    let id = found.id.to_string();
                    let size = found.size.map(|size| size.to_string()).unwrap_or_default();
                    write!(out, "{}  {size:>width$}  ", &id[..digits.min(id.len())])?;
                    out.write_all(name)?;
                    if let Some(target) = &found.target {
                        out.write_all(b" -> ")?;
                        out.write_all(target)?;
                    }
                    out.write_all(b"\n")
                },
            )?;
        }
        list.finish()
    }
}

fn shown(name: &BString, found: &Found) -> Shown {
    Shown {
        name: name_of(name),
        hash: found.id.to_string(),
        size: found.size,
        kind: found.file_type.as_str(),
        target: found.target.as_deref().map(|target| name_of(target)),
    }
}
