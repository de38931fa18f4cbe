//! `receive.denyCurrentBranch = updateInstead`: which files follow their branch, and when.

use std::fs;

use crate::doors::{BOTH, World};
use crate::git::Git;

/// Repositories whose branch `main` is checked out where it is one commit behind that of `work`.
fn checked_out(world: &World, work: &Git) {
    world.set("receive.denyCurrentBranch", "updateInstead");
    for name in BOTH {
        let inside = world.inside(name);
        inside.run(&["fetch", "-q", work.dir.to_str().unwrap(), "other"]);
        inside.run(&["reset", "-q", "--hard", "FETCH_HEAD"]);
    }
}

#[test]
fn files_are_where_core_worktree_says() {
    let world = World::new().with_working_copies();
    let work = world.work();
    let files = |name: &str| world.path(&format!("{name}-files"));
    for name in BOTH {
        fs::create_dir(files(name)).unwrap();
        let relative = format!("../../{name}-files");
        world
            .inside(name)
            .run(&["config", "core.worktree", &relative]);
    }
    checked_out(&world, &work);
    // Git 2.39 looks for the files beside the repository all the same, and finds that they are gone.
    let push = || work.try_run(&["push", "--porcelain", &world.url("ours"), "main"]);
    assert!(push().ok);
    let text = fs::read_to_string(files("ours").join("a")).unwrap();
    assert_eq!(text, "two\n");
    assert!(!world.path("ours").join("a").exists());
    fs::write(files("ours").join("a"), "mine\n").unwrap();
    work.commit_file("a", "three\n");
    let refused = push();
    let reason = "(Working directory has unstaged changes)";
    assert!(refused.stdout.contains(reason), "{refused:?}");
}

#[test]
fn files_stay_as_they_are_where_their_branch_does_not_move() {
    let world = World::new().with_working_copies();
    let work = world.work();
    checked_out(&world, &work);
    let inside = world.inside("ours");
    let before = inside.run(&["rev-parse", "HEAD"]);
    let url = world.url("ours");
    let push = |args: &[&str], reason: &str| {
        let pushed = work.try_run(&[&["push", "--porcelain"][..], args].concat());
        assert!(!pushed.ok && pushed.stdout.contains(reason), "{pushed:?}");
        assert_eq!(inside.run(&["rev-parse", "HEAD"]), before);
        assert_eq!(inside.run(&["status", "--porcelain"]), "");
        let text = fs::read_to_string(world.path("ours").join("a")).unwrap();
        assert_eq!(text, "one\n");
    };
    push(
        &[&url, "+main^{tree}:refs/heads/main"],
        "(failed to update ref)",
    );
    // Who decides on the transaction is asked before anything is written.
    world.hook("reference-transaction", "test $1 != prepared");
    push(&[&url, "main"], "(failed to update ref)");
    push(
        &["--atomic", &url, "main", "main:new"],
        "(atomic transaction failed)",
    );
}

#[test]
fn files_go_back_when_the_move_fails_behind_them() {
    let world = World::new().with_working_copies();
    let work = world.work();
    checked_out(&world, &work);
    // The log that is to get a line cannot be opened.
    let log = world.path("ours").join(".git/logs/refs/heads/main");
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("main", &log).unwrap();
    let pushed = work.try_run(&["push", "--porcelain", &world.url("ours"), "main"]);
    assert!(!pushed.ok, "{pushed:?}");
    let text = fs::read_to_string(world.path("ours").join("a")).unwrap();
    assert_eq!(text, "one\n");
}

#[test]
fn files_are_found_by_a_path_from_the_folder_of_their_working_copy() {
    let world = World::new().with_working_copies();
    let work = world.work();
    world.set("receive.denyCurrentBranch", "updateInstead");
    let inside = world.inside("ours");
    inside.run(&["fetch", "-q", work.dir.to_str().unwrap(), "other"]);
    let files = world.path("apart");
    let path = files.to_str().unwrap();
    inside.run(&["worktree", "add", "-q", "-b", "apart", path, "FETCH_HEAD"]);
    // As `worktree.useRelativePaths` of Git 2.48 has it.
    let gitdir = world.path("ours").join(".git/worktrees/apart/gitdir");
    fs::write(&gitdir, "../../../../apart/.git\n").unwrap();
    let pushed = work.try_run(&["push", "--porcelain", &world.url("ours"), "main:apart"]);
    assert!(pushed.ok, "{pushed:?}");
    assert_eq!(fs::read_to_string(files.join("a")).unwrap(), "two\n");
}

