//! From disk into the store.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};
use packhouse_repo::store::{
    CommitOptions, CopyIn, Edits, ExcludeFilter, FileType, NewContent, Snapshot, Store, disk_glob,
    join,
};
use packhouse_repo::under_way::is_under_way;

use super::{CpArgs, basename, delete_needs_a_folder, has_pivot};
use crate::commands::store::changes::{self, Counted, Shown};
use crate::commands::store::failure::Failure;
use crate::commands::store::ls::has_wildcard;
use crate::commands::store::output;
use crate::commands::store::ref_path::RefPath;
use crate::commands::store::rm::no_match;
use crate::commands::store::select;
use crate::commands::store::session::{Missing, Session};
use crate::commands::store::until_stopped::UntilStopped;

/// Files up to this size are stored before a signal could be noticed.
const SHORT_BYTES: u64 = 1 << 20;

pub(super) fn run(
    args: &CpArgs,
    session: &Session,
    sources: Vec<OsString>,
    dest: &RefPath,
) -> Result<(), Failure> {
    // Read once, and before anything is made or a signal is waited for: it may be a pipe whose writer takes its time.
    let exclude = args.exclude.filter(false)?;
    let first = select::first_branch(dest, &args.branch);
    let missing = Missing::of(args.create, args.dry_run);
    session.work(first, missing, |store| {
        copy(args, session, store, &sources, dest, exclude)
    })
}

fn copy(
    args: &CpArgs,
    session: &Session,
    store: &Store,
    sources: &[OsString],
    dest: &RefPath,
    exclude: Option<ExcludeFilter>,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let branch = select::writable_branch(store, [dest], &args.branch)?;
    changes::check_tag(store, &args.commit.tag)?;
    let tip = select::tip(store, &branch)?;
    if let Some(one) = single_file(args, sources, exclude.as_ref()) {
        if args.delete {
            return Err(delete_needs_a_folder());
        }
        return copy_one(args, session, store, &tip, one, dest);
    }
    let dest = dest.path.trim_end_with(|char| char == '/');
    let progress = session.progress("copying");
    let options = CopyIn {
        sources: expand(sources, args.glob.no_glob)?,
        dest: dest.into(),
        dry_run,
        follow_symlinks: args.follow_symlinks,
        message: args.commit.message.clone(),
        mode: args.file_type(),
        ignore_existing: args.ignore_existing,
        delete: args.delete,
        ignore_errors: args.ignore_errors,
        checksum: args.checksum,
        exclude,
        keep_excluded: args.exclude.keep_excluded,
        operation: Some("cp".to_owned()),
        parents: select::parents(store, &args.commit.parents)?,
        progress: Some(&progress),
    };
    let copied = tip.copy_in(&options)?;
    drop(progress);
    if !dry_run {
        changes::tag(session, store, &copied, &args.commit.tag)?;
    }
    let before = changes::stored_prefix(dest);
    let counted = match copied.commit() == tip.commit() {
        true => Counted::Nothing,
        false => Counted::Written,
    };
    let shown = Shown {
        before: before.as_ref(),
        dry_run,
        done: "Copied",
        counted,
    };
    changes::finish(session, &copied, &shown)
}

/// A source that is copied to exactly the destination.
struct One<'a> {
    source: &'a OsStr,
    metadata: Metadata,
    excluded: bool,
}

/// The source, if it is one that is copied to exactly the destination: one file, not a pattern, not a folder.
fn single_file<'a>(
    args: &CpArgs,
    sources: &'a [OsString],
    exclude: Option<&ExcludeFilter>,
) -> Option<One<'a>> {
    let [source] = sources else {
        return None;
    };
    let bytes = source.as_bytes();
    if (!args.glob.no_glob && has_wildcard(bytes)) || bytes.ends_with(b"/") || has_pivot(bytes) {
        return None;
    }
    let metadata = match args.follow_symlinks {
        true => fs::metadata(source),
        false => fs::symlink_metadata(source),
    };
    let metadata = metadata.ok().filter(|metadata| !metadata.is_dir())?;
    let excluded = exclude.is_some_and(|filter| filter.is_excluded(basename(source), false));
    Some(One {
        source,
        metadata,
        excluded,
    })
}

