//! Commit graphs that Git writes, whole and in chains: what they say is what the commits say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use packhouse_object::{
    CommitGraphs, Database, ObjectCache, ObjectId, ObjectKind, PathFilter, ReadError, RepoPath,
    commit_links, find_path, merge_bases, write_commit_graph,
};
use packhouse_testkit::history::HistoryOptions;
use proptest::prelude::*;

use crate::git::Git;
use crate::repositories::{commits, database, ids, random};

const WRITE: [&str; 4] = ["commit-graph", "write", "--reachable", "--changed-paths"];

/// The graphs of the repository, asked often enough that the files are used from now on.
fn graphs(git: &Git) -> Arc<CommitGraphs> {
    let graphs = Arc::new(CommitGraphs::new(vec![git.path().join("objects")]));
    let asked = knows_nothing_else(&graphs);
    let none = ObjectId::from_hex(&[b'1'; 40]).unwrap();
    for _ in 0..100 {
        let missing = asked.commit_links(none);
        assert!(matches!(missing, Err(ReadError::NotFound { .. })));
    }
    graphs
}

/// A database without any objects.
fn knows_nothing_else(graphs: &Arc<CommitGraphs>) -> Database {
    Database::new(Arc::new(ObjectCache::new(1 << 20)), 8).with_commit_graphs(graphs.clone())
}

/// A merge of more than two.
fn octopus(git: &Git, parents: &[ObjectId]) -> ObjectId {
    let tree = git.id(&format!("{}^{{tree}}", parents[0]));
    let mut text = format!("tree {tree}\n");
    for parent in parents {
        text.push_str(&format!("parent {parent}\n"));
    }
    text.push_str("author A <a@example.com> 1700000000 +0000\n");
    text.push_str("committer A <a@example.com> 1700000000 +0000\n\nmany\n");
    let id = git.run_with(
        &["hash-object", "-t", "commit", "-w", "--stdin"],
        text.as_bytes(),
    );
    ObjectId::from_hex(id.trim_ascii()).unwrap()
}

/// Compares what the graph says of all commits with the commits; returns how many it knows.
fn check(git: &Git) -> usize {
    let graphs = graphs(git);
    let (all, only) = (database(git), knows_nothing_else(&graphs));
    let mut known = 0;
    for id in commits(git) {
        let data = all.bytes_of(id, ObjectKind::Commit).unwrap();
        let expected = commit_links(&data).unwrap();
        match only.commit_links(id) {
            Ok(links) => {
                assert_eq!(links, expected, "{id}");
                known += 1;
            }
            Err(error) => assert!(matches!(error, ReadError::NotFound { .. }), "{error}"),
        }
    }
    known
}

#[test]
fn graphs_say_what_commits_say() {
    for seed in 0..4 {
        let git = random(&HistoryOptions::small(seed));
        let all = commits(&git);
        let merge = octopus(&git, &[all[0], all[3], all[9], all[20]]);
        git.run(&["update-ref", "refs/heads/octopus", &merge.to_string()]);
        assert_eq!(check(&git), 0);
        git.run(&WRITE);
        assert_eq!(check(&git), all.len() + 1);
        // And what walks make of them.
        let (plain, with) = (
            database(&git),
            database(&git).with_commit_graphs(graphs(&git)),
        );
        for pair in all.windows(12) {
            let bases = |db| merge_bases(db, pair[0], pair[11]).unwrap();
            assert_eq!(bases(&with), bases(&plain));
        }
    }
}

#[test]
fn chains_are_read_as_far_as_they_are_whole() {
    let git = random(&HistoryOptions::small(7));
    let all = ids(&git.run(&["rev-list", "--topo-order", "--reverse", "--all"]));
    let chain = git.path().join("objects/info/commit-graphs");
    let write = [
        "commit-graph",
        "write",
        "--stdin-commits",
        "--split=no-merge",
    ];
    for (part, count) in [(13, 1), (26, 2), (all.len(), 3)] {
        let input: String = all[..part].iter().map(|id| format!("{id}\n")).collect();
        git.run_with(
            &[&write[..], &["--changed-paths"]].concat(),
            input.as_bytes(),
        );
        let list = std::fs::read_to_string(chain.join("commit-graph-chain")).unwrap();
        assert_eq!(list.lines().count(), count);
    }
    let whole = check(&git);
    assert_eq!(whole, all.len());
    let list = std::fs::read_to_string(chain.join("commit-graph-chain")).unwrap();
    let file = |line: usize| {
        let name = list.lines().nth(line).unwrap();
        chain.join(format!("graph-{name}.graph"))
    };
    let damage = |path: PathBuf| {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    };
    damage(file(2));
    assert_eq!(check(&git), 26);
    damage(file(0));
    assert_eq!(check(&git), 0);
}