#[test]
fn what_head_leads_to_is_checked_out_and_nothing_else_is() {
    for (head, name) in [("main", "alias"), ("alias", "main"), ("alias", "alias")] {
        let world = World::new().with_working_copies();
        let work = world.work();
        world.set("receive.denyCurrentBranch", "refuse");
        for both in BOTH {
            let inside = world.inside(both);
            inside.run(&["fetch", "-q", work.dir.to_str().unwrap(), "other"]);
            inside.run(&["reset", "-q", "--hard", "FETCH_HEAD"]);
            inside.run(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
            inside.run(&["symbolic-ref", "HEAD", &format!("refs/heads/{head}")]);
        }
        let (taken, stdout, stderr) = world.push(&work, &["URL", &format!("main:{name}")]);
        assert_eq!(
            taken,
            name == "alias",
            "{head} {name}: {stdout:?} {stderr:?}"
        );
        // Nor is it for further working copies.
        for both in BOTH {
            let inside = world.inside(both);
            let files = world.path(&format!("{both}-apart"));
            inside.run(&["checkout", "-q", "--detach"]);
            let path = files.to_str().unwrap();
            inside.run(&["worktree", "add", "-q", path, "main"]);
            Git::at(files).run(&["symbolic-ref", "HEAD", &format!("refs/heads/{head}")]);
        }
        work.commit_file("a", "three\n");
        let (taken, stdout, stderr) = world.push(&work, &["URL", &format!("main:{name}")]);
        assert_eq!(
            taken,
            name == "alias",
            "{head} {name}: {stdout:?} {stderr:?}"
        );
    }
}

/// It is not a hook's to move its branch: git finds it where the push does not expect it, and here it is locked.
#[test]
fn a_hook_that_moves_its_branch_has_the_push_refused() {
    let world = World::new().with_working_copies();
    let work = world.work();
    checked_out(&world, &work);
    world.hook("push-to-checkout", "git reset -q --hard $1");
    for (name, reason) in BOTH
        .into_iter()
        .zip(["push-to-checkout hook declined", "failed to update ref"])
    {
        let pushed = work.try_run(&["push", "--porcelain", &world.url(name), "main"]);
        assert!(
            !pushed.ok && pushed.stdout.contains(reason),
            "{name}: {pushed:?}"
        );
    }
    let before = work.run(&["rev-parse", "other"]);
    assert_eq!(world.inside("ours").run(&["rev-parse", "HEAD"]), before);
    // One that leaves it where it is, is fine.
    world.hook("push-to-checkout", "git read-tree -u --reset $1");
    assert!(work.try_run(&["push", &world.url("ours"), "main"]).ok);
    assert_eq!(world.inside("ours").run(&["status", "--porcelain"]), "");
}

#[test]
fn a_branch_that_is_being_rebased_or_bisected_is_guarded() {
    for what in ["rebase", "bisect", "neither"] {
        let world = World::new().with_working_copies();
        let work = world.work();
        world.set("receive.denyCurrentBranch", "refuse");
        for both in BOTH {
            let inside = world.inside(both);
            inside.run(&["fetch", "-q", work.dir.to_str().unwrap(), "main"]);
            inside.run(&["reset", "-q", "--hard", "FETCH_HEAD"]);
            let files = world.path(&format!("{both}-apart"));
            let path = files.to_str().unwrap();
            inside.run(&["worktree", "add", "-q", "-b", "apart", path]);
            let apart = Git::at(files);
            let here = [(inside, "main"), (apart, "apart")];
            for (copy, branch) in here {
                match what {
                    "rebase" => {
                        let stopped =
                            copy.try_run(&["rebase", "--no-ff", "--exec", "false", "HEAD~1"]);
                        assert!(!stopped.ok, "{stopped:?}");
                    }
                    "bisect" => {
                        copy.run(&["bisect", "start"]);
                        copy.run(&["checkout", "-q", "--detach"]);
                    }
                    _ => drop(copy.run(&["checkout", "-q", "--detach"])),
                }
                let head = copy.try_run(&["symbolic-ref", "-q", "HEAD"]);
                assert!(!head.ok, "{branch} {head:?}");
            }
        }
        work.commit_file("a", "three\n");
        for branch in ["main", "apart"] {
            let refspec = format!("main:{branch}");
            let (taken, stdout, _) = world.push(&work, &["URL", &refspec]);
            assert_eq!(taken, what == "neither", "{what} {branch} {stdout:?}");
        }
    }
}

#[test]
fn the_branches_of_all_working_copies_are_guarded() {
    for is_bare in [false, true] {
        let world = World::bare_if(is_bare);
        let work = world.work();
        for name in BOTH {
            let inside = world.inside(name);
            inside.run(&[
                "fetch",
                "-q",
                work.dir.to_str().unwrap(),
                "other:shown",
                "other:free",
            ]);
            inside.run(&["update-ref", "refs/heads/main", "shown"]);
            if !is_bare {
                inside.run(&["reset", "-q", "--hard"]);
            }
            let linked = world.path(&format!("{name}-linked"));
            inside.run(&["worktree", "add", "-q", linked.to_str().unwrap(), "shown"]);
        }
        for deny in ["refuse", "warn", "ignore", "updateInstead"] {
            world.set("receive.denyCurrentBranch", deny);
            for refspec in ["main:free", "main:main", "main:shown", ":shown", ":main"] {
                let (ok, ..) = world.push(&work, &["URL", refspec]);
                let is_shown = refspec != "main:free" && !(is_bare && refspec == "main:main");
                let is_guarded = refspec.starts_with(':') || (is_shown && deny == "refuse");
                assert_eq!(ok, !is_guarded, "{is_bare} {deny} {refspec}");
                if ok {
                    let back = refspec.replace("main:", "+other:");
                    world.push(&work, &["URL", &back]);
                }
            }
            world.unset("receive.denyCurrentBranch");
        }
    }
}
