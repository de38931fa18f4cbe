//! `GIT_NAMESPACE`: refs of one repository that clients see as a repository of its own.

use bstr::ByteSlice;
use packhouse_object::RefName;

use crate::environment::Environment;
use crate::error::ProgramError;

const VARIABLE: &str = "GIT_NAMESPACE";

/// What stands before the names of a client in the store: nothing, or `refs/namespaces/a/`, once for each part.
///
/// A name that makes no sense is refused, since without it a client would be let out of its namespace.
pub(crate) fn prefix(environment: &Environment) -> Result<Vec<u8>, ProgramError> {
    let Some(name) = environment.bytes(VARIABLE) else {
        return Ok(Vec::new());
    };
    let parts = name.split(|byte| *byte == b'/');
    let prefix: Vec<u8> = parts
        .filter(|part| !part.is_empty())
        .flat_map(|part| [b"refs/namespaces/", part, b"/"].concat())
        .collect();
    let is_right =
        !name.ends_with(b"/") && RefName::parse(prefix.trim_end_with(|c| c == '/')).is_ok();
    match is_right {
        true => Ok(prefix),
        false => Err(ProgramError::Config(format!(
            "bad git namespace path \"{name}\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use packhouse_testkit::git::{command, init_bare};

    use super::*;

    #[test]
    fn a_namespace_is_what_git_takes_it_for_whatever_its_bytes() {
        let tmp = tempfile::tempdir().unwrap();
        let git = init_bare(&tmp.path().join("r.git"));
        let commit = git.feed(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
        let commit = git.run(&["commit-tree", "-m", "x", &commit]);
        git.run(&["update-ref", "refs/heads/root", &commit]);
        let names: [&[u8]; 14] = [
            b"a", b"a/b", b"/a", b"a//b", b"a/", b"/", b"//", b"a b", b"..", b"a..b", b"-x", b"@",
            b"caf\xe9", b"x.lock",
        ];
        for name in names {
            let mut environment = Environment::default();
            environment.set(VARIABLE, OsStr::from_bytes(name));
            let ours = prefix(&environment);
            let said = command()
                .args(["upload-pack", "--advertise-refs"])
                .arg(tmp.path().join("r.git"))
                .env(VARIABLE, OsStr::from_bytes(name))
                .output()
                .unwrap();
            let shown = name.as_bstr();
            match ours {
                Ok(prefix) => {
                    assert!(said.status.success() && !prefix.is_empty(), "{shown}");
                    assert!(!said.stdout.contains_str("refs/heads/root"), "{shown}");
                }
                Err(error) => assert_eq!(
                    format!("fatal: {error}\n"),
                    said.stderr.to_str_lossy(),
                    "{shown}"
                ),
            }
        }
    }
}
