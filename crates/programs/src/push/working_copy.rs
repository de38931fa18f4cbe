//! `receive.denyCurrentBranch = updateInstead`: the files of a working copy go with the branch they show.
//!
//! They are looked at and changed while the branch is locked and known to be where the push expects it, and changed
//! last before it moves. If it does not move after all, they are taken back to where it is. The installed `git` does
//! that, or the `push-to-checkout` hook.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;

use packhouse_object::{ObjectId, RefName};
use packhouse_wire::Messages;

use super::hooks::{HookCall, Hooks};
use super::place::WorkingCopy;
use super::update::{Planned, say_error};

const HOOK: &str = "push-to-checkout";

/// What Git calls the tree that has nothing in it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Files that cannot follow their branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stuck {
    /// Which of the moves they belong to.
    pub(super) at: usize,
    /// The reason as git shows it.
    pub(super) reason: &'static str,
}

/// The files that go with the moves of one transaction.
#[derive(Debug)]
pub(super) struct Followers<'p> {
    hooks: &'p Hooks,
    all: Vec<Follower<'p>>,
    /// How many of them have been brought along.
    brought: usize,
}

#[derive(Debug)]
struct Follower<'p> {
    at: usize,
    name: &'p RefName,
    copy: &'p WorkingCopy,
    old: Option<ObjectId>,
    new: ObjectId,
}

impl<'p> Followers<'p> {
    pub(super) fn of(planned: &'p [Planned], hooks: &'p Hooks) -> Followers<'p> {
        let all = planned.iter().enumerate().filter_map(|(at, planned)| {
            Some(Follower {
                at,
                name: &planned.edit.name,
                copy: planned.followed_by.as_ref()?,
                old: planned.edit.old,
                new: planned.edit.new?,
            })
        });
        Followers {
            hooks,
            all: all.collect(),
            brought: 0,
        }
    }

    /// Whether all can follow, as far as that can be seen. A hook judges for itself.
    pub(super) fn check(&self) -> Result<(), Stuck> {
        let has_hook = self.hooks.has(HOOK);
        self.all.iter().try_for_each(|follower| {
            let checked = match has_hook {
                true => follower.files().map(drop),
                false => follower.check(self.hooks),
            };
            checked.map_err(|reason| follower.stuck(reason))
        })
    }

    /// Brings the files along.
    pub(super) fn bring(&mut self, messages: &dyn Messages) -> Result<(), Stuck> {
        for follower in &self.all {
            let brought = follower.bring(self.hooks, messages);
            brought.map_err(|reason| follower.stuck(reason))?;
            self.brought += 1;
        }
        Ok(())
    }

    /// Takes back those whose branch did not move; `is_at` says whether one is where it was to go.
    pub(super) fn take_back(
        self,
        is_at: &dyn Fn(&RefName, ObjectId) -> bool,
        messages: &dyn Messages,
    ) {
        for follower in &self.all[..self.brought] {
            if !is_at(follower.name, follower.new) && !follower.take_back(self.hooks) {
                let files = follower.copy.files.as_deref().unwrap_or(Path::new(""));
                say_error(
                    messages,
                    &format!(
                        "the files in '{}' are those of {}, where {} is not",
                        files.display(),
                        follower.new,
                        follower.name
                    ),
                );
            }
        }
    }
}

impl Follower<'_> {
    fn stuck(&self, reason: &'static str) -> Stuck {
        Stuck {
            at: self.at,
            reason,
        }
    }

    fn files(&self) -> Result<&Path, &'static str> {
        let files = self.copy.files.as_deref();
        files.ok_or("denyCurrentBranch = updateInstead needs a worktree")
    }

    fn places(&self, files: &Path) -> [(String, OsString); 2] {
        [
            ("GIT_DIR".to_owned(), self.copy.git_dir.clone().into()),
            ("GIT_WORK_TREE".to_owned(), files.into()),
        ]
    }

    /// Whether nobody has changed them.
    fn check(&self, hooks: &Hooks) -> Result<(), &'static str> {
        let files = self.files()?;
        if !self.git(
            hooks,
            files,
            &["update-index", "-q", "--ignore-submodules", "--refresh"],
        ) {
            return Err("Up-to-date check failed");
        }
        if !self.git(
            hooks,
            files,
            &["diff-files", "--quiet", "--ignore-submodules", "--"],
        ) {
            return Err("Working directory has unstaged changes");
        }
        let before = self.old.map_or(EMPTY_TREE, |_| "HEAD");
        if !self.git(
            hooks,
            files,
            &[
                "diff-index",
                "--quiet",
                "--cached",
                "--ignore-submodules",
                before,
                "--",
            ],
        ) {
            return Err("Working directory has staged changes");
        }
        Ok(())
    }

    fn bring(&self, hooks: &Hooks, messages: &dyn Messages) -> Result<(), &'static str> {
        let files = self.files()?;
        if hooks.has(HOOK) {
            let call = HookCall {
                name: HOOK,
                arguments: vec![self.new.to_string().into()],
                variables: &self.places(files),
                input: None,
            };
            return match hooks.run(call, messages) {
                Ok(true) => Ok(()),
                _ => Err("push-to-checkout hook declined"),
            };
        }
        match self.read_tree(hooks, files, &self.new.to_string()) {
            true => Ok(()),
            false => Err("Could not update working tree to new HEAD"),
        }
    }

    fn take_back(&self, hooks: &Hooks) -> bool {
        let tree = self
            .old
            .map_or_else(|| EMPTY_TREE.to_owned(), |old| old.to_string());
        self.files()
            .is_ok_and(|files| self.read_tree(hooks, files, &tree))
    }

    fn read_tree(&self, hooks: &Hooks, files: &Path, tree: &str) -> bool {
        self.git(hooks, files, &["read-tree", "-u", "-m", tree])
    }

    fn git(&self, hooks: &Hooks, files: &Path, arguments: &[&str]) -> bool {
        let mut command = hooks.command(Path::new("git"));
        command
            .args(arguments)
            .current_dir(files)
            .envs(self.places(files))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}
