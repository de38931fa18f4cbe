//! The same tree and the same conflicts as `git merge-tree` where sides rename files and move folders.
//!
//! `PACKHOUSE_MERGE_CASES` says how many merges are made, `PACKHOUSE_MERGE_SEED` where the random numbers begin.

use std::collections::{BTreeMap, HashMap};

use packhouse_object::{Database, ObjectId, ObjectKind, ReadError};
use packhouse_repo::merge::{
    ConflictKind, MergeError, MergedTree, TreeMergeOptions, merge_commits,
};

use super::world::{Chance, Files, World};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn options(ours: &str, theirs: &str) -> TreeMergeOptions {
    TreeMergeOptions {
        our_label: ours.into(),
        their_label: theirs.into(),
        renames: true,
        ..TreeMergeOptions::default()
    }
}

fn merge(
    database: &Database,
    world: &World,
    ours: &str,
    theirs: &str,
) -> Result<MergedTree, MergeError> {
    let (a, b) = (world.id_of(ours), world.id_of(theirs));
    let merged = merge_commits(database, a, b, true, &options(ours, theirs))?;
    Ok(merged.merged)
}

/// What the sides did, for people.
fn story(world: &World, ours: &str, theirs: &str) -> String {
    let mut story = String::new();
    let base = world.git_text(&["merge-base", "-a", ours, theirs]);
    for side in [ours, theirs] {
        for base in base.lines() {
            let diff = world.git_text(&["diff", "--raw", "-M", "--abbrev=6", base, side]);
            story += &format!("\n{base} {side}\n{diff}");
        }
    }
    story
}

/// The stages of conflicts as Git's index would have them.
fn stages(merged: &MergedTree) -> Vec<String> {
    let mut lines = Vec::new();
    for conflict in &merged.conflicts {
        let stages = conflict.stages;
        for (number, stage) in [stages.base, stages.ours, stages.theirs]
            .into_iter()
            .enumerate()
        {
            if let Some((mode, id)) = stage {
                lines.push(format!(
                    "{:06o} {id} {}\t{}",
                    mode.bits(),
                    number + 1,
                    conflict.path
                ));
            }
        }
    }
    lines.sort_by(|a, b| {
        a.split_once('\t')
            .unwrap()
            .1
            .cmp(b.split_once('\t').unwrap().1)
    });
    lines
}

/// Merges with both; what differs is told.
fn compare(
    world: &World,
    database: &Database,
    ours: &str,
    theirs: &str,
    kinds: &mut BTreeMap<&'static str, usize>,
) -> Result<(), String> {
    let Some(git) = world.git_conflicts(ours, theirs) else {
        // What Git cannot do, we can at least survive.
        let _ = merge(database, world, ours, theirs);
        *kinds.entry("git failed").or_default() += 1;
        return Ok(());
    };
    let merged = match merge(database, world, ours, theirs) {
        Ok(merged) => merged,
        Err(error) => {
            let story = story(world, ours, theirs);
            return Err(format!(
                "{ours} {theirs}: {error:?}\n{}\n{:#?}{story}",
                git.messages, git.stages
            ));
        }
    };
    let found = stages(&merged);
    for conflict in &merged.conflicts {
        *kinds.entry(conflict.kind.as_str()).or_default() += 1;
    }
    if merged.tree == git.tree && merged.is_clean() == git.is_clean && found == git.stages {
        return Ok(());
    }
    let with = database.with_objects(merged.objects.iter().cloned());
    let mut report = format!(
        "{ours} {theirs}\n{}\ngit: {} {:#?}\nwe: {} {found:#?}\n{:#?}\n",
        git.messages,
        git.is_clean,
        git.stages,
        merged.is_clean(),
        merged
            .conflicts
            .iter()
            .map(|conflict| (conflict.path.to_string(), conflict.kind))
            .collect::<Vec<_>>()
    );
    let mut show = |change: packhouse_object::TreeChange| {
        report += &format!("{change:?}\n");
        for (_, id) in [change.old, change.new].into_iter().flatten() {
            if let Ok(data) = with.bytes_of(id, ObjectKind::Blob) {
                report += &format!("--- {id}\n{}\n", String::from_utf8_lossy(&data));
            }
        }
        std::ops::ControlFlow::Continue(())
    };
    let diff = packhouse_object::diff_trees(&with, Some(git.tree), Some(merged.tree), &mut show);
    if let Err(ReadError::Decode { .. }) = diff {
        // Git wrote a tree that nobody can read, with an entry of no mode.
        *kinds.entry("git failed").or_default() += 1;
        return Ok(());
    }
    diff.unwrap();
    report += &story(world, ours, theirs);
    Err(report)
}

