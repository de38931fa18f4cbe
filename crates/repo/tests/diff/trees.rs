//! The same text as `git diff`, on random trees, and patches that `git apply` takes.

use packhouse_object::ObjectId;
use packhouse_repo::diff::{BinaryForm, DiffOptions, FileDiff, changed_files};
use packhouse_repo::line_diff::split_lines;
use packhouse_repo::renames::RenameOptions;

use super::chance::Chance;
use super::world::{Files, World};

const CASES: u64 = 60;

const PATHS: [&str; 20] = [
    "a.txt",
    "b.txt",
    "with space",
    "tab\there",
    "caf\u{e9}",
    "quote\"d",
    "back\\slash",
    "line\nbreak",
    "lib/a.txt",
    "lib/Makefile",
    "lib/deep/er/x.c",
    "lib/deep/y.c",
    "Makefile",
    "d",
    "d/x",
    "d/y/z",
    "d.e",
    "src/main.rs",
    "src/a b/c",
    "z",
];

struct Tree<'a> {
    chance: &'a mut Chance,
    files: Files,
}

impl Tree<'_> {
    /// A free path at which a file would neither replace a folder nor be inside a file.
    fn free_path(&mut self) -> Option<Vec<u8>> {
        let path = self.chance.one_of(PATHS).as_bytes();
        let is_inside = |inner: &[u8], outer: &[u8]| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let mut taken = self.files.keys();
        let is_taken = taken.any(|other| is_inside(other, path) || is_inside(path, other));
        (!is_taken).then(|| path.to_vec())
    }

    fn content(&mut self) -> (&'static str, Vec<u8>) {
        let text = self.chance.below(60);
        let text = self.chance.lines(text);
        match self.chance.below(14) {
            0 => ("120000", b"target/of/link".to_vec()),
            1 => ("160000", vec![self.chance.one_of(*b"1234"); 40]),
            2 => ("100644", Vec::new()),
            3 | 4 => {
                let mut bytes = self.chance.joined(&text);
                bytes.insert(0, 0);
                ("100644", bytes)
            }
            5 => ("100644", b"latin \xe9 1\n".repeat(1 + self.chance.below(9))),
            6 => ("100755", self.chance.joined(&text)),
            _ => ("100644", self.chance.joined(&text)),
        }
    }

    fn add(&mut self) {
        let file = self.content();
        if let Some(path) = self.free_path() {
            self.files.insert(path, file);
        }
    }

    fn edit(&mut self) {
        let number = self.chance.below(self.files.len());
        let Some((path, (mode, content))) = self.files.iter().nth(number) else {
            return self.add();
        };
        let (path, mut file) = (path.clone(), (*mode, content.clone()));
        match self.chance.below(9) {
            0 => drop(self.files.remove(&path)),
            1 => {
                file.0 = match file.0 {
                    "100644" => "100755",
                    "100755" => "100644",
                    other => other,
                };
                self.files.insert(path, file);
            }
            2 => {
                let new = self.content();
                self.files.insert(path, new);
            }
            3 | 4 => {
                if self.chance.one_in(2) {
                    self.change(&mut file);
                }
                let Some(to) = self.free_path() else { return };
                self.files.remove(&path);
                self.files.insert(to, file);
            }
            5 => {
                if let Some(to) = self.free_path() {
                    self.files.insert(to, file);
                }
            }
            6 => self.add(),
            _ => {
                self.change(&mut file);
                self.files.insert(path, file);
            }
        }
    }

    /// Changes some lines of a file.
    fn change(&mut self, file: &mut (&'static str, Vec<u8>)) {
        if !file.0.starts_with("100") {
            return;
        }
        let lines: Vec<Vec<u8>> = split_lines(&file.1).map(<[u8]>::to_vec).collect();
        let lines = self.chance.edited(&lines);
        file.1 = self.chance.joined(&lines);
    }
}

fn trees(seed: u64) -> (Files, Files) {
    let mut chance = Chance::new(seed);
    let mut tree = Tree {
        chance: &mut chance,
        files: Files::new(),
    };
    for _ in 0..14 {
        tree.add();
    }
    let before = tree.files.clone();
    for _ in 0..7 {
        tree.edit();
    }
    (before, tree.files)
}

fn world(trees: &[(Files, Files)]) -> World {
    let names: Vec<(String, &Files)> = trees
        .iter()
        .enumerate()
        .flat_map(|(seed, (before, after))| {
            [(format!("b{seed}"), before), (format!("a{seed}"), after)]
        })
        .collect();
    let commits: Vec<(&str, &Files)> = names
        .iter()
        .map(|(name, files)| (&**name, *files))
        .collect();
    World::of(&commits)
}

