//! Commit graphs: `gc` writes one, and walks through history use it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use packhouse_object::{HistoryIndex, HistoryLayer, RepoPath, extend_history, write_commit_graph};
use packhouse_repo::directory::{DirectoryOptions, open as open_directory};
use packhouse_repo::store::{GcOptions, LogFilter, NoProgress, Store};
use packhouse_repo::{LogQuery, log_by_index};

use super::place::{Place, open};

/// What `git` prints, given this input.
fn fed(place: &Place, arguments: &[&str], input: &str) -> String {
    let mut git = Command::new("git")
        .args(arguments)
        .current_dir(place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = git.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let out = git.wait_with_output().unwrap();
    assert!(out.status.success(), "git {arguments:?}");
    String::from_utf8(out.stdout).unwrap()
}

const FILE: &str = "folder/rare";

/// A branch with so many commits, of which the one in three hundred changes a file that the others leave alone.
fn long_history(place: &Place, commits: usize) {
    let mut stream = String::new();
    for number in 0..commits {
        let path = match number % 300 {
            7 => FILE,
            _ => "often",
        };
        let text = format!("{number}\n");
        stream.push_str("commit refs/heads/main\n");
        let time = 1_700_000_000 + number;
        stream.push_str(&format!("committer A <a@example.com> {time} +0000\n"));
        stream.push_str(&format!("data {}\n{text}", text.len()));
        if number == 0 {
            stream.push_str("from refs/heads/main^0\n");
        }
        stream.push_str(&format!(
            "M 644 inline {path}\ndata {}\n{text}\n",
            text.len()
        ));
    }
    fed(place, &["fast-import", "--quiet"], &stream);
}

/// Takes a tree out of the repository; everything else is in one pack then.
fn lose(place: &Place, tree: &str) {
    let all = place.git(&[
        "cat-file",
        "--batch-all-objects",
        "--batch-check=%(objectname)",
    ]);
    let kept: String = all
        .lines()
        .filter(|id| *id != tree)
        .map(|id| format!("{id}\n"))
        .collect();
    let folder = place.path().join("objects/pack");
    let old: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let new = fed(place, &["pack-objects", "-q", "objects/pack/pack"], &kept);
    for path in old {
        assert!(!path.to_str().unwrap().contains(new.trim()));
        fs::remove_file(path).unwrap();
    }
}

/// The commits that change the file, as the store lists them and as a view of the repository does with an index.
fn listed(place: &Place, index: &HistoryIndex) -> [Result<Vec<String>, String>; 2] {
    listed_of(place, FILE, index)
}

/// The same of any path.
fn listed_of(place: &Place, path: &str, index: &HistoryIndex) -> [Result<Vec<String>, String>; 2] {
    let store: Store = open(place.path());
    let main = store.branches().get("main").unwrap();
    let filter = LogFilter {
        path: Some(path.into()),
        ..LogFilter::default()
    };
    let by_store: Result<Vec<String>, _> = main
        .log(filter)
        .unwrap()
        .map(|found| found.map(|found| found.commit().to_string()))
        .collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let repository = open_directory(place.path(), DirectoryOptions::default()).unwrap();
    let view = runtime.block_on(repository.view()).unwrap();
    let query = LogQuery {
        tip: main.commit(),
        path: Some(RepoPath::parse(path).unwrap()),
        skip: 0,
        limit: usize::MAX,
        bytes: usize::MAX,
    };
    let by_view = log_by_index(&view, &query, index);
    let by_view = by_view.map(|found| {
        found
            .entries
            .iter()
            .map(|entry| entry.id.to_string())
            .collect()
    });
    [
        by_store.map_err(|error| error.to_string()),
        by_view.map_err(|error| error.to_string()),
    ]
}

fn index_of(place: &Place) -> HistoryIndex {
    let store = open(place.path());
    let database = store.database().unwrap();
    let (tip, folder) = (
        store.branches().get("main").unwrap().commit(),
        &place.folder,
    );
    let none = HistoryIndex::default();
    let made = extend_history(
        &database,
        &none,
        &[tip],
        folder.path(),
        &AtomicBool::new(false),
    );
    let (_, layer) = made.unwrap().unwrap();
    let layer = HistoryLayer::open(&layer.path).unwrap();
    HistoryIndex::new(vec![Arc::new(layer)]).unwrap()
}

#[test]
fn the_log_of_a_path_reads_no_trees_of_commits_that_a_filter_rules_out() {
    let place = Place::new();
    long_history(&place, 1100);
    let graph = place.path().join("objects/info/commit-graph");
    let report = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(report.graphed, 1101);
    place.git(&["commit-graph", "verify"]);
    let expected = place.git(&["log", "--format=%H", "main", "--", FILE]);
    let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
    assert_eq!(expected.len(), 4);
    let none = HistoryIndex::default();
    assert_eq!(
        listed(&place, &none),
        [Ok(expected.clone()), Ok(expected.clone())]
    );
    let index = index_of(&place);
    // Far enough from the tip that the graph is in use there.
    let tree = place.git(&["rev-parse", "main~150^{tree}"]);
    lose(&place, &tree);
    assert_eq!(
        listed(&place, &none),
        [Ok(expected.clone()), Ok(expected.clone())]
    );
    // Who does not want graphs or filters to be read gets what the trees say.
    for (name, off) in [
        ("core.commitGraph", "false"),
        ("commitGraph.readChangedPaths", "no"),
        ("commitGraph.changedPathsVersion", "0"),
    ] {
        place.git(&["config", name, off]);
        for found in listed(&place, &none) {
            assert!(found.unwrap_err().contains(&tree), "{name}");
        }
        place.git(&["config", "--unset", name]);
    }
    fs::remove_file(&graph).unwrap();
    for found in listed(&place, &none) {
        assert!(found.unwrap_err().contains(&tree));
    }
    // The index of a hosted history does the same for a view.
    let [by_store, by_view] = listed(&place, &index);
    assert!(by_store.is_err());
    assert_eq!(by_view, Ok(expected));
}

#[test]
fn a_graph_is_written_where_it_is_wanted() {
    let place = Place::new();
    let graph = place.path().join("objects/info/commit-graph");
    let gc = || {
        let report = place.store.gc_with(&GcOptions::default(), &NoProgress);
        report.unwrap().graphed
    };
    long_history(&place, 40);
    assert_eq!((gc(), graph.exists()), (0, false));
    long_history(&place, 1000);
    place.git(&["config", "gc.writeCommitGraph", "false"]);
    assert_eq!((gc(), graph.exists()), (0, false));
    place.git(&["config", "--unset", "gc.writeCommitGraph"]);
    // One in several files gives way to it.
    place.git(&["commit-graph", "write", "--reachable", "--split"]);
    let chain = place.path().join("objects/info/commit-graphs");
    assert!(chain.join("commit-graph-chain").exists());
    // While a `git` writes either, it is left alone.
    for lock in [
        chain.join("commit-graph-chain.lock"),
        graph.with_extension("lock"),
    ] {
        fs::write(&lock, "").unwrap();
        assert_eq!((gc(), graph.exists()), (0, false), "{}", lock.display());
        assert!(chain.join("commit-graph-chain").exists());
        fs::remove_file(&lock).unwrap();
    }
    assert_eq!((gc(), graph.exists()), (1041, true));
    assert!(!chain.join("commit-graph-chain.lock").exists());
    assert!(!chain.join("commit-graph-chain").exists());
    place.git(&["commit-graph", "verify"]);
    let newer = long_history;
    newer(&place, 3);
    assert_eq!(gc(), 1044);
    place.git(&["commit-graph", "verify"]);
    place.fsck();
}

#[test]
fn an_index_of_several_packs_is_read_where_it_is_wanted() {
    let place = Place::new();
    long_history(&place, 3);
    place.git(&["repack", "-dq"]);
    place.git(&["multi-pack-index", "write"]);
    let read = || {
        let store = open(place.path());
        let database = store.database().unwrap();
        let main = store.branches().get("main").unwrap().commit();
        assert!(database.contains(&main).unwrap());
        database.multi_packs().len()
    };
    assert_eq!(read(), 1);
    place.git(&["config", "core.multiPackIndex", "false"]);
    assert_eq!(read(), 0);
}

/// Trees of every odd kind by their contents, written as they are asked for.
struct OddTrees {
    blobs: [String; 2],
    made: BTreeMap<Vec<(String, String)>, String>,
}

impl OddTrees {
    fn new(place: &Place) -> OddTrees {
        let blob = |text| fed(place, &["hash-object", "-w", "--stdin"], text);
        OddTrees {
            blobs: ["1\n", "2\n"].map(|text| format!("100644 blob {}", blob(text).trim())),
            made: BTreeMap::new(),
        }
    }

    /// The tree with these names and what is there, as `git mktree` reads it.
    fn make(&mut self, place: &Place, entries: Vec<(String, String)>) -> String {
        let lines = entries.iter().map(|(name, at)| format!("{at}\t{name}\n"));
        let text: String = lines.collect();
        let made = || {
            fed(place, &["mktree", "--missing"], &text)
                .trim()
                .to_owned()
        };
        self.made
            .entry(entries.clone())
            .or_insert_with(made)
            .clone()
    }

    /// A root with some of few files, folders without any, and a folder of many files.
    fn pick(&mut self, place: &Place, mut random: impl FnMut(u64) -> u64) -> String {
        let folder = |tree: String| format!("040000 tree {tree}");
        let named = |name: &str, at: String| (name.to_owned(), at);
        let [one, two] = self.blobs.clone();
        let mut root = Vec::new();
        if random(5) == 0 {
            return self.make(place, root);
        }
        if random(3) > 0 {
            root.push(named(
                "a",
                if random(2) == 0 {
                    one.clone()
                } else {
                    two.clone()
                },
            ));
        }
        if random(6) == 0 {
            let many = (0..600).map(|number| named(&format!("{number:03}"), one.clone()));
            let many = self.make(place, many.collect());
            root.push(named("big", folder(many)));
        }
        let empty = folder(self.make(place, Vec::new()));
        let inner = match random(4) {
            0 => vec![named("e", empty.clone())],
            1 => vec![named("z", two.clone())],
            2 => vec![],
            _ => vec![named("z", one.clone()), named("ä", one.clone())],
        };
        let inner = folder(self.make(place, inner));
        let entries = match random(9) {
            0 => None,
            1 => Some(vec![]),
            2 => Some(vec![named("e", empty)]),
            3 => Some(vec![named("e", inner)]),
            4 => Some(vec![named("e", inner), named("x", one.clone())]),
            5 => Some(vec![named("e", empty), named("x", one.clone())]),
            6 => Some(vec![named("x", two.clone())]),
            7 => Some(vec![named("e", two.clone()), named("x", one.clone())]),
            _ => {
                root.push(named("d", two.clone()));
                None
            }
        };
        if let Some(entries) = entries {
            let tree = self.make(place, entries);
            root.push(named("d", folder(tree)));
        }
        root.sort();
        self.make(place, root)
    }
}

/// A history of trees of every odd kind, with merges and several roots.
fn odd_history(place: &Place, seed: u64, commits: u64) {
    let mut state = seed;
    let mut random = move |under: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % under
    };
    let mut trees = OddTrees::new(place);
    let mut stream = String::new();
    let mut begins = false;
    for number in 1..=commits {
        let tree = trees.pick(place, &mut random);
        let time = 1_700_000_000 + number;
        stream.push_str(&format!(
            "commit refs/heads/b{number}\nmark :{number}\ncommitter A <a@example.com> {time} +0000\ndata 1\nm\n"
        ));
        // Some begin anew, and the next one joins that.
        let joins = begins;
        begins = number > 2 && number < commits && !joins && random(14) == 0;
        match number {
            _ if begins => {}
            1 => {}
            _ if joins => {
                stream.push_str(&format!("from :{}\nmerge :{}\n", number - 2, number - 1));
            }
            _ => {
                stream.push_str(&format!("from :{}\n", number - 1));
                let other = number.saturating_sub(2 + random(6));
                if other > 0 && random(4) == 0 {
                    stream.push_str(&format!("merge :{other}\n"));
                }
            }
        }
        stream.push_str(&format!("M 040000 {tree} \"\"\n\n"));
    }
    stream.push_str(&format!("reset refs/heads/main\nfrom :{commits}\n\n"));
    fed(place, &["fast-import", "--quiet", "--force"], &stream);
}

