//! What became of a copy between two refreshes: one that is not what was published any more is made anew.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CallOptions};

use super::remotes::submodules::nested;
use super::remotes::{WithLfs, with_pointers};
use super::{add, check_tree, files, open, path_of};
use crate::git::{Git, init};
use crate::world::World;

type Change<'a> = (&'a str, &'a dyn Fn(&Path));

/// Checks that a copy is made anew after each of the changes, as it was.
fn is_made_anew(cache: &Cache, name: &str, inside: &[&str], changes: &[Change<'_>]) {
    let call = CallOptions::default();
    let place = cache.get(name).unwrap().cache_path;
    let number = || fs::metadata(&place).unwrap().ino();
    let heads = || -> Vec<String> {
        let head = |path: &&str| Git::at(place.join(path)).run(&["rev-parse", "HEAD"]);
        inside.iter().map(head).collect()
    };
    let (expected, commits) = (files(&place), heads());
    for (what, change) in changes {
        let before = number();
        change(&place);
        let entry = cache.refresh(name, &call).unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh, "{what}");
        assert_ne!(number(), before, "{what}");
        assert_eq!(files(&place), expected, "{what}");
        assert_eq!(heads(), commits, "{what}");
        for path in inside {
            check_tree(&place.join(path));
        }
    }
    let before = number();
    cache.refresh(name, &call).unwrap();
    assert_eq!(number(), before, "nothing became of it");
}

/// Cuts off all files of objects, which the mirror has too.
fn cut_off(objects: &Path) {
    let mut folders = vec![objects.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_len(10).unwrap();
        }
    }
}

/// Writes into the middle of all files of objects, which stay as long as they are. The mirror has the same files.
fn write_into(objects: &Path) {
    let mut folders = vec![objects.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => flip(&path),
            }
        }
    }
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 0x55;
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.write_all(&bytes).unwrap();
}

fn packs(copy: &Path) -> Vec<PathBuf> {
    let folder = fs::read_dir(copy.join(".git/objects/pack")).unwrap();
    let packs: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    assert!(!packs.is_empty());
    packs
}

/// One with so many objects that they come in a pack.
fn a_larger_repository(world: &World) -> String {
    let work = init(&world.path("work"));
    for number in 0..300 {
        fs::write(work.dir.join(number.to_string()), number.to_string()).unwrap();
    }
    work.run(&["add", "."]);
    work.run(&["commit", "-q", "-m", "all"]);
    work.run(&["clone", "-q", "--bare", ".", "../source.git"]);
    path_of(&Git::at(world.path("source.git")))
}