#[test]
fn what_a_filter_rules_out_is_unchanged() {
    let git = random(&HistoryOptions {
        commits: 80,
        ..HistoryOptions::small(3)
    });
    git.run(&WRITE);
    let listed = git.run(&["ls-tree", "-r", "-t", "-z", "--name-only", "main"]);
    let mut paths: Vec<&[u8]> = listed.split(|byte| *byte == 0).collect();
    paths.push(b"never/was");
    paths.retain(|path| RepoPath::parse(*path).is_ok());
    let db = database(&git).with_commit_graphs(graphs(&git));
    let (mut ruled_out, mut changed) = (0, 0);
    for path in paths {
        let (filter, path) = (PathFilter::new(path), RepoPath::parse(path).unwrap());
        for id in commits(&git) {
            let (tree, parents, _) = db.commit_links(id).unwrap();
            let before = parents
                .first()
                .map(|parent| db.commit_links(parent).unwrap().0);
            let at = |tree| find_path(&db, tree, &path).unwrap();
            let is_same = at(tree) == before.and_then(at);
            let is_ruled_out = db.is_known_unchanged(&id, &filter);
            assert!(is_same || !is_ruled_out, "{path} in {id}");
            ruled_out += usize::from(is_ruled_out);
            changed += usize::from(!is_same);
        }
    }
    assert!(
        ruled_out > 10 * changed && changed > 50,
        "{ruled_out} {changed}"
    );
    // Without filters nothing is known of paths, and the rest is.
    std::fs::remove_file(git.path().join("objects/info/commit-graph")).unwrap();
    git.run(&WRITE[..3]);
    let db = database(&git).with_commit_graphs(graphs(&git));
    let never = PathFilter::new(b"never/was");
    let known = commits(&git)
        .into_iter()
        .any(|id| db.is_known_unchanged(&id, &never));
    assert!(!known);
    assert!(check(&git) > 0);
}

/// The parts of a file by their names.
fn parts(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let row = |at: usize| {
        let row = &bytes[8 + at * 12..][..12];
        let offset = u64::from_be_bytes(row[4..].try_into().unwrap());
        (
            String::from_utf8(row[..4].to_vec()).unwrap(),
            offset as usize,
        )
    };
    let count = usize::from(bytes[6]);
    let ranges = (0..count).map(|at| (row(at).0, bytes[row(at).1..row(at + 1).1].to_vec()));
    ranges.collect()
}

#[test]
fn what_is_written_is_what_git_writes() {
    for seed in 20..23 {
        let git = random(&HistoryOptions {
            odd_names: false,
            ..HistoryOptions::small(seed)
        });
        let all = commits(&git);
        let merge = octopus(&git, &[all[0], all[4], all[11], all[19]]);
        git.run(&["update-ref", "refs/heads/octopus", &merge.to_string()]);
        let tips: Vec<ObjectId> = commits(&git);
        let mut ours = Vec::new();
        let count = write_commit_graph(&database(&git), &tips, 1, &mut ours, &()).unwrap();
        assert_eq!(count as usize, tips.len());
        git.run(&WRITE);
        let path = git.path().join("objects/info/commit-graph");
        let theirs = std::fs::read(&path).unwrap();
        let (ours_parts, theirs_parts) = (parts(&ours), parts(&theirs));
        for part in ["OIDF", "OIDL", "CDAT", "EDGE", "BIDX", "BDAT"] {
            assert!(ours_parts[part] == theirs_parts[part], "{part}");
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, &ours).unwrap();
        git.run(&["commit-graph", "verify"]);
        assert_eq!(check(&git), tips.len());
        // What is known already is taken over.
        let mut again = Vec::new();
        let db = database(&git).with_commit_graphs(graphs(&git));
        write_commit_graph(&db, &tips, 1, &mut again, &()).unwrap();
        assert!(again == ours);
        let mut none = Vec::new();
        assert_eq!(
            write_commit_graph(&db, &tips, 1000, &mut none, &()).unwrap(),
            0
        );
        assert!(none.is_empty());
    }
}

