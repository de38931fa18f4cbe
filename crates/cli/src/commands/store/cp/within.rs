//! Within the store, also from one ref to another.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::ObjectId;
use packhouse_repo::store::{
    ChangeReport, CommitOptions, CopyBetween, Edits, FileEntry, FileType, Snapshot, Store,
};

use super::{CpArgs, delete_needs_a_folder, has_pivot};
use crate::commands::store::changes::{self, Counted, Shown};
use crate::commands::store::failure::Failure;
use crate::commands::store::ls::has_wildcard;
use crate::commands::store::ref_path::RefPath;
use crate::commands::store::rm::expand;
use crate::commands::store::select;
use crate::commands::store::session::Session;

pub(super) fn run(
    args: &CpArgs,
    session: &Session,
    sources: &[RefPath],
    dest: &RefPath,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let store = session.open()?;
    let branch = select::writable_branch(&store, [dest], &args.branch)?;
    changes::check_tag(&store, &args.tag)?;
    let tip = select::tip(&store, &branch)?;
    let plan = Plan::make(args, &store, sources, dest, &tip)?;
    let report = plan.report();
    let mut edits = Edits::new(&store);
    for (path, put) in plan.puts {
        edits.set(path, put.file_type, put.id)?;
    }
    for path in plan.deletes.unwrap_or_default() {
        edits.remove(path)?;
    }
    let options = CommitOptions {
        message: args.message.message.clone(),
        operation: Some("cp".to_owned()),
        parents: select::parents(&store, &args.parents.parents)?,
        ..CommitOptions::default()
    };
    let copied = match dry_run {
        true => tip.with_changes(Some(report)),
        false => tip.commit_edits(edits, options)?,
    };
    if !dry_run {
        changes::tag(session, &store, &copied, &args.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run,
        done: "Copied",
        counted: Counted::Written,
    };
    changes::finish(session, &copied, &shown)
}

/// A file to come.
struct Put {
    file_type: FileType,
    id: ObjectId,
    /// Whether something is there already.
    replaces: bool,
}

/// What the copies from all sources come to, as one change.
#[derive(Default)]
struct Plan {
    puts: BTreeMap<BString, Put>,
    /// What no source has; `None` before the first source.
    deletes: Option<BTreeSet<BString>>,
}

impl Plan {
    fn make(
        args: &CpArgs,
        store: &Store,
        sources: &[RefPath],
        dest: &RefPath,
        tip: &Snapshot,
    ) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let folder = dest.path.trim_end_with(|char| char == '/');
        for place in sources {
            let snapshot = select::snapshot(store, place, &args.branch, &args.snapshot)?;
            if sources.len() == 1 && is_single_file(args, &snapshot, &place.path)? {
                if args.delete {
                    return Err(delete_needs_a_folder());
                }
                let to_folder =
                    folder.is_empty() || dest.path.ends_with(b"/") || tip.is_dir(folder)?;
                if !to_folder {
                    plan.put(tip, &snapshot, &place.path, folder.into())?;
                    continue;
                }
            }
            let paths = expand(&snapshot, [&place.path], args.glob)?;
            plan.add(args, tip, &snapshot, &paths, folder)?;
        }
        if args.ignore_existing {
            plan.puts.retain(|_, put| !put.replaces);
        }
        if let Some(deletes) = &mut plan.deletes {
            deletes.retain(|path| !plan.puts.contains_key(path));
        }
        Ok(plan)
    }

    /// What copying from one snapshot alone would do, on top of the others.
    fn add(
        &mut self,
        args: &CpArgs,
        tip: &Snapshot,
        snapshot: &Snapshot,
        paths: &[BString],
        folder: &[u8],
    ) -> Result<(), Failure> {
        let options = CopyBetween {
            delete: args.delete,
            dry_run: true,
            ..CopyBetween::default()
        };
        let alone = tip.copy_from(snapshot, paths, folder, &options)?;
        let Some(report) = alone.changes() else {
            self.deletes = Some(BTreeSet::new());
            return Ok(());
        };
        for entry in report.add.iter().chain(&report.update) {
            let source = entry.source.as_ref().unwrap_or(&entry.path);
            self.put(tip, snapshot, source, entry.path.clone())?;
        }
        let deleted: BTreeSet<BString> = report
            .delete
            .iter()
            .map(|entry| entry.path.clone())
            .collect();
        self.deletes = Some(match self.deletes.take() {
            Some(others) => others.intersection(&deleted).cloned().collect(),
            None => deleted,
        });
        Ok(())
    }

    fn put(
        &mut self,
        tip: &Snapshot,
        snapshot: &Snapshot,
        source: &BString,
        path: BString,
    ) -> Result<(), Failure> {
        let entry = snapshot
            .entry(source)?
            .ok_or_else(|| Failure::new(format!("File not found in repo: {source}")))?;
        let old = tip.entry(&path)?;
        if old
            .as_ref()
            .is_some_and(|old| old.id == entry.id && old.mode == entry.mode)
        {
            return Ok(());
        }
        let put = Put {
            file_type: entry.file_type,
            id: entry.id,
            replaces: old.is_some(),
        };
        // A later source wins, as among the sources of one snapshot.
        self.puts.insert(path, put);
        Ok(())
    }

    fn report(&self) -> ChangeReport {
        let mut report = ChangeReport::default();
        for (path, put) in &self.puts {
            let entry = FileEntry::new(path.clone(), put.file_type);
            match put.replaces {
                true => report.update.push(entry),
                false => report.add.push(entry),
            }
        }
        let deletes = self.deletes.iter().flatten();
        report.delete = deletes
            .map(|path| FileEntry::new(path.clone(), FileType::Blob))
            .collect();
        report
    }
}

fn is_single_file(args: &CpArgs, snapshot: &Snapshot, path: &BString) -> Result<bool, Failure> {
    let is_pattern = !args.glob.no_glob && has_wildcard(path);
    if is_pattern || path.is_empty() || path.ends_with(b"/") || has_pivot(path) {
        return Ok(false);
    }
    Ok(!snapshot.is_dir(path)?)
}
