//! Where settings stand, in the order of their weight.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ConfigItem, ConfigReading, read_config};
use packhouse_repo::directory::Served;

use super::parameters::parameters;
use super::{Config, expanded, home, variable_flag};
use crate::environment::Environment;
use crate::error::ProgramError;

/// The most bytes of a file of settings.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How deep files include others; Git's own limit.
const INCLUDE_DEPTH_MAX: u32 = 10;

/// What is made of a file that is there and may not be read. One that is not there has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    /// It is as if it were not there.
    IsAbsent,
    IsAnError,
}

/// Where a setting stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'f> {
    /// `None`: in the environment.
    pub(super) file: Option<&'f Path>,
    line: usize,
    /// How many files have included one another on the way there.
    depth: u32,
}

const CALL: Origin<'static> = Origin {
    file: None,
    line: 0,
    depth: 0,
};

/// Settings that are being read.
#[derive(Debug)]
pub(super) struct Reading<'e> {
    environment: &'e Environment,
    pub(super) home: Option<PathBuf>,
    /// `None`: it is not settled yet which repository is used, and whether.
    pub(super) repository: Option<&'e Served>,
    config: Config,
    /// Whether only the URLs of remotes are wanted, which conditions depend on.
    pub(super) gathers_urls: bool,
    /// Whether what is being read may not set such a URL.
    forbids_urls: bool,
    /// The URLs of remotes, once a condition has asked for them.
    urls: Option<Vec<BString>>,
}

