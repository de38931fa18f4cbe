//! From the store to disk.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_repo::store::{CopyOut, FileType, Snapshot};

use super::{CpArgs, basename, delete_needs_a_folder, has_pivot};
use crate::commands::store::changes::{self, Counted, Shown};
use crate::commands::store::failure::Failure;
use crate::commands::store::ls::has_wildcard;
use crate::commands::store::output;
use crate::commands::store::ref_path::RefPath;
use crate::commands::store::rm::expand;
use crate::commands::store::select;
use crate::commands::store::session::Session;

pub(super) fn run(
    args: &CpArgs,
    session: &Session,
    sources: &[RefPath],
    dest: PathBuf,
) -> Result<(), Failure> {
    let store = session.open()?;
    let mut groups: Vec<(Snapshot, Vec<BString>)> = Vec::new();
    for place in sources {
        let snapshot = select::snapshot(&store, place, &args.branch, &args.snapshot)?;
        let paths = expand(&snapshot, [&place.path], args.glob)?;
        match groups.last_mut() {
            Some((other, group)) if other.commit() == snapshot.commit() => group.extend(paths),
            _ => groups.push((snapshot, paths)),
        }
    }
    if let Some((snapshot, path)) = single_file(args, sources, &groups)? {
        if args.delete {
            return Err(delete_needs_a_folder());
        }
        return copy_one(args, session, &snapshot, &path, &dest);
    }
    let mut groups = groups.into_iter();
    let Some((snapshot, paths)) = groups.next() else {
        return Ok(());
    };
    let others: Vec<_> = groups.collect();
    let in_one_commit = others
        .iter()
        .all(|(other, _)| other.commit() == snapshot.commit());
    if args.delete && !in_one_commit {
        return Err(
            Failure::new("Cannot use --delete with sources in different refs")
                .hint("use one cp for each ref"),
        );
    }
    let progress = session.progress("copying");
    let options = CopyOut {
        sources: paths,
        dest: dest.clone(),
        progress: Some(&progress),
        ..args.to_disk()
    };
    let copied = snapshot.copy_out_with(&others, &options)?;
    drop(progress);
    finish(args, session, &copied, in_one_commit, &dest)
}

impl CpArgs {
    fn to_disk(&self) -> CopyOut<'static> {
        CopyOut {
            dry_run: self.dry_run.dry_run,
            ignore_existing: self.ignore_existing,
            delete: self.delete,
            ignore_errors: self.ignore_errors,
            checksum: self.checksum,
            ..CopyOut::default()
        }
    }
}

fn finish(
    args: &CpArgs,
    session: &Session,
    copied: &Snapshot,
    in_one_commit: bool,
    folder: &Path,
) -> Result<(), Failure> {
    let before = local_prefix(folder);
    let shown = Shown {
        before: before.as_ref(),
        dry_run: args.dry_run.dry_run,
        done: "Copied",
        counted: Counted::Written,
    };
    match in_one_commit {
        true => changes::finish(session, copied, &shown),
        false => changes::finish_of_several(session, copied, &shown),
    }
}

/// The source, if it is one that is copied to exactly the destination.
fn single_file(
    args: &CpArgs,
    sources: &[RefPath],
    groups: &[(Snapshot, Vec<BString>)],
) -> Result<Option<(Snapshot, BString)>, Failure> {
    let ([source], [(snapshot, paths)]) = (sources, groups) else {
        return Ok(None);
    };
    let path = &source.path;
    let is_pattern = !args.glob.no_glob && has_wildcard(path);
    if is_pattern || path.is_empty() || path.ends_with(b"/") || has_pivot(path) {
        return Ok(None);
    }
    let is_dir = snapshot.is_dir(path)?;
    Ok((!is_dir && paths.len() == 1).then(|| (snapshot.clone(), path.clone())))
}

fn is_folder(dest: &Path) -> bool {
    dest.as_os_str().as_bytes().ends_with(b"/") || dest.is_dir()
}

/// Copies one file: to exactly the destination, unless that is a folder.
fn copy_one(
    args: &CpArgs,
    session: &Session,
    snapshot: &Snapshot,
    path: &BString,
    dest: &Path,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let exact = !is_folder(dest);
    let pours = exact && !dry_run && !args.ignore_existing && is_pipe_or_device(dest);
    let name = basename(OsStr::from_bytes(path));
    let (folder, file) = match exact {
        true => (dest.parent().unwrap_or(Path::new("")), dest.to_owned()),
        false => (dest, dest.join(OsStr::from_bytes(&name))),
    };
    let progress = session.progress("copying");
    let options = CopyOut {
        sources: vec![path.clone()],
        dest: dest.to_owned(),
        exact,
        dry_run: dry_run || pours,
        progress: Some(&progress),
        ..args.to_disk()
    };
    let copied = snapshot.copy_out(&options)?;
    if pours {
        pour_into(snapshot, path, dest)?;
    }
    drop(progress);
    if dry_run && !session.json() {
        // Told as one file whose place is exactly given.
        return match copied.changes() {
            Some(report) if !report.in_sync() => show(path, &file),
            _ => Ok(()),
        };
    }
    finish(args, session, &copied, true, folder)
}

fn is_pipe_or_device(dest: &Path) -> bool {
    fs::metadata(dest).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes a file into what is there, which stays what it is.
fn pour_into(snapshot: &Snapshot, path: &BString, dest: &Path) -> Result<(), Failure> {
    if snapshot.stat(path)?.file_type == FileType::Link {
        let dest = dest.display();
        let why = format!("'{dest}' is no file: the link '{path}' cannot be written into it");
        return Err(Failure::new(why).hint("name a file that does not exist, or is a plain one"));
    }
    let mut content = snapshot.reader(path)?;
    let failed = |error: io::Error| match error.kind() {
        // As on standard output: who reads has had enough.
        io::ErrorKind::BrokenPipe => error.into(),
        _ => Failure::local(dest, &error),
    };
    let mut out = fs::OpenOptions::new()
        .write(true)
        .open(dest)
        .map_err(failed)?;
    io::copy(&mut content, &mut out).map_err(failed)?;
    Ok(())
}

fn show(path: &BString, dest: &Path) -> Result<(), Failure> {
    let mut out = output::stdout();
    out.write_all(b":")?;
    out.write_all(path)?;
    output::path_line(&mut out, " -> ", dest.as_os_str().as_bytes().as_bstr())?;
    Ok(out.flush()?)
}

/// What stands before the paths of a report about `dest`.
pub(crate) fn local_prefix(dest: &Path) -> BString {
    BString::from(dest.join("").into_os_string().into_vec())
}
