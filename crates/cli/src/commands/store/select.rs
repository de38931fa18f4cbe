//! Which commit a command reads, and which branch it writes: options and `ref:path` arguments together.

use bstr::BString;
use packhouse_object::ObjectId;
use packhouse_repo::store::{LogFilter, Snapshot, Store, StoreError};

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::moment;
use super::ref_path::RefPath;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Checks that options and arguments do not say different things.
///
/// # Errors
///
/// An argument names a ref and so does an option; `~N` and `--back` are both given; the filters could be meant for
/// several refs.
pub(crate) fn check<'a>(
    places: impl IntoIterator<Item = &'a RefPath>,
    branch: &BranchFlag,
    flags: &SnapshotFlags,
) -> Result<(), Failure> {
    let mut named: Option<&RefPath> = None;
    let mut several = false;
    for place in places {
        if place.has_ref() {
            conflict(branch.branch.is_some(), "-b/--branch", place)?;
            conflict(flags.name.is_some(), "--ref", place)?;
            several |= named.is_some_and(|other| other.rev() != place.rev());
            named = Some(place);
        }
        if place.back > 0 && flags.back.is_some() {
            return Err(Failure::new(format!(
                "Cannot use --back together with ~N in '{}:'",
                place.rev()
            ))
            .hint("leave out one of them"));
        }
    }
    if several && flags.filters() {
        return Err(Failure::new(
            "Cannot use snapshot filters (--path, --match, --before, --back) with paths in different refs",
        )
        .hint("run the command once for each ref"));
    }
    Ok(())
}

fn conflict(given: bool, option: &str, place: &RefPath) -> Result<(), Failure> {
    match given {
        true => Err(Failure::new(format!(
            "Cannot use {option} together with an explicit ref in '{}:'",
            place.rev()
        ))
        .hint(format!("leave out {option}, or begin the path with ':'"))),
        false => Ok(()),
    }
}

/// The snapshot that `place` is in, as options say it. `place` without a ref is in the branch or ref of the options.
///
/// # Errors
///
/// There is no such ref or commit, or the filters find none.
pub(crate) fn snapshot(
    store: &Store,
    place: &RefPath,
    branch: &BranchFlag,
    flags: &SnapshotFlags,
) -> Result<Snapshot, Failure> {
    let found = base(store, place, branch, flags)?;
    filtered(found, flags)
}

/// The snapshot that options name, without an argument.
///
/// # Errors
///
/// As [`snapshot`].
pub(crate) fn chosen(
    store: &Store,
    branch: &BranchFlag,
    flags: &SnapshotFlags,
) -> Result<Snapshot, Failure> {
    snapshot(store, &RefPath::default(), branch, flags)
}

/// The commit that a ref names, before any filter.
///
/// # Errors
///
/// There is no such ref.
pub(crate) fn base(
    store: &Store,
    place: &RefPath,
    branch: &BranchFlag,
    flags: &SnapshotFlags,
) -> Result<Snapshot, Failure> {
    let name = match (place.has_ref(), &flags.name) {
        (true, _) => Some(place.name.as_str()),
        (false, name) => name.as_deref(),
    };
    match name {
        Some(name) => back(store.snapshot(name, 0)?, place.back),
        None => back(tip(store, &branch_name(store, branch)?)?, place.back),
    }
}

/// The commit `steps` before one.
///
/// # Errors
///
/// History is too short.
pub(crate) fn back(snapshot: Snapshot, steps: u64) -> Result<Snapshot, Failure> {
    match snapshot.back(steps) {
        Err(error @ StoreError::Invalid { .. }) => {
            Err(Failure::from(error).hint("`log` shows the commits there are"))
        }
        found => Ok(found?),
    }
}

/// The newest commit from `snapshot` on that matches the filters, then `--back`.
///
/// # Errors
///
/// None matches, or history is too short.
pub(crate) fn filtered(snapshot: Snapshot, flags: &SnapshotFlags) -> Result<Snapshot, Failure> {
    let filter = log_filter(flags)?;
    let found = match filter.path.is_some() || filter.matching.is_some() || filter.before.is_some()
    {
        false => snapshot,
        true => snapshot.log(filter)?.next().ok_or_else(|| {
            Failure::new("No matching commits found")
                .hint("`log` shows the commits, with their times and messages")
        })??,
    };
    back(found, flags.back.unwrap_or(0))
}

/// The filters of the options, without `--ref` and `--back`.
///
/// # Errors
///
/// `--before` is no time.
pub(crate) fn log_filter(flags: &SnapshotFlags) -> Result<LogFilter, Failure> {
    Ok(LogFilter {
        path: flags
            .path
            .as_ref()
            .map(|path| BString::from(path.as_bytes())),
        matching: flags.matching.clone(),
        before: flags.before.as_deref().map(moment::parse).transpose()?,
    })
}

/// The branch of `-b`, else the one that `HEAD` names, which must exist if any branch does.
///
/// # Errors
///
/// The refs cannot be read, or `HEAD` names no branch that exists.
pub(crate) fn branch_name(store: &Store, flag: &BranchFlag) -> Result<String, Failure> {
    if let Some(name) = &flag.branch {
        return Ok(name.clone());
    }
    let branches = store.branches();
    if let Some(name) = branches.current_name()? {
        return Ok(name);
    }
    let named = branches.head_name()?;
    if branches.is_empty()? {
        return Ok(named.unwrap_or_else(|| "main".to_owned()));
    }
    Err(no_current(named.as_deref()))
}