fn fail_if_any(failed: &[String], of: usize) {
    if let Some(first) = failed.iter().min_by_key(|report| report.len()) {
        panic!("{} of {of} differ, the shortest: {first}", failed.len());
    }
}

/// Makes files, and changes of them with many renames.
struct Mover {
    chance: Chance,
    made: usize,
}

const FOLDERS: [&str; 9] = ["", "a", "b", "c", "a/s", "a/s/deep", "b/t", "n", "n/m"];
const NAMES: [&str; 9] = [
    "one", "two", "three", "four", "five", "Makefile", "lib.rs", "s", "n",
];

impl Mover {
    fn new(seed: u64) -> Mover {
        let mut chance = Chance::new(seed);
        chance.words = 100_000;
        Mover { chance, made: 0 }
    }

    fn path(&mut self) -> String {
        let folder = FOLDERS[self.chance.below(FOLDERS.len())];
        let name = NAMES[self.chance.below(NAMES.len())];
        match folder {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        }
    }

    fn content(&mut self, files: &Files) -> (&'static str, Vec<u8>) {
        self.made += 1;
        let known: Vec<&Vec<u8>> = files.values().map(|(_, content)| content).collect();
        if !known.is_empty() && self.chance.one_in(4) {
            // Like another file, or the same.
            let like = known[self.chance.below(known.len())].clone();
            return match self.chance.one_in(3) {
                true => ("100644", like),
                false => ("100644", self.chance.changed(&like)),
            };
        }
        match self.chance.below(14) {
            0 => (
                "120000",
                format!("to {}", self.chance.below(4)).into_bytes(),
            ),
            1 => ("100755", self.chance.text()),
            2 => (
                "160000",
                format!("{:040x}", 1 + self.chance.below(4)).into_bytes(),
            ),
            3 => ("100644", Vec::new()),
            _ => ("100644", self.chance.text()),
        }
    }

