//! Trees of random histories: listed, compared and edited as Git does it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use packhouse_object::{
    Database, EditTreeError, EntryMode, MAX_TREE_DEPTH, NewObject, ObjectId, ObjectKind, PathEdit,
    ReadError, RepoPath, Tree, TreeIter, diff_trees, edit_tree, find_path,
};
use packhouse_testkit::history::HistoryOptions;
use proptest::prelude::*;

use crate::git::Git;
use crate::repositories::{commits, database, ids, pick, random};

type Files = BTreeMap<Vec<u8>, (EntryMode, ObjectId)>;

/// The files of a tree, as `git ls-tree -r` has them.
fn ls_tree(git: &Git, tree: &str) -> Files {
    let output = git.run(&["ls-tree", "-r", "-z", "--full-tree", tree]);
    output
        .split(|byte| *byte == 0)
        .filter(|line| !line.is_empty())
        .map(parse_ls_tree)
        .collect()
}

fn parse_ls_tree(line: &[u8]) -> (Vec<u8>, (EntryMode, ObjectId)) {
    let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
    let head = std::str::from_utf8(&line[..tab]).unwrap();
    let [mode, _, id] = head.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let mode = EntryMode::from_octal_str(mode).unwrap();
    (
        line[tab + 1..].to_vec(),
        (mode, ObjectId::from_hex(id.as_bytes()).unwrap()),
    )
}

fn files(db: &Database, tree: Option<ObjectId>) -> Files {
    let mut files = Files::new();
    diff_trees(db, None, tree, &mut |change| {
        assert!(change.old.is_none());
        files.insert(change.path.into(), change.new.unwrap());
        ControlFlow::Continue(())
    })
    .unwrap();
    files
}

#[test]
fn trees_survive_the_way_there_and_back() {
    let git = random(&HistoryOptions::small(1));
    let mut trees = 0;
    for object in git.objects() {
        if object.kind == ObjectKind::Tree {
            let tree = Tree::parse(&object.data).unwrap();
            assert_eq!(tree.encode(), object.data);
            let mut shuffled = tree.clone();
            shuffled.entries.reverse();
            assert_eq!(shuffled.encode(), object.data, "entries are sorted");
            for entry in &tree.entries {
                assert_eq!(tree.get(&entry.name), Some(entry));
                let found = TreeIter::new(&object.data)
                    .find(&entry.name)
                    .unwrap()
                    .unwrap();
                assert_eq!(&found.to_owned(), entry);
            }
            trees += 1;
        }
    }
    assert!(trees > 50);
}