/// There are branches, and `HEAD` names none of them.
pub(crate) fn no_current(named: Option<&str>) -> Failure {
    let problem = match named {
        Some(name) => format!("HEAD names the branch '{name}', which does not exist"),
        None => "HEAD is detached: it names no branch".to_owned(),
    };
    Failure::new(problem).hint("choose a branch with -b, or for good with `branch current -b NAME`")
}

/// The newest state of a branch.
///
/// # Errors
///
/// There is no such branch.
pub(crate) fn tip(store: &Store, branch: &str) -> Result<Snapshot, Failure> {
    let branches = store.branches();
    match branches.get(branch) {
        Err(StoreError::NoSuchBranch { name }) => {
            let hint = match branches.is_empty()? {
                true => {
                    format!("the repository has no branches; `branch set {name} --empty` makes one")
                }
                false => "`branch list` shows the branches there are".to_owned(),
            };
            Err(Failure::new(format!("Branch not found: {name}")).hint(hint))
        }
        found => Ok(found?),
    }
}

/// The branch that `places` write to, which must be one and a branch.
///
/// # Errors
///
/// They are several, or a tag, or in the past.
pub(crate) fn writable_branch<'a>(
    store: &Store,
    places: impl IntoIterator<Item = &'a RefPath>,
    branch: &BranchFlag,
) -> Result<String, Failure> {
    let mut found: Option<String> = None;
    for place in places {
        if place.back > 0 {
            return Err(Failure::new("Cannot write to a historical commit")
                .hint("leave out ~N; only the newest state of a branch can be written"));
        }
        let name = match place.has_ref() {
            true => place.name.clone(),
            false => branch_name(store, branch)?,
        };
        check_is_branch(store, &name)?;
        match &found {
            Some(other) if *other != name => {
                return Err(Failure::new(format!(
                    "All paths must be in the same branch, not in '{other}' and '{name}'"
                ))
                .hint("run the command once for each branch"));
            }
            _ => found = Some(name),
        }
    }
    match found {
        Some(name) => Ok(name),
        None => branch_name(store, branch),
    }
}

fn check_is_branch(store: &Store, name: &str) -> Result<(), Failure> {
    if store.branches().contains(name)? {
        Ok(())
    } else if store.tags().contains(name)? {
        Err(Failure::new(format!("Cannot write to tag '{name}'")).hint("write to a branch"))
    } else if store.snapshot(name, 0).is_ok() {
        Err(Failure::new(format!("Cannot write to commit '{name}'")).hint("write to a branch"))
    } else {
        Err(
            Failure::new(format!("Branch not found: {name}")).hint(format!(
                "make it with `branch set {name}`, or `branch set {name} --empty`"
            )),
        )
    }
}

/// The branch an argument asks for, for making a repository that does not exist yet.
pub(crate) fn first_branch<'a>(place: &'a RefPath, branch: &'a BranchFlag) -> Option<&'a str> {
    match place.has_ref() {
        true => Some(&place.name),
        false => branch.branch.as_deref(),
    }
}

/// The commits that `--parent` names.
///
/// # Errors
///
/// There is no such ref.
pub(crate) fn parents(store: &Store, names: &[OsString]) -> Result<Vec<ObjectId>, Failure> {
    let commit = |name: &OsString| {
        let place = RefPath::parse_with_bare_ref(name)?;
        Ok(base(
            store,
            &place,
            &BranchFlag::default(),
            &SnapshotFlags::default(),
        )?
        .commit())
    };
    names.iter().map(commit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Vec<RefPath> {
        let parse = |text: &&str| RefPath::parse(text.as_ref()).unwrap();
        texts.iter().map(parse).collect()
    }

    fn refused(texts: &[&str], branch: Option<&str>, flags: SnapshotFlags) -> Option<String> {
        let branch = BranchFlag {
            branch: branch.map(str::to_owned),
        };
        let done = check(&places(texts), &branch, &flags);
        done.err().map(|failure| failure.to_string())
    }

    fn reference(name: &str) -> SnapshotFlags {
        SnapshotFlags {
            name: Some(name.to_owned()),
            ..SnapshotFlags::default()
        }
    }

    fn back(back: u64) -> SnapshotFlags {
        SnapshotFlags {
            back: Some(back),
            ..SnapshotFlags::default()
        }
    }

    #[test]
    fn a_ref_in_a_path_excludes_the_options_for_one() {
        assert!(
            refused(&["main:a"], Some("dev"), SnapshotFlags::default())
                .unwrap()
                .contains("-b")
        );
        assert!(
            refused(&["main:a"], None, reference("dev"))
                .unwrap()
                .contains("--ref")
        );
        assert_eq!(refused(&[":a", "b"], Some("dev"), reference("dev")), None);
        assert_eq!(
            refused(&["~2:a"], Some("dev"), SnapshotFlags::default()),
            None
        );
    }

    #[test]
    fn two_ways_to_walk_back_exclude_each_other() {
        for path in ["~1:a", "main~1:a"] {
            assert!(refused(&[path], None, back(1)).unwrap().contains("--back"));
        }
        assert_eq!(refused(&["main:a"], None, back(2)), None);
    }

    #[test]
    fn filters_are_for_one_ref() {
        let said = refused(&["main:a", "dev:b"], None, back(1)).unwrap();
        assert!(said.contains("different refs"), "{said}");
        assert_eq!(refused(&["main:a", "main:b"], None, back(1)), None);
        assert_eq!(refused(&["main:a", ":b"], None, back(1)), None);
        assert_eq!(
            refused(&["main:a", "dev:b"], None, SnapshotFlags::default()),
            None
        );
    }
}
