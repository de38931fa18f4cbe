//! Objects that are in a repository though no ref of it leads there.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, IdSet, ObjectId, RefName};
use packhouse_repo::RepoError;
use packhouse_repo::directory::Served;
use packhouse_repo::store::Wildmatch;

use crate::config::Config;
use crate::environment::Environment;
use crate::shell::set_command;

/// The most bytes that are read of a line that has an id in it.
const LINE_BYTES_MAX: u64 = 128;

/// Variables that say something of this repository alone, as `git rev-parse --local-env-vars` names them, but for those that pass
/// settings on.
const OF_REPOSITORY: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// Which refs of the repositories that this one borrows from are told of.
#[derive(Clone, Debug)]
pub(super) enum LenderRefs {
    /// Those that a pattern matches, or all if there is none: `core.alternateRefsPrefixes`.
    Matching(Vec<RefPattern>),
    /// Those that a command names by their ids: `core.alternateRefsCommand`.
    Told {
        command: BString,
        git_dir: PathBuf,
        environment: Environment,
    },
}

impl LenderRefs {
    /// What the configuration says.
    pub(super) fn read(config: &Config, git_dir: &Path, environment: &Environment) -> LenderRefs {
        if let Some(command) = config.text("core.alternaterefscommand") {
            return LenderRefs::Told {
                command: command.to_owned(),
                git_dir: git_dir.to_owned(),
                environment: environment.clone(),
            };
        }
        let prefixes = config.text("core.alternaterefsprefixes");
        let prefixes = prefixes.unwrap_or_default().fields();
        LenderRefs::Matching(prefixes.map(RefPattern::new).collect())
    }

    /// What these refs point to, each once. Repositories that cannot be read have nothing to say.
    pub(super) fn targets(&self, repository: &Served) -> Result<Vec<ObjectId>, RepoError> {
        let database: Database = repository.database()?;
        let mut seen = IdSet::default();
        let mut haves = Vec::new();
        for objects in repository.alternates()? {
            let Some(folder) = objects.parent().filter(|_| objects.ends_with("objects")) else {
                continue;
            };
            for target in self.of_lender(folder) {
                if seen.insert(target) && database.contains(&target)? {
                    haves.push(target);
                }
            }
        }
        Ok(haves)
    }

    fn of_lender(&self, folder: &Path) -> Vec<ObjectId> {
        match self {
            LenderRefs::Matching(patterns) => {
                let opened = Served::open(folder).ok();
                let Some(view) = opened.and_then(|lender| lender.view().ok()) else {
                    return Vec::new();
                };
                let is_told = |name: &RefName| {
                    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
                };
                let told = view.refs().iter().filter(|(name, _)| is_told(name));
                told.map(|(_, entry)| entry.target).collect()
            }
            LenderRefs::Told {
                command,
                git_dir,
                environment,
            } => ask(command.as_bstr(), folder, git_dir, environment),
        }
    }
}

/// A pattern of `git for-each-ref`: a whole name, whole parts of the beginning of one, or a pattern as of files.
#[derive(Clone, Debug)]
pub(super) struct RefPattern {
    text: BString,
    glob: Wildmatch,
}

impl RefPattern {
    fn new(text: &[u8]) -> RefPattern {
        RefPattern {
            text: text.into(),
            glob: Wildmatch::new(text),
        }
    }

    fn matches(&self, name: &RefName) -> bool {
        let name = name.as_bytes();
        let is_below = name.strip_prefix(self.text.as_slice()).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(b"/") || self.text.ends_with(b"/")
        });
        is_below || self.glob.matches(name)
    }
}

/// The ids that a command prints for a repository that lends, up to the first line that is none.
fn ask(command: &BStr, lender: &Path, git_dir: &Path, environment: &Environment) -> Vec<ObjectId> {
    // Git looks at where it is in the end.
    let Ok(lender) = lender.canonicalize() else {
        return Vec::new();
    };
    if !lender.join("refs").is_dir() {
        return Vec::new();
    }
    let variables = environment
        .iter()
        .filter(|(name, _)| !OF_REPOSITORY.iter().any(|of_it| **name == **of_it));
    let started = set_command(command)
        .arg(&lender)
        .current_dir(git_dir)
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return Vec::new();
    };
    let mut ids = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut lines)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            match ObjectId::from_hex(line.strip_suffix(b"\n").unwrap_or(&line)) {
                Ok(id) => ids.push(id),
                Err(_) => break,
            }
            line.clear();
        }
    }
    // It may have more to say than is listened to, and its status says nothing.
    let _ = child.wait();
    ids
}