    fn put(&mut self, files: &mut Files, path: &str, content: (&'static str, Vec<u8>)) {
        files.retain(|other, _| {
            !other.starts_with(&format!("{path}/")) && !path.starts_with(&format!("{other}/"))
        });
        files.insert(path.to_owned(), content);
    }

    fn files(&mut self) -> Files {
        let mut files = Files::new();
        for _ in 0..5 + self.chance.below(12) {
            let path = self.path();
            let content = self.content(&files);
            self.put(&mut files, &path, content);
        }
        files
    }

    fn edited(&mut self, files: &Files, steps: usize) -> Files {
        let mut files = files.clone();
        for _ in 0..1 + self.chance.below(steps) {
            self.edit(&mut files);
        }
        files
    }

    fn edit(&mut self, files: &mut Files) {
        let known: Vec<String> = files.keys().cloned().collect();
        if known.is_empty() || self.chance.one_in(8) {
            let path = self.path();
            let content = self.content(files);
            return self.put(files, &path, content);
        }
        let path = known[self.chance.below(known.len())].clone();
        match self.chance.below(12) {
            0 => drop(files.remove(&path)),
            1..=2 => {
                // To another place, perhaps changed a little.
                let to = self.path();
                let content = files.remove(&path).unwrap();
                self.put(files, &to, content);
                if self.chance.one_in(2) {
                    self.change(files, &to);
                }
            }
            3 => {
                // To another folder, under its name.
                let folder = FOLDERS[self.chance.below(FOLDERS.len())];
                let name = path.rsplit('/').next().unwrap();
                let to = format!("{folder}/{name}")
                    .trim_start_matches('/')
                    .to_owned();
                let content = files.remove(&path).unwrap();
                self.put(files, &to, content);
            }
            4..=6 => self.move_folder(files),
            7 => {
                let (mode, content) = files[&path].clone();
                let mode = match mode {
                    "100644" => "100755",
                    "100755" => "100644",
                    mode => mode,
                };
                files.insert(path, (mode, content));
            }
            8 => {
                let content = self.content(files);
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let to = format!("{folder}/new{}", self.chance.below(5));
                self.put(files, to.trim_start_matches('/'), content);
            }
            _ => self.change(files, &path),
        }
    }

    fn change(&mut self, files: &mut Files, path: &str) {
        if let Some((mode @ ("100644" | "100755"), content)) = files.get(path).cloned() {
            let content = self.chance.changed(&content);
            files.insert(path.to_owned(), (mode, content));
        }
    }

    fn move_folder(&mut self, files: &mut Files) {
        let from = FOLDERS[1 + self.chance.below(FOLDERS.len() - 1)];
        let mut to = FOLDERS[self.chance.below(FOLDERS.len())].to_owned();
        if self.chance.one_in(2) {
            to = format!("moved{}", self.chance.below(3));
        }
        let inside: Vec<String> = files
            .keys()
            .filter(|path| path.starts_with(&format!("{from}/")))
            .cloned()
            .collect();
        for path in inside {
            if self.chance.one_in(8) {
                continue;
            }
            let to = format!("{to}{}", &path[from.len()..]);
            let Some(content) = files.remove(&path) else {
                continue;
            };
            self.put(files, to.trim_start_matches('/'), content);
        }
    }
}

#[test]
fn renames_merge_as_git_merges_them() {
    let cases = number("PACKHOUSE_MERGE_CASES", 400);
    let first = number("PACKHOUSE_MERGE_SEED", 0);
    let mut kinds = BTreeMap::new();
    let mut failed = Vec::new();
    let mut clean = 0;
    let mut seed = first;
    while seed < first + cases {
        let mut world = World::new();
        let batch = seed..(seed + 400).min(first + cases);
        for seed in batch.clone() {
            let mut mover = Mover::new(seed);
            let base = mover.files();
            // The same steps on both sides first, now and then.
            let shared = if mover.chance.one_in(5) {
                mover.edited(&base, 2)
            } else {
                base.clone()
            };
            let from_base = mover.chance.one_in(3);
            let ours = mover.edited(if from_base { &base } else { &shared }, 5);
            let theirs = mover.edited(&shared, 5);
            world.commit(&format!("b{seed}"), &base, &[]);
            world.commit(&format!("o{seed}"), &ours, &[&format!("b{seed}")]);
            world.commit(&format!("t{seed}"), &theirs, &[&format!("b{seed}")]);
        }
        world.flush();
        let database = world.database();
        for seed in batch.clone() {
            let (ours, theirs) = (format!("o{seed}"), format!("t{seed}"));
            let before: usize = kinds.values().sum();
            failed.extend(compare(&world, &database, &ours, &theirs, &mut kinds).err());
            clean += usize::from(kinds.values().sum::<usize>() == before);
        }
        seed = batch.end;
    }
    fail_if_any(&failed, cases as usize);
    // Else the changes would show nothing of one of the two, or not enough of what can happen.
    let cases = cases as usize;
    assert!(
        clean > cases / 10 && clean < cases * 9 / 10,
        "{clean} of {cases}: {kinds:?}"
    );
    if cases >= 400 {
        for kind in [
            ConflictKind::Content,
            ConflictKind::AddAdd,
            ConflictKind::ModifyDelete,
            ConflictKind::FileDirectory,
            ConflictKind::RenameRename,
            ConflictKind::RenameDelete,
            ConflictKind::FileLocation,
        ] {
            assert!(kinds.contains_key(kind.as_str()), "{kind}: {kinds:?}");
        }
    }
}

#[test]
fn renames_in_histories_that_cross_merge_as_git_merges_them() {
    let histories = number("PACKHOUSE_MERGE_CASES", 400) / 4;
    let first = 5_000_000 + number("PACKHOUSE_MERGE_SEED", 0);
    let mut world = World::new();
    let mut pairs = Vec::new();
    for seed in first..first + histories {
        let mut mover = Mover::new(seed);
        let root = format!("c{seed}");
        let files = mover.files();
        world.commit(&root, &files, &[]);
        let mut tips = [(root.clone(), files.clone()), (root, files)];
        // Two lines of history that cross once or twice, each side in its own way.
        for round in 0..1 + mover.chance.below(2) {
            for (side, tip) in tips.iter_mut().enumerate() {
                let files = mover.edited(&tip.1, 3);
                let name = format!("c{seed}-{round}-{side}");
                world.commit(&name, &files, &[&tip.0]);
                *tip = (name, files);
            }
            let names = tips.clone().map(|(name, _)| name);
            for (side, tip) in tips.iter_mut().enumerate() {
                let files = mover.edited(&tip.1, 3);
                let name = format!("c{seed}-{round}-m{side}");
                world.commit(&name, &files, &[&names[side], &names[1 - side]]);
                *tip = (name, files);
            }
        }
        let [(ours, _), (theirs, _)] = tips;
        pairs.push((ours, theirs));
    }
    world.flush();
    let database = world.database();
    let mut kinds = BTreeMap::new();
    let mut several = 0;
    let mut failed = Vec::new();
    for (ours, theirs) in &pairs {
        let bases =
            packhouse_object::merge_bases(&database, world.id_of(ours), world.id_of(theirs));
        several += usize::from(bases.unwrap().len() > 1);
        failed.extend(compare(&world, &database, ours, theirs, &mut kinds).err());
    }
    fail_if_any(&failed, pairs.len());
    assert!(
        several * 10 >= pairs.len() * 9,
        "{several} of {}",
        pairs.len()
    );
}

#[test]
fn merges_have_properties_whatever_is_merged() {
    let mut world = World::new();
    let cases = 100;
    for seed in 0..cases {
        let mut mover = Mover::new(9_000_000 + seed);
        let base = mover.files();
        let (ours, theirs) = (mover.edited(&base, 4), mover.edited(&base, 4));
        world.commit(&format!("b{seed}"), &base, &[]);
        world.commit(&format!("o{seed}"), &ours, &[&format!("b{seed}")]);
        world.commit(&format!("t{seed}"), &theirs, &[&format!("b{seed}")]);
    }
    world.flush();
    let database = world.database();
    let paths = |merged: &MergedTree| -> Vec<String> {
        let mut paths: Vec<String> = merged
            .conflicts
            .iter()
            .map(|conflict| conflict.path.to_string())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    };
    let mut trees: HashMap<ObjectId, ObjectId> = HashMap::new();
    for seed in 0..cases {
        let (base, ours, theirs) = (format!("b{seed}"), format!("o{seed}"), format!("t{seed}"));
        let tree = |rev: &str| database.commit(world.id_of(rev)).unwrap().tree;
        // With itself, and with what it has already.
        for (a, b, expected) in [
            (&ours, &ours, &ours),
            (&ours, &base, &ours),
            (&base, &theirs, &theirs),
        ] {
            let merged = merge(&database, &world, a, b).unwrap();
            assert!(merged.is_clean(), "{a} {b}");
            assert_eq!(merged.tree, tree(expected), "{a} {b}");
        }
        // Either way round there is the same to decide, and where there is nothing it is the same tree.
        let one = merge(&database, &world, &ours, &theirs).unwrap();
        let other = merge(&database, &world, &theirs, &ours).unwrap();
        assert_eq!(paths(&one), paths(&other), "{seed}");
        if one.is_clean() {
            assert_eq!(one.tree, other.tree, "{seed}");
            trees.insert(tree(&ours), one.tree);
        }
    }
    assert!(trees.len() > 20);
}
