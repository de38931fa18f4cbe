//! Settings as ours read them, and as git does.

use std::fs;

use packhouse_testkit::git::command;

use super::*;

/// A repository with these settings of its own.
fn repository(folder: &Path, text: &str) -> Served {
    for name in ["objects", "refs"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::write(folder.join("HEAD"), "ref: refs/heads/topic/one\n").unwrap();
    fs::write(
        folder.join("config"),
        format!("[core]\n\tbare = true\n{text}"),
    )
    .unwrap();
    Served::open(folder).unwrap()
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let mut environment = Environment::default();
    environment.set("GIT_CONFIG_NOSYSTEM", "1");
    for (name, value) in variables {
        environment.set(name, *value);
    }
    environment
}

fn config(folder: &Path, text: &str) -> Config {
    let environment = environment(&[
        ("GIT_CONFIG_COUNT", "3"),
        ("GIT_CONFIG_KEY_0", "Receive.DenyDeletes"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_CONFIG_KEY_1", "a.B.C"),
        ("GIT_CONFIG_VALUE_1", "x"),
        ("GIT_CONFIG_KEY_2", "core.y"),
        ("GIT_CONFIG_VALUE_2", "2"),
        (
            "GIT_CONFIG_PARAMETERS",
            "'core.x'='it'\\''s' 'core.y=1' 'core.z'=",
        ),
    ]);
    Config::load(&environment, &repository(folder, text)).unwrap()
}

#[test]
fn later_settings_count_and_those_of_the_call_most() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("more"),
        "[receive]\n\tunpackLimit = 2k\n",
    )
    .unwrap();
    let text = "[receive]\n\tdenyDeletes = no\n\tunpackLimit = 1\n[include]\n\tpath = more\n[transfer]\n\t\
                hideRefs = refs/a\n\thideRefs = refs/b\n\tfsckObjects\n\tx = maybe\n";
    let config = config(folder.path(), text);
    assert_eq!(config.flag("receive.denydeletes").unwrap(), Some(true));
    assert_eq!(config.number("receive.unpacklimit").unwrap(), Some(2048));
    assert_eq!(config.all("transfer.hiderefs").count(), 2);
    assert_eq!(config.flag("transfer.fsckobjects").unwrap(), Some(true));
    assert_eq!(config.text("a.B.c"), Some(BStr::new("x")));
    assert_eq!(config.text("core.x"), Some(BStr::new("it's")));
    assert_eq!(config.number("core.y").unwrap(), Some(1));
    assert_eq!(config.flag("core.z").unwrap(), Some(true));
    let bad = config.flag("transfer.x").unwrap_err();
    assert_eq!(
        bad.to_string(),
        "bad boolean config value 'maybe' for 'transfer.x'"
    );
}

/// What ours say of a setting in an environment, and what git says.
fn both(
    repository: &Served,
    variables: &[(&str, &str)],
    name: &str,
) -> (
    Result<Option<String>, String>,
    Result<Option<String>, String>,
) {
    let ours = Config::load(&environment(variables), repository)
        .map(|config| config.text(name).map(ToString::to_string))
        .map_err(|error| error.to_string());
    let mut git = command();
    git.arg("--git-dir").arg(repository.git_dir());
    let said = git
        .args(["config", name])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&said.stderr).into_owned();
    let gits = match said.status.code() {
        Some(0) => Ok(Some(String::from_utf8(said.stdout).unwrap())),
        Some(1) => Ok(None),
        _ => Err(stderr),
    };
    (
        ours,
        gits.map(|found| found.map(|text| text.trim_end().to_owned())),
    )
}