fn a_repository(world: &World) -> String {
    let work = init(&world.path("work"));
    fs::create_dir_all(work.dir.join("sub/in")).unwrap();
    fs::write(work.dir.join("sub/in/file"), "inside\n").unwrap();
    fs::write(work.dir.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(work.dir.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("file", work.dir.join("link")).unwrap();
    work.run(&["add", "."]);
    work.run(&["commit", "-q", "-m", "first"]);
    work.commit_file("file", "old\n");
    work.commit_file("file", "new\n");
    work.run(&["clone", "-q", "--bare", ".", "../source.git"]);
    path_of(&Git::at(world.path("source.git")))
}

#[test]
fn a_git_folder_that_lost_something_is_made_anew() {
    let world = World::new();
    let cache = open(&world);
    add(&cache, &a_repository(&world));
    is_made_anew(
        &cache,
        "source",
        &[""],
        &[
            ("objects", &|copy| {
                fs::remove_dir_all(copy.join(".git/objects")).unwrap();
                fs::create_dir(copy.join(".git/objects")).unwrap();
            }),
            ("one file of them", &|copy| {
                let mut folders = vec![copy.join(".git/objects")];
                while let Some(folder) = folders.pop() {
                    for entry in fs::read_dir(folder).unwrap() {
                        let path = entry.unwrap().path();
                        match path.is_dir() {
                            true => folders.push(path),
                            false => return fs::remove_file(path).unwrap(),
                        }
                    }
                }
                panic!("there is none");
            }),
            // The mirror has the same files.
            ("all of them cut off", &|copy| {
                cut_off(&copy.join(".git/objects"))
            }),
            ("all of them written into", &|copy| {
                write_into(&copy.join(".git/objects"));
            }),
            ("HEAD", &|copy| {
                fs::remove_file(copy.join(".git/HEAD")).unwrap()
            }),
            ("refs", &|copy| {
                fs::remove_dir_all(copy.join(".git/refs")).unwrap()
            }),
            ("packed refs", &|copy| {
                fs::remove_file(copy.join(".git/packed-refs")).unwrap()
            }),
            ("emptied HEAD", &|copy| {
                fs::write(copy.join(".git/HEAD"), "").unwrap()
            }),
            ("configuration", &|copy| {
                fs::remove_file(copy.join(".git/config")).unwrap()
            }),
            ("emptied configuration", &|copy| {
                fs::write(copy.join(".git/config"), "").unwrap();
            }),
            ("broken configuration", &|copy| {
                let mut file = fs::File::options()
                    .append(true)
                    .open(copy.join(".git/config"))
                    .unwrap();
                file.write_all(b"[broken\n").unwrap();
            }),
            ("another remote", &|copy| {
                Git::at(copy).run(&["remote", "set-url", "origin", "elsewhere"]);
            }),
            ("files elsewhere", &|copy| {
                Git::at(copy).run(&["config", "core.worktree", "/nowhere"]);
            }),
            ("default branch of the remote", &|copy| {
                fs::write(copy.join(".git/refs/remotes/origin/HEAD"), "").unwrap();
            }),
            ("objects elsewhere", &|copy| {
                fs::write(copy.join(".git/objects/info/alternates"), "/nowhere\n").unwrap();
            }),
            ("replaced commit", &|copy| {
                Git::at(copy).run(&["replace", "HEAD", "HEAD~1"]);
            }),
            ("index", &|copy| {
                fs::remove_file(copy.join(".git/index")).unwrap()
            }),
            ("all", &|copy| {
                fs::remove_dir_all(copy.join(".git")).unwrap()
            }),
        ],
    );
}

/// What was fetched little by little is in a file for each object, and the mirror has the same files. None of these is needed for
/// the files of the copy.
#[test]
fn a_copy_is_made_anew_whose_loose_objects_of_older_commits_somebody_wrote_into() {
    let damage: [Change<'_>; 4] = [
        ("appended", &|path| {
            let mut file = fs::File::options().append(true).open(path).unwrap();
            file.write_all(b"more").unwrap();
        }),
        ("written anew", &|path| {
            fs::write(path, "no object").unwrap()
        }),
        ("emptied", &|path| fs::write(path, "").unwrap()),
        ("written into", &flip),
    ];
    for (how, damage) in damage {
        for object in ["HEAD~1", "HEAD~1^{tree}", "HEAD~1:file"] {
            let world = World::new();
            let cache = open(&world);
            let entry = add(&cache, &a_repository(&world));
            let work = Git::at(world.path("work"));
            for text in ["older", "newest"] {
                work.commit_file("file", text);
                work.run(&["push", "-q", "../source.git", "HEAD"]);
                cache.refresh(&entry.name, &CallOptions::default()).unwrap();
            }
            let change = |copy: &Path| {
                let id = Git::at(copy).run(&["rev-parse", object]);
                let (folder, name) = id.trim().split_at(2);
                let loose = copy.join(".git/objects").join(folder).join(name);
                fs::set_permissions(&loose, PermissionsExt::from_mode(0o644)).unwrap();
                damage(&loose);
            };
            let what = format!("{object} {how}");
            is_made_anew(&cache, &entry.name, &[""], &[(&what, &change)]);
        }
    }
}

/// The mirror has the same file, and so has every tree that is made of it.
#[test]
fn what_is_written_into_a_pack_comes_to_no_other_tree() {
    let world = World::new();
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, &a_larger_repository(&world));
    for pack in packs(&entry.cache_path) {
        flip(&pack);
        let entry = cache.refresh("source", &call).unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh);
        check_tree(&entry.cache_path);
        check_tree(&cache.checkout("source", "main", &call).unwrap().path);
        for mirror in fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap() {
            Git::at(mirror.unwrap().path()).fsck();
        }
    }
}

/// As Git does where it was to write an object that is there.
#[test]
fn files_of_objects_that_are_only_newer_stay() {
    let world = World::new();
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, &a_larger_repository(&world));
    let number = || fs::metadata(&entry.cache_path).unwrap().ino();
    let seals = || -> Vec<String> {
        let files = fs::read_dir(cache.root().join(".packhouse/manifests")).unwrap();
        files
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    };
    let before = number();
    for seconds in [1_000_001, 1_000_002] {
        for pack in packs(&entry.cache_path) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            fs::set_permissions(&pack, PermissionsExt::from_mode(0o644)).unwrap();
            let file = fs::File::options().write(true).open(&pack).unwrap();
            file.set_modified(time).unwrap();
        }
        cache.refresh("source", &call).unwrap();
        assert_eq!(number(), before);
        // They are not read again the next time.
        let noted = format!("{seconds}000000000");
        assert!(
            seals().iter().any(|seal| seal.contains(&noted)),
            "{:?}",
            seals()
        );
    }
}

