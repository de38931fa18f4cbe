//! `cmp`: whether two files are the same, in the store or on disk.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use packhouse_object::{ObjectHasher, ObjectId, ObjectKind};
use packhouse_repo::store::{FileType, Store, StoreError};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::name_of;
use super::ref_path::{Place, RefPath};
use super::select;
use super::session::Session;
use crate::error::{FAILURE, SUCCESS};

const PIECE_BYTES: usize = 128 << 10;

/// Compare two files: exit status 0 if they are the same, 1 if not
///
/// With `-v` their ids are shown.
#[derive(Args, Debug)]
pub(crate) struct CmpArgs {
    /// A file of the store (`ref:path`) or of the disk
    first: OsString,
    /// The other
    second: OsString,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
}

#[derive(Serialize)]
struct Compared {
    equal: bool,
    files: Vec<Hashed>,
}

#[derive(Serialize)]
struct Hashed {
    /// As it was given.
    path: String,
    hash: String,
}

pub(crate) fn run(args: CmpArgs, session: &Session) -> Result<u8, Failure> {
    let places = [Place::parse(&args.first)?, Place::parse(&args.second)?];
    let stored = || {
        places.iter().filter_map(|place| match place {
            Place::Stored(place) => Some(place),
            Place::Local(_) => None,
        })
    };
    select::check(stored(), &args.branch, &args.snapshot)?;
    let store = match stored().next() {
        Some(_) => Some(session.open()?),
        None => None,
    };
    let mut files = Vec::new();
    for (place, name) in places.iter().zip([&args.first, &args.second]) {
        let id = match (place, &store) {
            (Place::Stored(place), Some(store)) => of_stored(store, place, &args)?,
            (Place::Local(path), _) => of_local(path.as_ref())?,
            (Place::Stored(_), None) => unreachable!("opened for a stored file"),
        };
        session.tell(format_args!("{id}  {}", name.display()));
        files.push(Hashed {
            path: name_of(name.as_bytes()),
            hash: id.to_string(),
        });
    }
    let equal = files[0].hash == files[1].hash;
    session.report(&Compared { equal, files })?;
    Ok(if equal { SUCCESS } else { FAILURE })
}

fn of_stored(store: &Store, place: &RefPath, args: &CmpArgs) -> Result<ObjectId, Failure> {
    let snapshot = select::snapshot(store, place, &args.branch, &args.snapshot)?;
    let stat = snapshot.stat(&place.path)?;
    match stat.file_type {
        FileType::Tree => Err(StoreError::IsADirectory {
            path: place.path.clone(),
        }
        .into()),
        _ => Ok(stat.id),
    }
}

/// The id that a file would have in the store.
fn of_local(path: &Path) -> Result<ObjectId, Failure> {
    let failed = |error: io::Error| Failure::local(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let size = if metadata.is_file() {
        metadata.len()
    } else {
        // A pipe does not say how much is in it, and the size is hashed first.
        let mut spooled = tempfile::tempfile().map_err(failed)?;
        let size = io::copy(&mut file, &mut spooled).map_err(failed)?;
        spooled.rewind().map_err(failed)?;
        file = spooled;
        size
    };
    let mut hasher = ObjectHasher::new(ObjectKind::Blob, size);
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = size;
    let mut file = file.take(size);
    while left > 0 {
        let len = file.read(&mut piece).map_err(failed)?;
        if len == 0 {
            return Err(Failure::new(format!(
                "{} became shorter while it was read",
                path.display()
            ))
            .hint("run it again when nobody writes to it"));
        }
        hasher.update(&piece[..len]);
        left -= len as u64;
    }
    hasher
        .finish()
        .map_err(|error| Failure::because(path.display(), &error))
}
