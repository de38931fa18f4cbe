//! What is said of patches that are not applied, what Git does not take, and what hostile ones cost.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use packhouse_object::{Database, ObjectId, ObjectKind, RepoPath, find_path};
use packhouse_repo::CommitError;
use packhouse_repo::patch::{PatchText, apply_patch};

use super::world::{Files, World, our_apply};

struct Place {
    database: Database,
    tree: ObjectId,
    _world: World,
}

impl Place {
    fn with(files: &[(&str, &str)]) -> Place {
        let mut world = World::new();
        let files: Files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), ("100644", content.as_bytes().to_vec())))
            .collect();
        world.add("base", &files);
        world.flush();
        Place {
            database: world.database(),
            tree: world.trees()["base"],
            _world: world,
        }
    }

    fn error(&self, patch: &str) -> String {
        let error = our_apply(&self.database, self.tree, patch.as_bytes());
        error.unwrap_err().to_string()
    }

    /// The file after a patch.
    fn file(&self, path: &str, patch: &str) -> String {
        let text = PatchText::memory(bytes::Bytes::copy_from_slice(patch.as_bytes()));
        let made = apply_patch(&self.database, Some(self.tree), &text).unwrap();
        let database = self.database.with_objects(made.objects);
        let entry = find_path(&database, made.tree, &RepoPath::parse(path).unwrap()).unwrap();
        let data = database
            .bytes_of(entry.unwrap().id, ObjectKind::Blob)
            .unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_line() {
    let place = Place::with(&[("docs/a.txt", "1\n2\n3\n4\n"), ("b", "x\n")]);
    let hunk = "@@ -1,2 +1,2 @@\n 1\n-two\n+zwei\n";
    for (patch, message) in [
        (
            format!("--- a/docs/a.txt\n+++ b/docs/a.txt\n@@ -3,2 +3,2 @@\n 3\n-4\n+four\n{hunk}"),
            "`docs/a.txt`: the hunk does not apply (line 7 of the patch)",
        ),
        (
            format!("diff --git a/c b/c\n--- a/c\n+++ b/c\n{hunk}"),
            "`c`: the file does not exist (line 1 of the patch)",
        ),
        (
            "diff --git a/b b/b\nnew file mode 100644\n--- /dev/null\n+++ b/b\n@@ -0,0 +1 @@\n+x\n".to_owned(),
            "`b`: the file exists already (line 1 of the patch)",
        ),
        (
            "diff --git a/b b/b\ndeleted file mode 100644\n".to_owned(),
            "`b`: the diff deletes the file and leaves some of its content (line 1 of the patch)",
        ),
        (
            "diff --git a/b b/b\nold mode 120000\nnew mode 100644\n".to_owned(),
            "`b`: the file has mode 100644, and the patch expects 120000 (line 1 of the patch)",
        ),
        (
            "--- a/b\n+++ b/b\n@@ -1,3 +1,3 @@\n x\n".to_owned(),
            "line 5 of the patch: the hunk is corrupt here",
        ),
        (
            "--- /dev/null\n+++ b/../../etc/passwd\n@@ -0,0 +1 @@\n+x\n".to_owned(),
            "line 1 of the patch: path `../../etc/passwd`",
        ),
        (
            "--- /dev/null\n+++ b/x/.GIT/config\n@@ -0,0 +1 @@\n+x\n".to_owned(),
            "line 1 of the patch: path `x/.GIT/config`",
        ),
        (
            "diff --git b c\n".to_owned() + "index 1..2 100644\n",
            "line 1 of the patch: the header does not tell the file's name; names begin with `a/` and `b/`",
        ),
        (String::new(), "the patch is empty: there is no diff in it"),
        ("just a letter\n".to_owned(), "the patch is empty: there is no diff in it"),
        (
            "@@ -1 +1 @@\n-x\n+y\n".to_owned(),
            "line 1 of the patch: a hunk without the header that names its file",
        ),
        (
            "--- /dev/null\n+++ b/.gitmodules\n@@ -0,0 +1,2 @@\n+[submodule \"../x\"]\n+\tpath = x\n".to_owned(),
            "`.gitmodules` cannot be written",
        ),
    ] {
        assert_eq!(place.error(&patch), message, "{patch}");
    }
}

#[test]
fn hunks_may_leave_out_their_line_numbers() {
    let place = Place::with(&[
        ("docs/README.md", "# Title\n\nOld line\n\nEnd\n"),
        ("twice", "a\nb\na\n"),
    ]);
    // As the SDK's documentation has it.
    let guide = "--- a/docs/README.md\n+++ b/docs/README.md\n@@\n-Old line\n+New line\n";
    let read = |patch: &str| place.file("docs/README.md", patch);
    assert_eq!(read(guide), "# Title\n\nNew line\n\nEnd\n");
    // Without a newline at the end, with empty lines behind it, in a Git diff, with several hunks.
    assert_eq!(read(guide.trim_end()), "# Title\n\nNew line\n\nEnd\n");
    assert_eq!(
        read(&format!("{guide}\n\n")),
        "# Title\n\nNew line\n\nEnd\n"
    );
    let git = format!("diff --git a/docs/README.md b/docs/README.md\n{guide}@@\n-End\n+The end\n");
    assert_eq!(read(&git), "# Title\n\nNew line\n\nThe end\n");
    let context =
        "--- a/docs/README.md\n+++ b/docs/README.md\n@@\n # Title\n\n-Old line\n+-- New\n";
    assert_eq!(read(context), "# Title\n\n-- New\n\nEnd\n");
    let two = format!("{guide}--- /dev/null\n+++ b/new\n@@\n+new\n");
    assert_eq!(place.file("new", &two), "new\n");
    for (patch, message) in [
        (
            "--- a/twice\n+++ b/twice\n@@\n-a\n+A\n",
            "fits at line 1 and again at line 3",
        ),
        (
            "--- a/twice\n+++ b/twice\n@@\n+A\n",
            "neither line numbers nor a line that tells its place",
        ),
        (
            "--- a/twice\n+++ b/twice\n@@\n-c\n+A\n",
            "the hunk does not apply",
        ),
        (
            "--- a/twice\n+++ b/twice\n@@\n a\n",
            "line 3 of the patch: the hunk changes nothing",
        ),
    ] {
        let error = place.error(patch);
        assert!(error.contains(message), "{error}");
    }
}

fn timed<T>(limit: Duration, run: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let out = run();
    assert!(begin.elapsed() < limit, "it took {:?}", begin.elapsed());
    out
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_hundred_thousand_hunks_apply_in_one_pass() {
    const HUNKS: usize = 100_000;
    let mut file = String::new();
    let mut patch = "--- a/f\n+++ b/f\n".to_owned();
    for number in 0..HUNKS {
        write!(file, "before {number}\nold\nafter\n").unwrap();
        let at = 3 * number + 1;
        if number > 0 {
            write!(
                patch,
                "@@ -{at},3 +{at},3 @@\n before {number}\n-old\n+new\n after\n"
            )
            .unwrap();
        }
    }
    let place = Place::with(&[("f", &file)]);
    let made = timed(LIMIT, || place.file("f", &patch));
    assert_eq!(made.matches("new\n").count(), HUNKS - 1);
    // From a file it is the same.
    let mut spooled = tempfile::tempfile().unwrap();
    spooled.write_all(patch.as_bytes()).unwrap();
    let text = PatchText::file(spooled, patch.len() as u64);
    let from_file = timed(LIMIT, || {
        apply_patch(&place.database, Some(place.tree), &text).unwrap()
    });
    assert_eq!(
        from_file.tree,
        our_apply(&place.database, place.tree, patch.as_bytes()).unwrap()
    );
}

#[test]
fn hostile_line_numbers_cost_a_bounded_time() {
    // Every hunk belongs to the other end of the file.
    const LINES: usize = 60_000;
    let mut file = "same\n".repeat(LINES);
    let mut patch = "--- a/f\n+++ b/f\n".to_owned();
    for number in 0..LINES / 2 {
        write!(file, "x{number}\nsame\n").unwrap();
        write!(patch, "@@ -2,3 +2,3 @@\n same\n-x{number}\n+y\n same\n").unwrap();
    }
    let place = Place::with(&[("f", &file)]);
    let error = timed(LIMIT, || {
        our_apply(&place.database, place.tree, patch.as_bytes()).unwrap_err()
    });
    assert!(matches!(error, CommitError::Patch(_)), "{error}");
}

#[test]
fn a_million_diffs_are_too_many() {
    let patch = "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n".repeat(500_000);
    let place = Place::with(&[("f", "x\n")]);
    let error = timed(LIMIT, || place.error(&patch));
    assert!(error.contains("more than 400000 diffs"), "{error}");
}