impl<'e> Reading<'e> {
    pub(super) fn new(environment: &'e Environment, repository: Option<&'e Served>) -> Reading<'e> {
        Reading {
            environment,
            home: home(environment),
            repository,
            config: Config::default(),
            gathers_urls: false,
            forbids_urls: false,
            urls: None,
        }
    }

    /// Reads all there is.
    pub(super) fn read(mut self) -> Result<Config, ProgramError> {
        self.read_users()?;
        if let Some(repository) = self.repository {
            let git_dir = repository.git_dir();
            self.read_file(&git_dir.join("config"), 0, Unreadable::IsAnError)?;
            if self.config.flag("extensions.worktreeconfig")? == Some(true) {
                let path = repository.own_dir().join("config.worktree");
                self.read_file(&path, 0, Unreadable::IsAnError)?;
            }
        }
        self.read_call()?;
        Ok(self.config)
    }

    fn read_users(&mut self) -> Result<(), ProgramError> {
        let environment = self.environment;
        if !variable_flag(environment, "GIT_CONFIG_NOSYSTEM")? {
            let path = environment.present("GIT_CONFIG_SYSTEM");
            let path = path.unwrap_or("/etc/gitconfig".as_ref());
            // Git is lenient here while it finds out whether it may use the repository at all.
            let unreadable = match self.repository {
                Some(_) => Unreadable::IsAnError,
                None => Unreadable::IsAbsent,
            };
            self.read_file(Path::new(path), 0, unreadable)?;
        }
        if let Some(path) = environment.present("GIT_CONFIG_GLOBAL") {
            return self.read_file(Path::new(path), 0, Unreadable::IsAbsent);
        }
        let home = self.home.clone();
        let xdg = match environment.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => home.as_ref().map(|home| home.join(".config")),
        };
        if let Some(folder) = xdg {
            self.read_file(&folder.join("git/config"), 0, Unreadable::IsAbsent)?;
        }
        match home {
            Some(folder) => self.read_file(&folder.join(".gitconfig"), 0, Unreadable::IsAbsent),
            None => Ok(()),
        }
    }

    fn read_file(
        &mut self,
        path: &Path,
        depth: u32,
        unreadable: Unreadable,
    ) -> Result<(), ProgramError> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let text = match file_text(path)? {
            Ok(text) => text,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied
                    && unreadable == Unreadable::IsAbsent =>
            {
                return Ok(());
            }
            Err(error) => {
                let why = words_of(&error);
                let message = format!("unable to access '{}': {why}", path.display());
                return Err(ProgramError::Config(message));
            }
        };
        let mut section = BString::default();
        let mut found = Vec::new();
        let read = read_config(&text, ConfigReading::File, &mut |line, item| {
            match item {
                ConfigItem::Section(name) => section = name.into(),
                ConfigItem::Setting { key, value } => {
                    let name = [&section[..], b".", key].concat();
                    found.push((line, BString::from(name), value.map(BString::from)));
                }
            }
            Ok(())
        });
        read.map_err(|bad| {
            let file = path.display();
            ProgramError::Config(format!("bad config line {} in file {file}", bad.line))
        })?;
        for (line, name, value) in found {
            let file = Some(path);
            self.take(name, value, Origin { file, line, depth })?;
        }
        Ok(())
    }

    /// `GIT_CONFIG_COUNT` and its like, and, which has more weight, what `git -c` passes on.
    fn read_call(&mut self) -> Result<(), ProgramError> {
        let environment = self.environment;
        let count = environment.shown("GIT_CONFIG_COUNT");
        let count: u32 = count
            .map_or(Ok(0), |count| count.parse())
            .map_err(|_| ProgramError::Config("bogus count in GIT_CONFIG_COUNT".to_owned()))?;
        for number in 0..count {
            let missing = |what: &str, name: &str| {
                ProgramError::Config(format!("missing config {what} {name}"))
            };
            let name = format!("GIT_CONFIG_KEY_{number}");
            let key = environment
                .bytes(&name)
                .ok_or_else(|| missing("key", &name))?;
            let name = format!("GIT_CONFIG_VALUE_{number}");
            let value = environment
                .present(&name)
                .ok_or_else(|| missing("value", &name))?;
            self.take(called(key), Some(value.as_encoded_bytes().into()), CALL)?;
        }
        if let Some(text) = environment.bytes("GIT_CONFIG_PARAMETERS") {
            for (name, value) in parameters(text)? {
                self.take(called(name.as_bstr()), value, CALL)?;
            }
        }
        Ok(())
    }

    /// Takes a setting, and, if it says so, those of another file.
    fn take(
        &mut self,
        name: BString,
        value: Option<BString>,
        origin: Origin<'_>,
    ) -> Result<(), ProgramError> {
        if self.forbids_urls && is_remote_url(name.as_bstr()) {
            let message = "remote URLs cannot be configured in file directly or indirectly included by \
                           includeIf.hasconfig:remote.*.url";
            return Err(ProgramError::Config(message.to_owned()));
        }
        let condition = name
            .strip_prefix(b"includeif.")
            .and_then(|rest| rest.strip_suffix(b".path"))
            .map(BString::from);
        let is_include = name == "include.path";
        self.config.entries.push((name.clone(), value.clone()));
        match condition {
            _ if is_include => self.include(&name, value, origin),
            Some(condition) if self.holds(condition.as_bstr(), origin)? => {
                let before = std::mem::replace(&mut self.forbids_urls, self.gathers_urls);
                self.forbids_urls |= before;
                let included = self.include(&name, value, origin);
                self.forbids_urls = before;
                included
            }
            _ => Ok(()),
        }
    }

    fn include(
        &mut self,
        name: &BString,
        value: Option<BString>,
        origin: Origin<'_>,
    ) -> Result<(), ProgramError> {
        let Some(value) = value else {
            return Err(ProgramError::Config(match origin.file {
                Some(file) => format!("bad config line {} in file {}", origin.line, file.display()),
                None => format!("unable to parse '{name}' from command-line config"),
            }));
        };
        let path = expanded(value.as_bstr(), self.home.as_deref()).ok_or_else(|| {
            ProgramError::Config(format!("could not expand include path '{value}'"))
        })?;
        let path = match origin.file {
            Some(file) => file.parent().unwrap_or(Path::new(".")).join(path),
            None if path.is_absolute() => path,
            None => {
                let message = "relative config includes must come from files";
                return Err(ProgramError::Config(message.to_owned()));
            }
        };
        if origin.depth == INCLUDE_DEPTH_MAX && path.exists() {
            let file = origin.file.unwrap_or(Path::new("the command line"));
            return Err(ProgramError::Config(format!(
                "exceeded maximum include depth ({INCLUDE_DEPTH_MAX}) while including\n\t{}\nfrom\n\t{}\nThis might \
                 be due to circular includes.",
                path.display(),
                file.display()
            )));
        }
        self.read_file(&path, origin.depth + 1, Unreadable::IsAnError)
    }

    /// The URLs of all remotes, by all settings that may name some.
    pub(super) fn remote_urls(&mut self) -> Result<&[BString], ProgramError> {
        if self.urls.is_none() {
            let mut gathering = Reading::new(self.environment, self.repository);
            gathering.gathers_urls = true;
            let entries = gathering.read()?.entries.into_iter();
            let urls = entries
                .filter(|(name, _)| is_remote_url(name.as_bstr()))
                .filter_map(|(_, value)| value);
            self.urls = Some(urls.collect());
        }
        Ok(self.urls.as_deref().unwrap_or_default())
    }
}

/// The text of a file, or why it cannot be read; the outer error is that it is too large.
fn file_text(path: &Path) -> Result<io::Result<Vec<u8>>, ProgramError> {
    match fs::metadata(path) {
        Ok(file) if file.len() > FILE_BYTES_MAX => {
            let message = format!("file '{}' is too large", path.display());
            Err(ProgramError::Config(message))
        }
        Ok(_) => Ok(fs::read(path)),
        Err(error) => Ok(Err(error)),
    }
}

/// What the system calls an error, without its number.
fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

fn is_remote_url(name: &BStr) -> bool {
    let rest = name.strip_prefix(b"remote.");
    rest.is_some_and(|rest| rest.ends_with(b".url"))
}

/// The name of a setting as it is known by: section and key in lower case, what stands between them as it is.
fn called(name: &BStr) -> BString {
    let (section, rest) = name.split_once_str(".").unwrap_or((name, b""));
    let section = section.to_ascii_lowercase();
    let name = match rest.rsplit_once_str(".") {
        Some((middle, key)) => [&section[..], middle, &key.to_ascii_lowercase()].join(&b'.'),
        None => [&section[..], &rest.to_ascii_lowercase()].join(&b'.'),
    };
    name.into()
}
