//! Which repository a program finds, and which it refuses.

use std::path::Path;

use packhouse_programs::{Environment, Mode, ProgramCall, ProgramError, upload_pack};
use tempfile::TempDir;

use crate::doors::environment;
use crate::git::{command, init, init_bare};

fn look(dir: &Path, strict: bool, environment: &Environment) -> Result<Vec<u8>, ProgramError> {
    let call = ProgramCall {
        dir: dir.to_owned(),
        strict,
        timeout: None,
        quiet: false,
        mode: Mode::Advertise,
    };
    let mut out = Vec::new();
    upload_pack(&call, environment, Box::new(std::io::empty()), &mut out)?;
    Ok(out)
}

/// How git's own program fares, and its first complaint.
fn git_looks(dir: &Path, strict: bool, more: &[(&str, &str)]) -> (bool, String) {
    let mut git = command();
    git.args(["upload-pack", "--http-backend-info-refs"]);
    if strict {
        git.arg("--strict");
    }
    let output = git.arg(dir).envs(more.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said.trim_end().to_owned())
}

#[test]
fn names_are_completed_as_git_completes_them() {
    let tmp = TempDir::new().unwrap();
    init_bare(&tmp.path().join("bare.git"));
    init(&tmp.path().join("work"));
    init(&tmp.path().join("both"));
    init_bare(&tmp.path().join("both.git"));
    for name in [
        "bare",
        "bare.git",
        "bare.git/",
        "work",
        "work/.git",
        "both",
        "none",
        "work/x",
    ] {
        for strict in [false, true] {
            let dir = tmp.path().join(name);
            let ours = look(&dir, strict, &environment(&[]));
            let (ok, said) = git_looks(&dir, strict, &[]);
            assert_eq!(ours.is_ok(), ok, "{name} {strict} {said}");
            if let (Err(error), false) = (ours, strict) {
                assert_eq!(format!("fatal: {error}"), said);
            }
        }
    }
}

#[test]
fn a_repository_of_somebody_else_is_refused_until_it_is_said_to_be_safe() {
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("a.git");
    init_bare(&dir);
    let foreign = ("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
    let error = look(&dir, false, &environment(&[foreign])).unwrap_err();
    let (ok, said) = git_looks(&dir, false, &[foreign]);
    assert!(!ok);
    assert_eq!(format!("fatal: {error}"), said);
    let shown = dir.display().to_string();
    for (value, is_safe) in [("*", true), (shown.as_str(), true), ("/elsewhere", false)] {
        let more = [
            foreign,
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", value),
        ];
        assert_eq!(
            look(&dir, false, &environment(&more)).is_ok(),
            is_safe,
            "{value}"
        );
        assert_eq!(git_looks(&dir, false, &more).0, is_safe, "{value}");
    }
    // The repository's own settings have no say in this.
    crate::git::Git::at(&dir).run(&["config", "safe.directory", "*"]);
    assert!(look(&dir, false, &environment(&[foreign])).is_err());
}

#[test]
fn homes_are_found_by_the_names_of_their_users() {
    let tmp = TempDir::new().unwrap();
    init_bare(&tmp.path().join("bare.git"));
    let home = ("HOME", tmp.path().to_str().unwrap());
    for (dir, is_there) in [
        ("~/bare", true),
        ("~/none", false),
        ("~nobody-of-this-name/bare", false),
    ] {
        for strict in [false, true] {
            let ours = look(Path::new(dir), strict, &environment(&[home]));
            let (ok, said) = git_looks(Path::new(dir), strict, &[home]);
            assert_eq!(ours.is_ok(), ok, "{dir} {strict} {said}");
            assert_eq!(ok, is_there && !strict, "{dir} {strict}");
        }
    }
}

#[test]
fn what_is_stored_in_another_way_is_refused_in_one_sentence() {
    let tmp = TempDir::new().unwrap();
    let dir = tmp.path().join("a.git");
    command()
        .args(["init", "-q", "--bare", "--object-format=sha256"])
        .arg(&dir)
        .status()
        .unwrap();
    let error = look(&dir, false, &environment(&[])).unwrap_err();
    let shown = std::fs::canonicalize(&dir).unwrap();
    let expected = format!(
        "`{}` uses object format sha256, which is not supported",
        shown.display()
    );
    assert_eq!(error.to_string(), expected);
}
