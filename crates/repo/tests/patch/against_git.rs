//! The same patches taken, and the same trees made, as by `git apply --cached`.

use std::process::Command;

use packhouse_object::{Database, ObjectId};
use packhouse_repo::CommitError;
use packhouse_repo::patch::PatchError;

use super::world::{Chance, Files, World, our_apply};

const CASES: u64 = 150;

/// How often a patch was taken, and how often not.
#[derive(Debug, Default)]
struct Tally {
    taken: usize,
    refused: usize,
    differ: Vec<String>,
}

impl Tally {
    fn compare(
        &mut self,
        world: &World,
        database: &Database,
        tree: ObjectId,
        patch: &[u8],
        what: &str,
    ) {
        let git = world.git_apply(tree, patch);
        let ours = our_apply(database, tree, patch);
        let text = String::from_utf8_lossy(patch);
        match (&git, &ours) {
            (Ok(git), Ok(ours)) if git == ours => self.taken += 1,
            (Err(_), Err(_)) => self.refused += 1,
            // Git applies what comes before binary data that is corrupt, and says nothing of the rest.
            (Ok(_), Err(CommitError::Patch(error))) if is_binary(error) => self.refused += 1,
            _ => self.differ.push(format!(
                "{what} on {tree}\ngit: {git:?}\nwe: {ours:?}\n{text}"
            )),
        }
    }

    fn check(&self, taken: usize, refused: usize) {
        let differ = &self.differ;
        assert!(
            differ.is_empty(),
            "{} differ:\n{}",
            differ.len(),
            differ.join("\n=====\n")
        );
        // Else the comparison would show nothing of one of the two.
        let enough = self.taken >= taken && self.refused >= refused;
        assert!(enough, "{} taken, {} refused", self.taken, self.refused);
    }
}

fn is_binary(error: &PatchError) -> bool {
    let text = error.to_string();
    matches!(error, PatchError::Malformed { .. })
        && [
            "binary data is corrupt",
            "`literal` or `delta`",
            "the size is no number",
        ]
        .iter()
        .any(|reason| text.contains(reason))
}

#[test]
fn patches_of_random_trees_do_what_they_do_to_git() {
    let mut world = World::new();
    let mut chances = Vec::new();
    for seed in 0..CASES {
        let mut chance = Chance::new(seed);
        let base = chance.files();
        let new = chance.edited(&base);
        let newer = chance.edited(&new);
        let drifted = chance.edited(&base);
        for (name, files) in [
            ("base", base),
            ("new", new),
            ("newer", newer),
            ("drifted", drifted),
        ] {
            world.add(&format!("{name}{seed}"), &files);
        }
        chances.push(chance);
    }
    world.flush();
    let (database, trees) = (world.database(), world.trees());
    let (mut plain, mut drifted, mut damaged) =
        (Tally::default(), Tally::default(), Tally::default());
    for (seed, chance) in chances.iter_mut().enumerate() {
        let name = |name: &str| format!("{name}{seed}");
        let options = chance.options();
        let what = format!("seed {seed} {options:?}");
        let mut patch = world.diff(&options, &name("base"), &name("new"));
        if chance.one_in(3) {
            patch.extend(world.diff(&options, &name("new"), &name("newer")));
        }
        let tree = trees[&name("base")];
        plain.compare(&world, &database, tree, &patch, &what);
        drifted.compare(&world, &database, trees[&name("drifted")], &patch, &what);
        let patch = chance.damaged(&patch);
        damaged.compare(&world, &database, tree, &patch, &format!("damaged {what}"));
    }
    plain.check(60, 10);
    drifted.check(20, 20);
    damaged.check(10, 20);
}