/// Index and files agree, and `git status` has nothing to say.
#[test]
fn what_git_did_in_a_copy_is_undone() {
    let world = World::new();
    let cache = open(&world);
    add(&cache, &a_repository(&world));
    let git = |args: &'static [&'static str]| move |copy: &Path| drop(Git::at(copy).run(args));
    is_made_anew(
        &cache,
        "source",
        &[""],
        &[
            ("commit", &|copy| {
                Git::at(copy).commit_file("file", "mine\n");
            }),
            ("reset", &git(&["reset", "-q", "--hard", "HEAD~1"])),
            ("reset of HEAD", &git(&["reset", "-q", "--soft", "HEAD~1"])),
            ("checkout", &git(&["checkout", "-q", "HEAD~1"])),
            ("a tag", &git(&["tag", "mine"])),
            (
                "a remote's branch moved",
                &git(&["update-ref", "refs/remotes/origin/main", "HEAD~1"]),
            ),
            (
                "a remote's branch deleted",
                &git(&["update-ref", "-d", "refs/remotes/origin/main"]),
            ),
            ("detached", &git(&["checkout", "-q", "--detach"])),
            ("branch", &git(&["checkout", "-q", "-b", "mine"])),
            ("removed", &git(&["rm", "-q", "file"])),
            ("added", &|copy| {
                fs::write(copy.join("mine"), "").unwrap();
                Git::at(copy).run(&["add", "mine"]);
            }),
            (
                "told to look away",
                &git(&["update-index", "--assume-unchanged", "file"]),
            ),
        ],
    );
}

#[test]
fn files_that_are_not_those_of_the_commit_are_made_anew() {
    let world = World::new();
    let cache = open(&world);
    add(&cache, &a_repository(&world));
    let elsewhere = world.path("elsewhere");
    is_made_anew(
        &cache,
        "source",
        &[""],
        &[
            ("may not run", &|copy| {
                fs::set_permissions(copy.join("run.sh"), PermissionsExt::from_mode(0o644)).unwrap();
            }),
            ("may run", &|copy| {
                fs::set_permissions(copy.join("file"), PermissionsExt::from_mode(0o755)).unwrap();
            }),
            ("folder that is a link", &|copy| {
                fs::rename(copy.join("sub"), &elsewhere).unwrap();
                symlink(&elsewhere, copy.join("sub")).unwrap();
            }),
        ],
    );
    assert_eq!(fs::read(elsewhere.join("in/file")).unwrap(), b"inside\n");
}

#[test]
fn changes_in_submodules_of_a_copy_are_noticed() {
    let world = World::new();
    let cache = open(&world);
    add(&cache, &nested(&world));
    is_made_anew(
        &cache,
        "app",
        &["", "x/lib", "x/lib/in"],
        &[
            ("file", &|copy| {
                fs::write(copy.join("x/lib/code"), "mine").unwrap()
            }),
            ("file further inside", &|copy| {
                fs::remove_file(copy.join("x/lib/in/deep")).unwrap();
            }),
            ("commit", &|copy| {
                Git::at(copy.join("x/lib/in")).commit_file("deep", "mine\n");
            }),
            ("link", &|copy| {
                fs::remove_file(copy.join("x/lib/.git")).unwrap()
            }),
            ("HEAD", &|copy| {
                fs::remove_file(copy.join(".git/modules/the/lib/HEAD")).unwrap();
            }),
            ("objects", &|copy| {
                let modules = copy.join(".git/modules/the/lib/modules/in");
                fs::remove_dir_all(modules.join("objects")).unwrap();
            }),
            ("objects cut off", &|copy| {
                cut_off(&copy.join(".git/modules/the/lib/modules/in/objects"));
            }),
            ("objects written into", &|copy| {
                write_into(&copy.join(".git/modules/the/lib/modules/in/objects"));
            }),
            ("configuration", &|copy| {
                fs::write(copy.join(".git/modules/the/lib/config"), "").unwrap();
            }),
            ("which they are", &|copy| {
                Git::at(copy).run(&["config", "--remove-section", "submodule.the/lib"]);
            }),
            ("all of them", &|copy| {
                fs::remove_dir_all(copy.join(".git/modules")).unwrap();
            }),
        ],
    );
}