fn copy_one(
    args: &CpArgs,
    session: &Session,
    store: &Store,
    tip: &Snapshot,
    one: One<'_>,
    dest: &RefPath,
) -> Result<(), Failure> {
    let One {
        source,
        metadata,
        excluded,
    } = one;
    let name = basename(source);
    if is_under_way(OsStr::from_bytes(&name)) {
        let why = format!(
            "{} is under way, or was left by a command that was killed",
            source.display()
        );
        return Err(Failure::new(why).hint("run that command again, or give the file another name"));
    }
    let folder = dest.path.trim_end_with(|char| char == '/');
    let is_folder = dest.path.is_empty() || dest.path.ends_with(b"/") || tip.is_dir(folder)?;
    let path = match is_folder {
        true => join(folder, &name),
        false => BString::from(folder),
    };
    let kept = args.ignore_existing && tip.exists(&path)?;
    let dry_run = args.dry_run.dry_run;
    let nothing = excluded || kept;
    if dry_run && !session.json() {
        return match nothing {
            true => Ok(()),
            false => {
                if metadata.is_file() {
                    File::open(source).map_err(|error| Failure::local(source.as_ref(), &error))?;
                }
                show(source, &path)
            }
        };
    }
    let options = CommitOptions {
        message: args.commit.message.clone(),
        operation: Some("cp".to_owned()),
        parents: select::parents(store, &args.commit.parents)?,
        dry_run,
        ..CommitOptions::default()
    };
    let copied = match nothing {
        true => tip.clone(),
        // What is stored for a dry run goes with the edits.
        false => {
            let mut edits = Edits::new(store);
            match metadata.is_symlink() {
                true => {
                    let target = link_target(source.as_ref())?;
                    edits.put(&path, NewContent::Symlink(target), None)?;
                }
                false => put_file(
                    &mut edits,
                    &path,
                    source.as_ref(),
                    &metadata,
                    args.file_type(),
                )?,
            }
            tip.commit_edits(edits, options)?
        }
    };
    if !dry_run {
        changes::tag(session, store, &copied, &args.commit.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run,
        done: "Copied",
        counted: Counted::Written,
    };
    changes::finish(session, &copied, &shown)
}

/// Stores a file. A signal ends it in order, however large the file is.
fn put_file(
    edits: &mut Edits,
    path: &[u8],
    source: &Path,
    metadata: &Metadata,
    file_type: Option<FileType>,
) -> Result<(), Failure> {
    // A pipe does not say how much is in it.
    let size = metadata.is_file().then_some(metadata.len());
    let id = match size {
        Some(0..=SHORT_BYTES) => edits.sink.add_file(source)?,
        _ => {
            let file = File::open(source).map_err(|error| Failure::local(source, &error))?;
            edits.sink.add_reader(&mut UntilStopped::new(file), size)?
        }
    };
    let by_itself = match metadata.permissions().mode() & 0o111 {
        0 => FileType::Blob,
        _ => FileType::Executable,
    };
    Ok(edits.set(path, file_type.unwrap_or(by_itself), id)?)
}

fn show(source: &OsStr, path: &[u8]) -> Result<(), Failure> {
    let mut out = output::stdout();
    out.write_all(source.as_bytes())?;
    output::path_line(&mut out, " -> :", path.as_bstr())?;
    Ok(out.flush()?)
}

fn link_target(link: &Path) -> Result<BString, Failure> {
    let target = fs::read_link(link).map_err(|error| Failure::local(link, &error))?;
    Ok(target.into_os_string().into_vec().into())
}

/// Replaces patterns by the files they find.
fn expand(sources: &[OsString], no_glob: bool) -> Result<Vec<OsString>, Failure> {
    let mut found = Vec::new();
    for source in sources {
        if no_glob || !has_wildcard(source.as_bytes()) {
            found.push(source.clone());
            continue;
        }
        let matches = disk_glob(source);
        if matches.is_empty() {
            return Err(no_match(source.as_bytes().as_bstr()));
        }
        found.extend(matches);
    }
    Ok(found)
}