#[test]
fn traditional_diffs_do_what_they_do_to_git() {
    let mut world = World::new();
    let mut patches = Vec::new();
    for seed in 0..40 {
        let mut chance = Chance::new(1_000_000 + seed);
        let plain = |files: Files| -> Files {
            files
                .into_iter()
                .filter(|(path, (mode, content))| {
                    mode.starts_with("100")
                        && !content.contains(&0)
                        && path.is_ascii()
                        && !path.contains('"')
                })
                .map(|(path, (_, content))| (path, ("100644", content)))
                .collect()
        };
        let base = plain(chance.files());
        let new = plain(chance.edited(&base));
        let folder = tempfile::tempdir().unwrap();
        for (side, files) in [("a", &base), ("b", &new)] {
            std::fs::create_dir(folder.path().join(side)).unwrap();
            for (path, (_, content)) in files {
                let path = folder.path().join(side).join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
        let option = chance.of(&["-ruN", "-rupN", "-ru", "-rU1", "-rNU10"]);
        let out = Command::new("diff")
            .args([option, "a", "b"])
            .current_dir(folder.path())
            .env("TZ", "UTC")
            .output()
            .unwrap();
        world.add(&format!("base{seed}"), &base);
        let damaged = chance.damaged(&out.stdout);
        patches.push((out.stdout, damaged));
    }
    world.flush();
    let (database, trees) = (world.database(), world.trees());
    let mut tally = Tally::default();
    for (seed, (patch, damaged)) in patches.iter().enumerate() {
        let tree = trees[&format!("base{seed}")];
        tally.compare(&world, &database, tree, patch, &format!("seed {seed}"));
        tally.compare(
            &world,
            &database,
            tree,
            damaged,
            &format!("damaged seed {seed}"),
        );
    }
    tally.check(20, 10);
}

/// What people write by hand, and what Git is known for.
#[test]
fn known_cases_do_what_they_do_to_git() {
    let mut world = World::new();
    let lines = |text: &str| ("100644", text.as_bytes().to_vec());
    let files: Files = [
        ("f", lines("1\n2\n3\n4\n5\n6\n7\n8\n9\n")),
        ("g", lines("a\nb\nc\nno end")),
        ("empty", lines("")),
        ("crlf", lines("a\r\nb\r\nc\r\n")),
        ("dir/inner", lines("x\n")),
        ("link", ("120000", b"f".to_vec())),
    ]
    .into_iter()
    .map(|(path, file)| (path.to_owned(), file))
    .collect();
    world.add("base", &files);
    world.flush();
    let (database, tree) = (world.database(), world.trees()["base"]);
    let mut tally = Tally::default();
    for patch in [
        // Overlapping and reordered hunks.
        "--- a/f\n+++ b/f\n@@ -7,3 +7,3 @@\n 7\n-8\n+E\n 9\n@@ -2,3 +2,3 @@\n 2\n-3\n+C\n 4\n",
        "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n 2\n-3\n+C\n 4\n@@ -3,3 +3,3 @@\n C\n-4\n+D\n 5\n",
        "--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n",
        "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n 2\n-3\n+C\n 4\n",
        "--- a/f\n+++ b/f\n@@ -4,2 +4,2 @@\n 8\n-9\n+N\n",
        "--- a/f\n+++ b/f\n@@ -4,3 +4,4 @@\n 4\n 5\n+5.5\n 6\n",
        "--- a/f\n+++ b/f\n@@ -3 +3 @@\n-3\n+C\n",
        "--- a/f\n+++ b/f\n@@ -9 +9,2 @@\n 9\n+10\n",
        "--- a/f\n+++ b/f\n@@ -1,9 +0,0 @@\n-1\n-2\n-3\n-4\n-5\n-6\n-7\n-8\n-9\n",
        "--- a/f\n+++ /dev/null\n@@ -1,9 +0,0 @@\n-1\n-2\n-3\n-4\n-5\n-6\n-7\n-8\n-9\n",
        "--- a/f\n+++ /dev/null\n@@ -1,8 +0,0 @@\n-1\n-2\n-3\n-4\n-5\n-6\n-7\n-8\n",
        // Ends of files.
        "--- a/g\n+++ b/g\n@@ -3,2 +3,2 @@\n c\n-no end\n\\ No newline at end of file\n+an end\n",
        "--- a/g\n+++ b/g\n@@ -3,2 +3,2 @@\n c\n-no end\n+an end\n",
        "--- a/g\n+++ b/g\n@@ -2,3 +2,3 @@\n-b\n+B\n c\n no end\n\\ No newline at end of file\n",
        "--- a/g\n+++ b/g\n@@ -2,3 +2,3 @@\n-b\n+B\n c\n no end\n",
        "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n 2\n-3\n+C\n 4\n\\ No newline at end of file\n",
        "--- a/crlf\n+++ b/crlf\n@@ -1,3 +1,3 @@\n a\r\n-b\r\n+B\r\n c\r\n",
        "--- a/crlf\n+++ b/crlf\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n",
        "--- a/f\r\n+++ b/f\r\n@@ -1,2 +1,2 @@\r\n-1\n+I\n 2\n",
        "--- a/f\n+++ b/f\n@@ -2,3 +2,4 @@\n 2\n 3\n+\n 4\n",
        // New files and files that only look new.
        "--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n",
        "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n",
        "--- a/new\n+++ b/new\n@@ -0,0 +1 @@\n+x\n",
        "--- a/empty\n+++ b/empty\n@@ -0,0 +1 @@\n+x\n",
        "--- new\n+++ new\n@@ -0,0 +1 @@\n+x\n",
        "--- f\n+++ f\n@@ -1,2 +1,2 @@\n-1\n+I\n 2\n",
        "--- f.orig\t2010-07-05 19:41:17 -0500\n+++ f\t2010-07-05 19:41:18 -0500\n@@ -1,2 +1,2 @@\n-1\n+I\n 2\n",
        "--- a/new\t1970-01-01 00:00:00 +0000\n+++ b/new\t2010-07-05 19:41:18 -0500\n@@ -0,0 +1 @@\n+x\n",
        "--- a/empty\t2010-07-05 19:41:18 -0500\n+++ b/empty\t1970-01-01 00:00:00 +0000\n@@ -0,0 +0,0 @@\n",
        "diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/new b/new\nnew file mode 100644\nindex 0000000..e69de29\n",
        "diff --git a/f/x b/f/x\nnew file mode 100644\n--- /dev/null\n+++ b/f/x\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/dir b/dir\nnew file mode 100644\n--- /dev/null\n+++ b/dir\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\ndiff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+y\n",
        "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\ndiff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n",
        "--- /dev/null\n+++ b/.git/x\n@@ -0,0 +1 @@\n+x\n",
        // A folder in place of a file and the other way round.
        "diff --git a/f b/f\ndeleted file mode 100644\n--- a/f\n+++ /dev/null\n@@ -1,9 +0,0 @@\n-1\n-2\n-3\n-4\n-5\n-6\n-7\n-8\n-9\ndiff --git a/f/x b/f/x\nnew file mode 100644\n--- /dev/null\n+++ b/f/x\n@@ -0,0 +1 @@\n+x\n",
        "diff --git a/dir b/dir\nnew file mode 100644\n--- /dev/null\n+++ b/dir\n@@ -0,0 +1 @@\n+x\ndiff --git a/dir/inner b/dir/inner\ndeleted file mode 100644\n--- a/dir/inner\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        // Modes, renames and copies.
        "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n",
        "diff --git a/f b/f\nold mode 100755\nnew mode 100644\n",
        "diff --git a/f b/f\nold mode 100644\nnew mode 120000\n",
        "diff --git a/f b/f\nold mode 100644\nnew mode 100644\n",
        "diff --git a/f b/h\nsimilarity index 100%\nrename from f\nrename to h\n",
        "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n",
        "diff --git a/f b/h\nsimilarity index 100%\ncopy from f\ncopy to h\ndiff --git a/f b/i\nsimilarity index 100%\nrename from f\nrename to i\n",
        "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\ndiff --git a/g b/f\nsimilarity index 100%\nrename from g\nrename to f\n",
        "diff --git a/f b/h\nrename from f\nrename to h\ndiff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+I\n 2\n",
        "diff --git a/f b/h\nrename from f\nrename to h\nnew file mode 100644\n",
        "diff --git a/f b/h\nrename old f\nrename new h\n--- a/f\n+++ b/h\n@@ -1,2 +1,2 @@\n-1\n+I\n 2\n",
        "diff --git a/f b/g\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+I\n 2\n",
        "diff --git a/f b/h\n",
        "diff --git a/f b/h\nindex 1..2 100644\n",
        "diff --git a/f b/f\n",
        "diff --git a/f b/f\nindex 1..2 100644\n",
        // Binary.
        "diff --git a/empty b/empty\ndeleted file mode 100644\nindex e69de29bb2d1d6434b8b29ae775ad8c2e48c5391..0000000000000000000000000000000000000000\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
        "diff --git a/e b/e\nnew file mode 100644\nindex 0000000000000000000000000000000000000000..e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\nGIT binary patch\nliteral 0\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n",
        "diff --git a/f b/f\nindex 1234567..89abcde 100644\nBinary files a/f and b/f differ\n",
        "diff --git a/empty b/empty\nindex e69de29bb2d1d6434b8b29ae775ad8c2e48c5391..1234567890123456789012345678901234567890 100644\nBinary files a/empty and b/empty differ\n",
        // No patches.
        "",
        "hello\n",
        "@@ -1 +1 @@\n-1\n+I\n",
        "--- a/f\n+++ b/f\n",
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n",
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n 1\n 2\n",
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+I\n 2",
    ] {
        tally.compare(&world, &database, tree, patch.as_bytes(), "known");
    }
    tally.check(20, 20);
}