/// A graph has 34 bits for a time, and what `git` leaves out of one that is far off is left out here.
#[test]
fn times_far_off_are_those_that_git_takes_them_for() {
    let git = random(&HistoryOptions::small(31));
    let tree = git.id("main^{tree}");
    let bits = |time: u64| i64::try_from(time & ((1 << 34) - 1)).unwrap();
    let times = [
        ("0", 0),
        ("17179869183", (1 << 34) - 1),
        ("17179869184", 1 << 34),
        ("17179869261", (1 << 34) + 77),
        ("1099511627779", (1 << 40) + 3),
        ("9223372036854775807", (1 << 63) - 1),
        ("9223372036854775813", (1 << 63) + 5),
        ("18446744073709551616", u64::MAX),
        ("-5", u64::MAX - 4),
        ("", 0),
    ];
    let mut all = Vec::new();
    for (number, (text, time)) in times.into_iter().enumerate() {
        let person = "A <a@example.com> ";
        let text = format!(
            "tree {tree}\nauthor {person}0 +0000\ncommitter {person}{text} +0000\n\n{number}\n"
        );
        let write = [
            "hash-object",
            "-t",
            "commit",
            "-w",
            "--literally",
            "--stdin",
        ];
        let id = ObjectId::from_hex(git.run_with(&write, text.as_bytes()).trim_ascii()).unwrap();
        git.run(&[
            "update-ref",
            &format!("refs/heads/far-{number}"),
            &id.to_string(),
        ]);
        all.push((id, time));
    }
    let mut ours = Vec::new();
    write_commit_graph(&database(&git), &commits(&git), 1, &mut ours, &()).unwrap();
    git.run(&WRITE);
    let path = git.path().join("objects/info/commit-graph");
    let theirs = std::fs::read(&path).unwrap();
    assert!(parts(&ours)["CDAT"] == parts(&theirs)["CDAT"]);
    let (plain, known) = (database(&git), knows_nothing_else(&graphs(&git)));
    for (id, time) in all {
        assert_eq!(known.commit_links(id).unwrap().2, bits(time), "{time}");
        let (_, _, seconds) = plain.commit_links(id).unwrap();
        assert_eq!(bits(seconds.cast_unsigned()), bits(time));
        match i64::try_from(time) {
            Ok(time) => assert_eq!(seconds, time),
            Err(_) => assert!(seconds > i64::MAX - (1 << 34)),
        }
    }
}

#[test]
fn commits_that_change_odd_names_or_much_have_filters_that_rule_nothing_out_wrongly() {
    let git = random(&HistoryOptions {
        first_files: 700,
        ..HistoryOptions::small(5)
    });
    let mut ours = Vec::new();
    write_commit_graph(&database(&git), &commits(&git), 1, &mut ours, &()).unwrap();
    let path = git.path().join("objects/info/commit-graph");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &ours).unwrap();
    git.run(&["commit-graph", "verify"]);
    let listed = git.run(&["ls-tree", "-r", "-z", "--name-only", "main"]);
    let names = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    for name in names.take(40) {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let log = |graph: &str| {
            let config = format!("core.commitGraph={graph}");
            let path = format!(":(literal){name}");
            git.run(&["-c", &config, "log", "--format=%H", "main", "--", &path])
        };
        assert_eq!(log("true"), log("false"), "{name}");
    }
}

/// Puts the checksum behind a file.
fn seal(bytes: &mut Vec<u8>) {
    let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
    hasher.update(bytes);
    bytes.extend_from_slice(hasher.try_finalize().unwrap().as_slice());
}

/// Where a part of a file begins.
fn part_at(bytes: &[u8], name: &[u8; 4]) -> usize {
    let mut table = bytes[8..].chunks_exact(12);
    let entry = table.find(|entry| entry.starts_with(name)).unwrap();
    u64::from_be_bytes(entry[4..].try_into().unwrap()) as usize
}

/// Calls all the commits of a file `id`.
fn call_all(bytes: &mut Vec<u8>, id: &ObjectId) {
    let fanout = part_at(bytes, b"OIDF");
    let (ids, rows) = (part_at(bytes, b"OIDL"), part_at(bytes, b"CDAT"));
    for at in (ids..rows).step_by(20) {
        bytes[at..at + 20].copy_from_slice(id.as_slice());
    }
    let first_byte = usize::from(id.as_slice()[0]);
    let count = ((rows - ids) / 20) as u32;
    for byte in 0..256 {
        let end = if byte < first_byte { 0 } else { count };
        bytes[fanout + byte * 4..][..4].copy_from_slice(&end.to_be_bytes());
    }
    bytes.truncate(bytes.len() - 20);
    seal(bytes);
}