#[test]
fn conditions_hold_where_git_says_that_they_do() {
    let tmp = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(tmp.path()).unwrap();
    let folder = root.join("Repo/site.git");
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(root.join("Repo"), root.join("home")).unwrap();
    let home = root.join("home").display().to_string();
    let shown = root.display();
    let mut held = 0;
    for condition in [
        format!("gitdir:{shown}/Repo/site.git"),
        format!("gitdir:{shown}/Repo/"),
        format!("gitdir:{shown}/Repo"),
        format!("gitdir:{shown}/repo/"),
        format!("gitdir/i:{shown}/repo/"),
        format!("gitdir/i:{shown}/REPO/SITE.git"),
        "gitdir:Repo/".to_owned(),
        "gitdir:site.git".to_owned(),
        "gitdir:site.git/".to_owned(),
        "gitdir:**/s?te.[gh]it".to_owned(),
        "gitdir:*.git".to_owned(),
        "gitdir:/*.git".to_owned(),
        "gitdir:/**/*.git".to_owned(),
        "gitdir:./".to_owned(),
        "gitdir:./site.git".to_owned(),
        "gitdir:~/".to_owned(),
        "gitdir:~/site.git".to_owned(),
        "gitdir:~/other/".to_owned(),
        "onbranch:topic/".to_owned(),
        "onbranch:topic/one".to_owned(),
        "onbranch:topic/*".to_owned(),
        "onbranch:topic".to_owned(),
        "onbranch:*".to_owned(),
        "onbranch:**".to_owned(),
        "hasconfig:remote.*.url:https://example.com/**".to_owned(),
        "hasconfig:remote.*.url:https://example.com/*".to_owned(),
        "hasconfig:remote.*.url:https://example.org/**".to_owned(),
        "hasconfig:user.name:A".to_owned(),
        "gitdir".to_owned(),
        "other:x".to_owned(),
    ] {
        fs::write(folder.join("more"), "[x]\n\ty = 1\n").unwrap();
        let text = format!(
            "[includeIf \"{condition}\"]\n\tpath = more\n[remote \"a\"]\n\turl = https://example.com/x/y\n"
        );
        let repository = repository(&folder, &text);
        let (ours, gits) = both(&repository, &[("HOME", &home)], "x.y");
        assert_eq!(ours, gits, "{condition}");
        held += u32::from(ours.unwrap().is_some());
    }
    assert_eq!(held, 16);
}

#[test]
fn a_file_that_is_there_and_cannot_be_read_is_an_error_and_one_that_is_not_there_is_none() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    std::os::unix::fs::symlink("loop", folder.join("loop")).unwrap();
    fs::write(folder.join("file"), "[x]\n\ty = 1\n").unwrap();
    fs::write(folder.join("round"), "[include]\n\tpath = round\n").unwrap();
    let config = |path: &str| repository(&folder, &format!("[include]\n\tpath{path}\n"));
    for (path, found) in [
        (" = file", Some("1")),
        (" = none", None),
        (" = file/none", None),
    ] {
        let (ours, gits) = both(&config(path), &[], "x.y");
        assert_eq!(ours, gits, "{path}");
        assert_eq!(ours.unwrap().as_deref(), found);
    }
    for path in [" = loop", "", " = round"] {
        let (ours, gits) = both(&config(path), &[], "x.y");
        let (ours, gits) = (ours.unwrap_err(), gits.unwrap_err());
        assert!(gits.contains(&format!("fatal: {ours}")), "{ours} {gits}");
    }
}

#[test]
fn the_environment_includes_by_whole_paths() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    let repository = repository(&folder, "[x]\n\ty = 0\n");
    let more = folder.join("more");
    fs::write(&more, "[x]\n\ty = 1\n").unwrap();
    let whole = format!("'include.path={}'", more.display());
    let on_branch = format!("'includeIf.onbranch:topic/.path={}'", more.display());
    for parameters in [whole, on_branch] {
        let variables = [("GIT_CONFIG_PARAMETERS", parameters.as_str())];
        let (ours, gits) = both(&repository, &variables, "x.y");
        assert_eq!(ours, gits, "{parameters}");
        assert_eq!(ours.unwrap().as_deref(), Some("1"));
    }
    let variables = [("GIT_CONFIG_PARAMETERS", "'include.path=more'")];
    let (ours, gits) = both(&repository, &variables, "x.y");
    assert!(gits.unwrap_err().contains(&ours.unwrap_err()));
}