#[test]
fn differences_are_those_of_diff_tree() {
    for seed in 0..8 {
        let git = random(&HistoryOptions::small(seed));
        let db = database(&git);
        let all = commits(&git);
        for place in 0..12 {
            let old = all[pick(seed, place, all.len())];
            let new = all[pick(seed, place + 50, all.len())];
            let expected = git.run(&[
                "diff-tree",
                "-r",
                "--raw",
                "--no-renames",
                "--no-abbrev",
                "-z",
                &old.to_string(),
                &new.to_string(),
            ]);
            let mut found = Vec::new();
            let (old, new) = (db.commit(old).unwrap().tree, db.commit(new).unwrap().tree);
            diff_trees(&db, Some(old), Some(new), &mut |change| {
                let side = |side: Option<(EntryMode, ObjectId)>| match side {
                    Some((mode, id)) => (mode.to_string(), id.to_string()),
                    None => ("000000".to_owned(), "0".repeat(40)),
                };
                let ((old_mode, old_id), (new_mode, new_id)) = (side(change.old), side(change.new));
                let kind = |mode: &str| mode[..2].to_owned();
                let letter = match (&change.old, &change.new) {
                    (None, _) => "A",
                    (_, None) => "D",
                    _ if kind(&old_mode) != kind(&new_mode) => "T",
                    _ => "M",
                };
                found
                    .extend(format!(":{old_mode} {new_mode} {old_id} {new_id} {letter}\0").bytes());
                found.extend_from_slice(&change.path);
                found.push(0);
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(found, expected, "seed {seed}, place {place}");
        }
    }
}

#[test]
fn a_comparison_ends_when_its_visitor_says_so() {
    let git = random(&HistoryOptions::small(2));
    let db = database(&git);
    let tree = db.commit(commits(&git)[0]).unwrap().tree;
    let mut visits = 0;
    diff_trees(&db, None, Some(tree), &mut |_| {
        visits += 1;
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(visits, 1);
}

#[test]
fn every_path_is_found_and_no_other() {
    let git = random(&HistoryOptions {
        odd_names: false,
        ..HistoryOptions::small(4)
    });
    let db = database(&git);
    let tree = db.commit(commits(&git)[0]).unwrap().tree;
    let files = ls_tree(&git, &tree.to_string());
    assert!(!files.is_empty());
    for (path, (mode, id)) in &files {
        let path = RepoPath::parse(path).unwrap();
        let found = find_path(&db, tree, &path).unwrap().unwrap();
        assert_eq!((found.mode, found.id), (*mode, *id));
        let below = RepoPath::parse(format!("{path}/below")).unwrap();
        assert_eq!(find_path(&db, tree, &below).unwrap(), None);
        let beside = RepoPath::parse(format!("{path}-beside-it")).unwrap();
        assert_eq!(find_path(&db, tree, &beside).unwrap(), None);
        if let Some(folder) = path.parent() {
            let found = find_path(&db, tree, &folder).unwrap().unwrap();
            let id = git.id(&format!("{tree}:{folder}"));
            assert_eq!((found.mode, found.id), (EntryMode::Tree, id));
        }
    }
}

#[test]
fn folders_are_walked_as_deep_as_git_reads_them() {
    let blob = NewObject::new(ObjectKind::Blob, b"x".to_vec()).unwrap();
    let around = |mode: EntryMode, id: ObjectId| {
        let name = "d".into();
        let entries = vec![packhouse_object::TreeEntry { mode, name, id }];
        NewObject::new(ObjectKind::Tree, Tree { entries }.encode()).unwrap()
    };
    let mut objects = vec![around(EntryMode::Blob, blob.id)];
    for depth in 0..=MAX_TREE_DEPTH {
        objects.push(around(EntryMode::Tree, objects[depth].id));
    }
    let ids: Vec<ObjectId> = objects.iter().map(|object| object.id).collect();
    let db = crate::repositories::memory(objects);
    assert_eq!(files(&db, Some(ids[MAX_TREE_DEPTH])).len(), 1);
    let deeper = Some(ids[MAX_TREE_DEPTH + 1]);
    for (old, new) in [(None, deeper), (deeper, None)] {
        let refused = diff_trees(&db, old, new, &mut |_| ControlFlow::Continue(()));
        assert!(
            matches!(refused, Err(ReadError::TreeTooDeep { .. })),
            "{refused:?}"
        );
    }
}

/// Trees of ten folders, each holding the one below ten times: ten thousand million paths.
#[test]
fn trees_that_repeat_themselves_cost_their_number() {
    let mut objects = vec![NewObject::new(ObjectKind::Tree, Vec::new()).unwrap()];
    for _ in 0..10 {
        let below = objects.last().unwrap().id;
        let mut tree = Tree::default();
        for name in 0..10 {
            let name = format!("d{name}").into();
            tree.entries.push(packhouse_object::TreeEntry {
                mode: EntryMode::Tree,
                name,
                id: below,
            });
        }
        objects.push(NewObject::new(ObjectKind::Tree, tree.encode()).unwrap());
    }
    let root = objects.last().unwrap().id;
    let db = crate::repositories::memory(objects);
    assert_eq!(files(&db, Some(root)), Files::new());
}

/// Applies edits with `git update-index` to the index of the repository and writes the tree.
fn git_edit(git: &Git, root: Option<ObjectId>, edits: &[PathEdit]) -> ObjectId {
    match root {
        Some(root) => git.run(&["read-tree", &root.to_string()]),
        None => git.run(&["read-tree", "--empty"]),
    };
    let mut info = Vec::new();
    let mut line = |head: String, path: &[u8]| {
        info.extend_from_slice(head.as_bytes());
        info.push(b'\t');
        info.extend_from_slice(path);
        info.push(0);
    };
    let zero = ObjectId::null(packhouse_object::HashKind::Sha1);
    for edit in edits {
        if let PathEdit::Delete { path } = edit {
            let listed = git.run(&["ls-files", "-z", "--", &format!(":(literal){path}")]);
            for file in listed
                .split(|byte| *byte == 0)
                .filter(|file| !file.is_empty())
            {
                line(format!("0 {zero}"), file);
            }
        }
    }
    for edit in edits {
        if let PathEdit::Upsert { path, mode, id } = edit {
            line(format!("{mode} {id}"), path.as_bytes());
        }
    }
    git.run_with(&["update-index", "-z", "--add", "--index-info"], &info);
    ids(&git.run(&["write-tree", "--missing-ok"]))[0]
}

fn blob(number: usize) -> ObjectId {
    NewObject::new(ObjectKind::Blob, format!("blob {number}"))
        .unwrap()
        .id
}

fn upsert(path: &str, number: usize) -> PathEdit {
    PathEdit::Upsert {
        path: path.parse().unwrap(),
        mode: EntryMode::Blob,
        id: blob(number),
    }
}

fn delete(path: &str) -> PathEdit {
    PathEdit::Delete {
        path: path.parse().unwrap(),
    }
}

#[test]
fn edits_make_the_trees_of_write_tree() {
    let mut applied = 0;
    for seed in 0..6 {
        let git = random(&HistoryOptions {
            odd_names: false,
            ..HistoryOptions::small(seed)
        });
        let mut db = database(&git);
        let all = commits(&git);
        for round in 0..12u64 {
            let root = db.commit(all[pick(seed, round, all.len())]).unwrap().tree;
            let existing: Vec<Vec<u8>> = ls_tree(&git, &root.to_string()).into_keys().collect();
            let mut edits: BTreeMap<RepoPath, PathEdit> = BTreeMap::new();
            for place in 0..=pick(seed, round + 900, 6) as u64 {
                let roll = pick(seed + round, place, 1000);
                let known = existing.get(pick(seed + round, place + 70, existing.len().max(1)));
                let path = match (known, roll % 5) {
                    (Some(path), 0..=2) => RepoPath::parse(path).unwrap(),
                    (Some(path), 3) => {
                        let path = RepoPath::parse(path).unwrap();
                        path.parent().unwrap_or(path)
                    }
                    _ => RepoPath::parse(format!("new{}/a/b{roll}", roll % 3)).unwrap(),
                };
                let mode = [EntryMode::Blob, EntryMode::Executable, EntryMode::Symlink][roll % 3];
                let edit = match (roll / 5) % 2 {
                    0 => PathEdit::Upsert {
                        path: path.clone(),
                        mode,
                        id: blob(roll),
                    },
                    _ => PathEdit::Delete { path: path.clone() },
                };
                edits.insert(path, edit);
            }
            let edits: Vec<PathEdit> = edits.into_values().collect();
            let mut made = Vec::new();
            let Ok(tree) = edit_tree(&db, Some(root), &edits, &mut made) else {
                continue;
            };
            applied += 1;
            assert_eq!(
                tree,
                git_edit(&git, Some(root), &edits),
                "seed {seed}: {edits:?}"
            );
            assert!(made.iter().all(|object| object.kind == ObjectKind::Tree));
            assert!(tree == root || made.iter().any(|object| object.id == tree));
            db = db.with_objects(made);
            assert_eq!(files(&db, Some(tree)), ls_tree(&git, &tree.to_string()));
        }
    }
    assert!(applied > 20, "{applied} rounds could be applied");
}

#[test]
fn edits_that_contradict_the_tree_are_refused_by_name() {
    let db = crate::repositories::memory(Vec::new());
    let mut made = Vec::new();
    let edits = [upsert("a/b/c", 1), upsert("a/d", 2), upsert("f", 3)];
    let root = edit_tree(&db, None, &edits, &mut made).unwrap();
    let db = db.with_objects(made);
    let refused = |edits: &[PathEdit]| {
        edit_tree(&db, Some(root), edits, &mut Vec::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(refused(&[delete("x")]), "`x` does not exist");
    assert_eq!(refused(&[delete("f/x")]), "`f/x` does not exist");
    assert_eq!(refused(&[delete("a/b/c/x")]), "`a/b/c/x` does not exist");
    assert_eq!(
        refused(&[upsert("f/x", 1)]),
        "`f/x` cannot be written: `f` is a file"
    );
    assert_eq!(
        refused(&[upsert("a/b/c/d/e", 1)]),
        "`a/b/c/d/e` cannot be written: `a/b/c` is a file"
    );
    assert_eq!(
        refused(&[upsert("a", 1)]),
        "`a` cannot be written: it is a folder"
    );
    assert_eq!(
        refused(&[upsert("a/b", 1)]),
        "`a/b` cannot be written: it is a folder"
    );
    assert_eq!(
        refused(&[upsert("n", 1), upsert("n/x", 1)]),
        "`n/x` cannot be written: `n` is a file"
    );
    assert_eq!(
        refused(&[upsert("a/d", 1), upsert("a/d", 2)]),
        "`a/d` is given twice"
    );
    assert_eq!(
        refused(&[delete("a/d"), upsert("a/d", 2)]),
        "`a/d` is given twice"
    );
    assert_eq!(
        refused(&[delete("x"), upsert("x", 2)]),
        "`x` is given twice"
    );
    assert_eq!(refused(&[delete("a"), delete("a")]), "`a` is given twice");
    assert_eq!(
        refused(&[upsert("a", 1), upsert("a", 2)]),
        "`a` is given twice"
    );
    assert_eq!(
        refused(&[delete("a"), upsert("a", 1), upsert("a", 2)]),
        "`a` is given twice"
    );
    assert_eq!(
        refused(&[delete("a"), upsert("a", 1), upsert("a/b/c", 2)]),
        "`a/b/c` cannot be written: `a` is a file"
    );
    assert_eq!(
        refused(&[delete("a/d"), upsert("a", 2)]),
        "`a` cannot be written: it is a folder"
    );
    let link = PathEdit::Upsert {
        path: ".gitmodules".parse().unwrap(),
        mode: EntryMode::Symlink,
        id: blob(1),
    };
    assert!(matches!(
        edit_tree(&db, Some(root), &[link], &mut Vec::new()),
        Err(EditTreeError::Name { .. })
    ));
    let folder = PathEdit::Upsert {
        path: "n".parse().unwrap(),
        mode: EntryMode::Tree,
        id: root,
    };
    assert!(matches!(
        edit_tree(&db, Some(root), &[folder], &mut Vec::new()),
        Err(EditTreeError::FolderMode { .. })
    ));
}

#[test]
fn deletions_come_first_and_empty_folders_go() {
    let db = crate::repositories::memory(Vec::new());
    let mut made = Vec::new();
    let edits = [upsert("a/b/c", 1), upsert("a/d", 2), upsert("f", 3)];
    let root = edit_tree(&db, None, &edits, &mut made).unwrap();
    let db = db.with_objects(made);
    let after = |edits: &[PathEdit]| {
        let mut made = Vec::new();
        let tree = edit_tree(&db, Some(root), edits, &mut made).unwrap();
        let paths = files(&db.with_objects(made), Some(tree)).into_keys();
        paths
            .map(|path| String::from_utf8(path).unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(after(&[]), "a/b/c a/d f");
    assert_eq!(after(&[delete("a/b/c")]), "a/d f");
    assert_eq!(after(&[delete("a")]), "f");
    assert_eq!(after(&[delete("a"), delete("a/d")]), "f");
    assert_eq!(after(&[delete("a"), delete("f")]), "");
    assert_eq!(after(&[delete("f"), upsert("f/x/y", 1)]), "a/b/c a/d f/x/y");
    assert_eq!(after(&[delete("a"), upsert("a/new", 1)]), "a/new f");
    assert_eq!(after(&[delete("a"), upsert("a/b/c/d", 1)]), "a/b/c/d f");
    assert_eq!(
        after(&[delete("a/b"), delete("a/d"), upsert("a", 1)]),
        "a f"
    );
    assert_eq!(after(&[delete("a/b/c"), upsert("a/b", 1)]), "a/b a/d f");
    assert_eq!(after(&[delete("a"), upsert("a", 1)]), "a f");
    assert_eq!(after(&[upsert("a/b", 1), delete("a/b")]), "a/b a/d f");
    assert_eq!(
        after(&[delete("a"), upsert("a", 1), delete("a/d"), delete("a/b")]),
        "a f"
    );
    assert_eq!(
        after(&[delete("a"), delete("a/b"), upsert("a/b", 1)]),
        "a/b f"
    );
}

#[test]
fn unchanged_trees_are_not_made_again() {
    let db = crate::repositories::memory(Vec::new());
    let mut made = Vec::new();
    let root = edit_tree(
        &db,
        None,
        &[upsert("a/b/c", 1), upsert("d/e", 2)],
        &mut made,
    )
    .unwrap();
    assert_eq!(made.len(), 4);
    let db = db.with_objects(made);
    let mut made = Vec::new();
    assert_eq!(
        edit_tree(&db, Some(root), &[upsert("a/b/c", 1)], &mut made).unwrap(),
        root
    );
    assert_eq!(made, []);
    edit_tree(&db, Some(root), &[upsert("d/e", 3)], &mut made).unwrap();
    assert_eq!(made.len(), 2, "the folder and the root");
}

/// A path of two thousand folders must not exhaust the stack of a thread.
#[test]
fn deep_paths_are_edited_in_little_stack() {
    let deep = "a/".repeat(2000) + "f";
    let run = move || {
        let db = crate::repositories::memory(Vec::new());
        let mut made = Vec::new();
        let root = edit_tree(&db, None, &[upsert(&deep, 1)], &mut made).unwrap();
        assert_eq!(made.len(), 2001);
        let db = db.with_objects(made);
        assert_eq!(files(&db, Some(root)).len(), 1);
        edit_tree(&db, Some(root), &[delete(&deep)], &mut Vec::new()).unwrap()
    };
    let thread = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(run)
        .unwrap();
    assert!(thread.join().unwrap().is_empty_tree());
}

fn any_edits() -> impl Strategy<Value = Vec<(String, bool, usize)>> {
    prop::collection::vec(("[ab](/[ab.]?[abc]){0,3}", any::<bool>(), 0..5usize), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever order edits are given in, the files that result are those of doing them on a map.
    #[test]
    fn edits_do_to_a_tree_what_they_do_to_a_map(rounds in prop::collection::vec(any_edits(), 1..6)) {
        let mut db = crate::repositories::memory(Vec::new());
        let mut root = None;
        let mut model: BTreeMap<String, usize> = BTreeMap::new();
        for round in rounds {
            let edits: Vec<PathEdit> = round.iter().map(|(path, write, number)| {
                if *write { upsert(path, *number) } else { delete(path) }
            }).collect();
            let mut made = Vec::new();
            let result = edit_tree(&db, root, &edits, &mut made);
            let expected = on_map(&model, &round);
            prop_assert_eq!(result.is_ok(), expected.is_some(), "{:?} on {:?}: {:?}", edits, model, result);
            if let (Ok(tree), Some(expected)) = (result, expected) {
                db = db.with_objects(made);
                root = Some(tree);
                model = expected;
                let found = files(&db, root);
                let wanted: Files = model.iter()
                    .map(|(path, number)| (path.clone().into_bytes(), (EntryMode::Blob, blob(*number))))
                    .collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}

/// The same edits on a map of paths; `None` if they contradict it.
fn on_map(
    files: &BTreeMap<String, usize>,
    edits: &[(String, bool, usize)],
) -> Option<BTreeMap<String, usize>> {
    let mut after = files.clone();
    let is_in =
        |path: &str, folder: &str| path == folder || path.starts_with(&format!("{folder}/"));
    for (at, (path, write, _)) in edits.iter().enumerate() {
        let mut others = edits[..at].iter().filter(|(other, ..)| other == path);
        if let Some((_, other_write, _)) = others.next() {
            let is_folder = files.keys().any(|file| file != path && is_in(file, path));
            if other_write == write || others.next().is_some() || !is_folder {
                return None;
            }
        }
        if !write {
            files.keys().find(|file| is_in(file, path))?;
            after.retain(|file, _| !is_in(file, path));
        }
    }
    for (path, _, number) in edits.iter().filter(|(_, write, _)| *write) {
        if after
            .keys()
            .any(|file| file != path && (is_in(file, path) || is_in(path, file)))
        {
            return None;
        }
        after.insert(path.clone(), *number);
    }
    Some(after)
}