#[test]
fn a_working_copy_of_this_machine_is_made_anew_too() {
    let world = World::new();
    a_repository(&world);
    let cache = open(&world);
    std::thread::sleep(Duration::from_millis(2100));
    add(&cache, world.path("work").to_str().unwrap());
    is_made_anew(
        &cache,
        "work",
        &[""],
        &[
            ("HEAD", &|copy| {
                fs::remove_file(copy.join(".git/HEAD")).unwrap()
            }),
            ("objects", &|copy| {
                fs::remove_dir_all(copy.join(".git/objects")).unwrap();
            }),
            ("objects cut off", &|copy| {
                cut_off(&copy.join(".git/objects"))
            }),
            ("objects written into", &|copy| {
                write_into(&copy.join(".git/objects"));
            }),
            ("configuration", &|copy| {
                fs::write(copy.join(".git/config"), "").unwrap();
            }),
            ("commit", &|copy| {
                Git::at(copy).run(&["commit", "-q", "--allow-empty", "-m", "mine"]);
            }),
        ],
    );
}

/// Index and files agree, with other content than was published.
#[test]
fn files_that_git_wrote_in_another_way_are_made_anew() {
    let mut world = World::new();
    with_pointers(&world, &[b"the content"]);
    let site = Arc::new(WithLfs::new(&world, b"the content"));
    let url = format!("{}big.git", world.serve(site));
    let cache = open(&world);
    add(&cache, &url);
    add(&cache, &a_repository(&world));
    let again = |settings: &'static [&'static str], path: &'static str| {
        move |copy: &Path| {
            fs::remove_file(copy.join(path)).unwrap();
            Git::at(copy).run(&[settings, &["checkout", "-q", "--", path]].concat());
            Git::at(copy).run(&["status"]);
        }
    };
    is_made_anew(&cache, "big", &[""], &[("a pointer", &again(&[], "0.bin"))]);
    let ends = again(&["-c", "core.autocrlf=true"], "file");
    is_made_anew(&cache, "source", &[""], &[("ends of lines", &ends)]);
}

/// What is beside that which was published changes nothing of it.
#[test]
fn looking_around_in_a_copy_costs_nothing() {
    let world = World::new();
    let cache = open(&world);
    let entry = add(&cache, &a_repository(&world));
    let copy = Git::at(&entry.cache_path);
    let number = || fs::metadata(&entry.cache_path).unwrap().ino();
    let before = number();
    fs::write(entry.cache_path.join("built"), "beside\n").unwrap();
    for args in [
        &["status"][..],
        &["log", "-p"],
        &["hash-object", "-w", "built"],
        &["update-index", "--refresh"],
        &["config", "user.name", "Somebody"],
    ] {
        copy.run(args);
        cache.refresh(&entry.name, &CallOptions::default()).unwrap();
        assert_eq!(number(), before, "{args:?}");
    }
}

/// As an archive may bring them that somebody else made: what is written there would be written elsewhere.
#[test]
fn a_mirror_with_links_is_refused_by_whoever_needs_it() {
    let world = World::new();
    let source = world.with_history("source");
    let call = CallOptions::default();
    for place in [
        "",
        "objects",
        "objects/pack",
        "refs",
        "config",
        "refs/heads",
    ] {
        let cache = open(&world);
        let entry = add(&cache, &path_of(&source));
        let mirrors = fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap();
        let mirrors: Vec<_> = mirrors.map(|mirror| mirror.unwrap().path()).collect();
        let link = match place {
            "" => mirrors[0].clone(),
            place => mirrors[0].join(place),
        };
        let elsewhere = world.path("elsewhere");
        fs::rename(&link, &elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let all = || match elsewhere.is_dir() {
            true => files(&elsewhere),
            false => vec![(elsewhere.clone(), fs::read(&elsewhere).unwrap())],
        };
        let before = all();
        let work = world.work("source");
        work.commit_file("another", place);
        work.run(&["push", "-q", "../source.git", "main:main"]);
        // Whoever opens the cache need not look at all mirrors.
        let cache = open(&world);
        let is_refused = |refused: CacheError| {
            let names_it = matches!(&refused, CacheError::Occupied { path } if *path == link);
            assert!(names_it, "{place:?}: {refused}");
        };
        is_refused(cache.refresh("source", &call).unwrap_err());
        is_refused(cache.checkout("source", "main", &call).unwrap_err());
        let commit = entry.local_commit_hash.clone().unwrap();
        is_refused(cache.checkout("source", &commit, &call).unwrap_err());
        assert_eq!(all(), before, "{place:?}");
        // It goes as a link.
        cache.clear(&call).unwrap();
        assert_eq!(all(), before, "{place:?}");
        match elsewhere.is_dir() {
            true => fs::remove_dir_all(&elsewhere).unwrap(),
            false => fs::remove_file(&elsewhere).unwrap(),
        }
    }
}