struct Case {
    options: DiffOptions,
    arguments: Vec<&'static str>,
}

fn cases() -> Vec<Case> {
    let options = DiffOptions::default;
    let copies = RenameOptions {
        copies: true,
        ..RenameOptions::default()
    };
    let strict = RenameOptions {
        min_score: 54_000,
        ..RenameOptions::default()
    };
    let case = |options, arguments: &[&'static str]| Case {
        options,
        arguments: arguments.to_vec(),
    };
    vec![
        case(options(), &[]),
        case(
            DiffOptions {
                ignore_space_change: true,
                ..options()
            },
            &["-b"],
        ),
        case(
            DiffOptions {
                renames: None,
                context: 0,
                ..options()
            },
            &["--no-renames", "-U0"],
        ),
        case(
            DiffOptions {
                renames: Some(copies),
                context: 1,
                ..options()
            },
            &["-C", "-U1"],
        ),
        case(
            DiffOptions {
                renames: Some(strict),
                paths: vec!["lib".into(), "d".into(), "a.txt".into()],
                ..options()
            },
            &["-M90%", "--", "lib", "d", "a.txt"],
        ),
    ]
}

#[test]
fn texts_are_those_of_git() {
    let trees: Vec<_> = (0..CASES).map(trees).collect();
    let world = world(&trees);
    let database = world.database();
    let mut shown = Vec::new();
    for seed in 0..CASES {
        let (before, after) = (format!("b{seed}"), format!("a{seed}"));
        let (old, new) = (world.tree(&before), world.tree(&after));
        for Case { options, arguments } in cases() {
            let split = arguments.iter().position(|argument| *argument == "--");
            let (flags, paths) = arguments.split_at(split.unwrap_or(arguments.len()));
            let mut command = vec!["diff", "--full-index"];
            command.extend(flags);
            command.extend([before.as_str(), after.as_str()]);
            command.extend(paths);
            let expected = world.git(&command);
            let mut found = Vec::new();
            for change in changed_files(&database, Some(old), Some(new), &options).unwrap() {
                let diff = FileDiff::of(&database, &change, &options).unwrap();
                diff.write(&mut found);
            }
            assert!(
                found == expected,
                "seed {seed} {arguments:?}\ngit:\n{}\nwe:\n{}",
                String::from_utf8_lossy(&expected),
                String::from_utf8_lossy(&found)
            );
            shown.extend(found);
        }
    }
    // Else the trees would show nothing of one of these.
    let shown = String::from_utf8_lossy(&shown);
    for sort in [
        "\nrename from ",
        "\ncopy from ",
        "\nold mode ",
        "\nBinary files ",
        "\nnew file mode 120000",
        "\ndeleted file mode 160000",
        "\n\\ No newline",
        "\nsimilarity index 100%",
        "\n@@ -1,4 +1,5 @@ w",
    ] {
        let sort_is_shown =
            shown.contains(sort) || sort.starts_with("\n@@") && shown.contains("@@ w");
        assert!(sort_is_shown, "{sort}");
    }
}

#[test]
fn patches_make_the_new_tree() {
    let trees: Vec<_> = (1000..1000 + CASES).map(trees).collect();
    let world = world(&trees);
    let database = world.database();
    let options = DiffOptions {
        binary: BinaryForm::Patch,
        ..DiffOptions::default()
    };
    let mut deltas = 0;
    for seed in 0..CASES {
        let (old, new) = (
            world.tree(&format!("b{seed}")),
            world.tree(&format!("a{seed}")),
        );
        let mut patch = Vec::new();
        for change in changed_files(&database, Some(old), Some(new), &options).unwrap() {
            let mut diff = FileDiff::of(&database, &change, &options).unwrap();
            diff.show_other_encodings_as_binary();
            diff.write(&mut patch);
        }
        // All of it can be carried in JSON.
        let text = String::from_utf8(patch).unwrap();
        deltas += text.matches("\ndelta ").count();
        world.git(&["read-tree", &old.to_string()]);
        if !text.is_empty() {
            world.git_with(
                &["apply", "--cached", "--binary", "--whitespace=nowarn"],
                text.as_bytes(),
            );
        }
        let made = world.git(&["write-tree", "--missing-ok"]);
        assert_eq!(
            ObjectId::from_hex(made.trim_ascii()).unwrap(),
            new,
            "seed {seed}\n{text}"
        );
    }
    assert!(deltas > 0);
}
