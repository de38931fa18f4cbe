//! `receive.denyCurrentBranch = updateInstead`: the files of a working copy go with the branch they show.
//!
//! The files are brought up to date by the installed `git`, or by the `push-to-checkout` hook.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use packhouse_object::ObjectId;
use packhouse_wire::Messages;

use super::hooks::{HookCall, Hooks};
use super::place::WorkingCopy;

const HOOK: &str = "push-to-checkout";

/// What Git calls the tree that has nothing in it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Brings the files to the commit `new`. The error is the reason as git shows it.
pub(super) fn update(
    copy: &WorkingCopy,
    hooks: &Hooks,
    old: Option<ObjectId>,
    new: ObjectId,
    messages: &dyn Messages,
) -> Result<(), &'static str> {
    let Some(files) = &copy.files else {
        return Err("denyCurrentBranch = updateInstead needs a worktree");
    };
    let places: Vec<(String, OsString)> = vec![
        ("GIT_DIR".to_owned(), copy.git_dir.clone().into()),
        ("GIT_WORK_TREE".to_owned(), files.clone().into()),
    ];
    if hooks.has(HOOK) {
        let call = HookCall {
            name: HOOK,
            arguments: vec![new.to_string().into()],
            variables: &places,
            input: None,
        };
        return match hooks.run(call, messages) {
            Ok(true) => Ok(()),
            _ => Err("push-to-checkout hook declined"),
        };
    }
    let git = |arguments: &[&str]| {
        let mut command = hooks.command(Path::new("git"));
        command
            .args(arguments)
            .current_dir(files)
            .envs(places.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !git(&["update-index", "-q", "--ignore-submodules", "--refresh"]) {
        return Err("Up-to-date check failed");
    }
    if !git(&["diff-files", "--quiet", "--ignore-submodules", "--"]) {
        return Err("Working directory has unstaged changes");
    }
    let before = old.map_or_else(|| EMPTY_TREE.to_owned(), |_| "HEAD".to_owned());
    if !git(&[
        "diff-index",
        "--quiet",
        "--cached",
        "--ignore-submodules",
        &before,
        "--",
    ]) {
        return Err("Working directory has staged changes");
    }
    if !git(&["read-tree", "-u", "-m", &new.to_string()]) {
        return Err("Could not update working tree to new HEAD");
    }
    Ok(())
}