/// Of two rows about one commit, the one could be about a child of the other.
#[test]
fn commits_that_come_twice_are_not_their_own_parents() {
    let git = Git::init();
    let tree = git.run_with(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
    let tree = String::from_utf8(tree).unwrap();
    let who = "A <a@example.com> 1700000000 +0000";
    let commit = |parent: &str| {
        let text = format!("tree {tree}{parent}author {who}\ncommitter {who}\n\n");
        let args = ["hash-object", "-t", "commit", "-w", "--stdin"];
        let id = git.run_with(&args, text.as_bytes());
        ObjectId::from_hex(id.trim_ascii()).unwrap()
    };
    let first = commit("");
    let second = commit(&format!("parent {first}\n"));
    git.run(&["update-ref", "refs/heads/main", &second.to_string()]);
    let links = |id: ObjectId| knows_nothing_else(&graphs(&git)).commit_links(id);
    let info = git.path().join("objects/info");
    let replace = |name: &str, bytes: &[u8]| {
        let path = info.join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::write(path, bytes).unwrap();
    };

    git.run(&["commit-graph", "write", "--reachable"]);
    assert_eq!(links(second).unwrap().1, [first]);
    let mut bytes = std::fs::read(info.join("commit-graph")).unwrap();
    let rows = part_at(&bytes, b"CDAT");
    if first > second {
        // The row of the child is to be the one that a search meets.
        let (one, two) = bytes[rows..rows + 72].split_at_mut(36);
        one.swap_with_slice(two);
        bytes[rows + 36 + 20..][..4].fill(0);
    }
    call_all(&mut bytes, &second);
    replace("commit-graph", &bytes);
    assert!(links(second).is_err());

    std::fs::remove_file(info.join("commit-graph")).unwrap();
    for id in [first, second] {
        let args = [
            "commit-graph",
            "write",
            "--stdin-commits",
            "--split=no-merge",
        ];
        git.run_with(&args, format!("{id}\n").as_bytes());
    }
    assert_eq!(links(second).unwrap().1, [first]);
    let chain = "commit-graphs/commit-graph-chain";
    let names = std::fs::read_to_string(info.join(chain)).unwrap();
    let (lower, upper) = names.trim_end().split_once('\n').unwrap();
    let mut bytes = std::fs::read(info.join(format!("commit-graphs/graph-{upper}.graph"))).unwrap();
    call_all(&mut bytes, &first);
    let name = ObjectId::from_bytes_or_panic(&bytes[bytes.len() - 20..]);
    replace(&format!("commit-graphs/graph-{name}.graph"), &bytes);
    replace(chain, format!("{lower}\n{name}\n").as_bytes());
    assert!(links(first).unwrap().1.is_empty());
}

/// Whoever can write the file can say of a commit that it comes before itself; whoever walks its parents must not go round
/// in circles for that.
#[test]
fn no_commit_is_said_to_come_before_itself() {
    let git = random(&HistoryOptions::small(11));
    git.run(&WRITE);
    let file = git.path().join("objects/info/commit-graph");
    let good = std::fs::read(&file).unwrap();
    let rows_at = part_at(&good, b"CDAT");
    let mut bytes = good[..good.len() - 20].to_vec();
    let ids = commits(&git);
    for position in 0..ids.len() {
        let parent = rows_at + position * 36 + 20;
        bytes[parent..parent + 4].copy_from_slice(&(position as u32).to_be_bytes());
    }
    seal(&mut bytes);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("info")).unwrap();
    let links = |bytes: &[u8]| -> Vec<bool> {
        std::fs::write(folder.path().join("info/commit-graph"), bytes).unwrap();
        let graphs = Arc::new(CommitGraphs::new(vec![folder.path().to_owned()]));
        let db = knows_nothing_else(&graphs);
        // Graphs are opened when they have been asked often enough.
        (0..64).for_each(|_| drop(db.commit_links(ids[0])));
        ids.iter().map(|id| db.commit_links(id).is_ok()).collect()
    };
    assert!(links(&good).iter().all(|is_known| *is_known));
    assert!(links(&bytes).iter().all(|is_known| !is_known));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With a checksum that is right, whatever else is in the file.
    #[test]
    fn a_hostile_file_does_no_harm(changes: Vec<(prop::sample::Index, u8)>, cut in any::<prop::sample::Index>(), is_cut: bool) {
        static MADE: std::sync::OnceLock<(Git, Vec<u8>, Vec<ObjectId>)> = std::sync::OnceLock::new();
        let (_, good, ids) = MADE.get_or_init(|| {
            let git = random(&HistoryOptions::small(11));
            git.run(&WRITE);
            let bytes = std::fs::read(git.path().join("objects/info/commit-graph")).unwrap();
            let ids = commits(&git);
            (git, bytes, ids)
        });
        let mut bytes = good[..good.len() - 20].to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        seal(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("info")).unwrap();
        std::fs::write(folder.path().join("info/commit-graph"), bytes).unwrap();
        let graphs = Arc::new(CommitGraphs::new(vec![folder.path().to_owned()]));
        let db = knows_nothing_else(&graphs);
        let path = PathFilter::new(b"a/path");
        for _ in 0..3 {
            for id in ids {
                let _ = db.commit_links(id);
                let _ = db.is_known_unchanged(id, &path);
            }
        }
    }
}
