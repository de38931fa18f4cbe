//! What a client asks to be run: one of a few commands with a path, in the words of a shell that is not there.

use packhouse_wire::Service;

use crate::auth::{LfsOperation, Scope};
use crate::git::{self, Endpoint, GitPath};

/// Longest command that is read, in bytes. Paths of repositories are a tenth of it.
const MAX_BYTES: usize = 4096;

/// What a person reads who asked for something else.
pub(super) const NO_SHELL: &str = "Packhouse gives no shell; it runs git-upload-pack, git-receive-pack and \
                                   git-lfs-authenticate, which is what git clone, fetch, push and lfs ask for";

/// What can be run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Program {
    /// One of Git's.
    Git(Service),
    /// `git-lfs-authenticate`, which hands out a token for HTTP.
    Lfs(LfsOperation),
}

impl Program {
    /// How the log and the metrics call it.
    pub(super) fn route(self) -> &'static str {
        match self {
            Program::Git(Service::UploadPack) => "git upload-pack",
            Program::Git(Service::ReceivePack) => "git receive-pack",
            Program::Lfs(_) => "git lfs-authenticate",
        }
    }

    /// What a key needs to run it.
    pub(super) fn scope(self) -> Scope {
        match self {
            Program::Git(service) => git::scope_of(service),
            Program::Lfs(operation) => operation.scope(),
        }
    }

    fn endpoint(self) -> Endpoint {
        match self {
            Program::Git(service) => Endpoint::Rpc(service),
            Program::Lfs(_) => Endpoint::Lfs,
        }
    }
}

/// A command that is run.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) program: Program,
    /// The path as it was asked for.
    pub(super) asked: String,
    /// What that means; `None`: nothing that could be there.
    pub(super) path: Option<GitPath>,
}

impl Command {
    /// Reads `git-upload-pack 'path'`, and the same with a blank for the first hyphen, or `git-lfs-authenticate path
    /// download`, behind which old clients say an object.
    pub(super) fn parse(text: &[u8]) -> Option<Command> {
        let text = std::str::from_utf8(text).ok()?;
        if text.len() > MAX_BYTES {
            return None;
        }
        let words = words(text)?;
        let (program, path) = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["git-lfs-authenticate", path, operation]
            | ["git-lfs-authenticate", path, operation, _] => {
                (Program::Lfs(LfsOperation::parse(operation)?), path)
            }
            [program, path] => (Program::Git(Service::parse(program)?), path),
            ["git", program, path] => (
                Program::Git(Service::parse(&format!("git-{program}"))?),
                path,
            ),
            _ => return None,
        };
        Some(Command {
            program,
            asked: path.to_owned(),
            path: GitPath::of_command(path, program.endpoint()),
        })
    }
}

/// Words as a shell splits them, with quotes and backslashes and without anything that it would put in for something
/// else. `None`: a quote is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        char => word.push(char),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            char @ ('"' | '\\' | '$' | '`') => word.push(char),
                            char => word.extend(['\\', char]),
                        },
                        char => word.push(char),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_programs_of_git_are_commands() {
        for (text, program, asked) in [
            (
                "git-upload-pack 'acme/site.git'",
                Program::Git(Service::UploadPack),
                "acme/site.git",
            ),
            (
                "git-receive-pack '/acme/site'",
                Program::Git(Service::ReceivePack),
                "/acme/site",
            ),
            (
                "git upload-pack acme/site",
                Program::Git(Service::UploadPack),
                "acme/site",
            ),
            (
                r#"git-upload-pack "acme/si te""#,
                Program::Git(Service::UploadPack),
                "acme/si te",
            ),
            (
                "git-lfs-authenticate acme/site.git download",
                Program::Lfs(LfsOperation::Download),
                "acme/site.git",
            ),
            (
                "git-lfs-authenticate '/acme/site' upload 1234",
                Program::Lfs(LfsOperation::Upload),
                "/acme/site",
            ),
        ] {
            let command = Command::parse(text.as_bytes()).unwrap();
            assert_eq!((command.program, &*command.asked), (program, asked));
            assert!(command.path.is_some());
        }
        let long = format!("git-upload-pack '{}'", "a".repeat(MAX_BYTES));
        for text in [
            "",
            "sh",
            "git-upload-pack",
            "git-upload-pack 'a' 'b'",
            "git-upload-pack --strict 'a'",
            "git-upload-archive 'a'",
            "git-lfs-authenticate a",
            "git-lfs-authenticate a delete",
            "git-lfs-authenticate a download b c",
            "git-lfs-transfer a download",
            "git-upload-pack 'a",
            "git-upload-pack 'a'; id",
            "/usr/bin/git-upload-pack 'a'",
            "git 'upload-pack a'",
            &long,
        ] {
            assert!(Command::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(Command::parse(b"git-upload-pack '\xff'").is_none());
        let nowhere = Command::parse(b"git-upload-pack ''").unwrap();
        assert!(nowhere.path.is_none());
    }

    proptest! {
        /// Git's own quoting (`sq_quote_buf`): in single quotes, with `'` and `!` taken out of them.
        #[test]
        fn a_path_comes_through_the_quotes_of_git(path in "[ -~é]{1,60}") {
            let quoted = path.replace('\'', r"'\''").replace('!', r"'\!'");
            let command = Command::parse(format!("git-receive-pack '{quoted}'").as_bytes());
            prop_assert_eq!(command.unwrap().asked, path);
        }

        #[test]
        fn no_text_is_too_much(text in any::<Vec<u8>>()) {
            let _ = Command::parse(&text);
        }
    }
}