#[test]
fn odd_trees_have_the_same_log_with_and_without_filters() {
    let paths = [
        "a", "d", "d/e", "d/e/e", "d/e/z", "d/e/ä", "d/x", "big", "big/007", "none",
    ];
    for seed in 1..=3 {
        let place = Place::new();
        odd_history(&place, seed, 220);
        let expected = paths.map(|path| {
            let log = |more: &[&str]| {
                let args = [
                    &["-c", "core.commitGraph=false", "log", "--format=%H"],
                    more,
                ]
                .concat();
                let listed = place.git(&[&args[..], &["main", "--", path]].concat());
                Ok(listed.lines().map(str::to_owned).collect::<Vec<_>>())
            };
            [log(&["--first-parent"]), log(&[])]
        });
        // Far more than are read before filters are.
        assert!(
            place
                .git(&["rev-list", "--first-parent", "main"])
                .lines()
                .count()
                > 180
        );
        let check = |what: &str, index: &HistoryIndex| {
            for (path, expected) in paths.iter().zip(&expected) {
                assert_eq!(
                    &listed_of(&place, path, index),
                    expected,
                    "{seed} {path} {what}"
                );
            }
        };
        let none = HistoryIndex::default();
        check("alone", &none);
        check("by an index", &index_of(&place));
        place.git(&["commit-graph", "write", "--reachable", "--changed-paths"]);
        check("by git's filters", &none);
        fs::remove_file(place.path().join("objects/info/commit-graph")).unwrap();
        let mut graph = Vec::new();
        let store = open(place.path());
        let main = store.branches().get("main").unwrap().commit();
        write_commit_graph(&store.database().unwrap(), &[main], 1, &mut graph, &()).unwrap();
        fs::write(place.path().join("objects/info/commit-graph"), graph).unwrap();
        check("by filters of ours", &none);
    }
}