#[test]
fn what_depends_on_urls_sets_none() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    fs::write(folder.join("more"), "[include]\n\tpath = url\n").unwrap();
    fs::write(folder.join("url"), "[remote \"b\"]\n\turl = y\n").unwrap();
    let text =
        "[includeIf \"hasconfig:remote.*.url:x\"]\n\tpath = more\n[remote \"a\"]\n\turl = x\n";
    let (ours, gits) = both(&repository(&folder, text), &[], "x.y");
    assert!(gits.unwrap_err().contains(&ours.unwrap_err()));
}

#[test]
fn homes_stand_where_git_has_them() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    let me = User::from_uid(nix::unistd::geteuid())
        .unwrap()
        .unwrap()
        .name;
    for (path, is_known) in [
        ("~/a", true),
        ("~", true),
        ("a/~/b", true),
        (format!("~{me}/a").as_str(), true),
        (format!("~{me}").as_str(), true),
        ("~nobody-of-this-name/a", false),
    ] {
        let said = command()
            .args(["config", "--file"])
            .arg(folder.join("config"))
            .args(["--type=path", "--default", path, "x.y"])
            .env("HOME", "/home/of/mine")
            .output()
            .unwrap();
        let ours = path_setting(path.into(), Some(Path::new("/home/of/mine")));
        assert_eq!(ours.is_ok(), is_known, "{path}");
        match ours {
            Ok(ours) => {
                let gits = String::from_utf8(said.stdout).unwrap();
                assert_eq!(ours.display().to_string(), gits.trim_end(), "{path}");
            }
            Err(error) => {
                let gits = String::from_utf8(said.stderr).unwrap();
                assert!(gits.contains(&error.to_string()), "{gits}");
            }
        }
    }
}

#[test]
fn numbers_and_truths_are_gits() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    let mut read = 0;
    for value in [
        "1", "0", "-1", "+2", "1k", "2M", "1g", "0x10", "0X1f", "010", "08", "0x", "-0x10", "k",
        "1kk", "1 k", "", "x", "+-1", "--1", "0x-1", "yes", "on", "maybe", "1_0",
    ] {
        let text = format!("[x]\n\ty = \"{value}\"\n");
        let repository = repository(&folder, &text);
        let config = Config::load(&environment(&[]), &repository).unwrap();
        let ask = |kind: &str| {
            let said = command()
                .arg("--git-dir")
                .arg(&folder)
                .args(["config", kind, "x.y"])
                .output()
                .unwrap();
            let text = String::from_utf8(said.stdout).unwrap();
            said.status.success().then(|| text.trim_end().to_owned())
        };
        let number = config.number("x.y").ok().flatten();
        let number = number.map(|number| number.to_string());
        assert_eq!(number, ask("--int"), "{value}");
        let truth = config.flag("x.y").ok().flatten();
        let truth = truth.map(|truth| truth.to_string());
        assert_eq!(truth, ask("--bool"), "{value}");
        read += u32::from(number.is_some());
    }
    assert_eq!(read, 11);
}

#[test]
fn settings_of_the_call_may_have_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let tmp = tempfile::tempdir().unwrap();
    let folder = fs::canonicalize(tmp.path()).unwrap();
    let repository = repository(&folder, "[x]\n\ty = 0\n");
    let bytes = OsStr::from_bytes;
    let mut environment = environment(&[("GIT_CONFIG_COUNT", "1")]);
    environment.set("GIT_CONFIG_KEY_0", bytes(b"A.\xe9.B"));
    environment.set("GIT_CONFIG_VALUE_0", bytes(b"\xe8"));
    environment.set("GIT_CONFIG_PARAMETERS", bytes(b"'x.y'='\xff' 'x.z=\xfe'"));
    let config = Config::load(&environment, &repository).unwrap();
    assert_eq!(config.text("x.y"), Some(BStr::new(b"\xff")));
    assert_eq!(config.text("x.z"), Some(BStr::new(b"\xfe")));
    let found = config.below("a.").next().unwrap();
    assert_eq!(found, (BStr::new(b"\xe9.b"), Some(BStr::new(b"\xe8"))));
    for name in ["GIT_CONFIG_COUNT", "GIT_CONFIG_NOSYSTEM"] {
        let mut environment = environment.clone();
        environment.set(name, bytes(b"\xff"));
        assert!(Config::load(&environment, &repository).is_err(), "{name}");
    }
}
