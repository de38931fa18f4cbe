//! Where settings stand, in the order of their weight.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_object::{ConfigItem, ConfigReading, read_config};

use super::parameters::parameters;
use super::{Config, home, interpolated, is_true};
use crate::environment::Environment;
use crate::error::ProgramError;

/// The most bytes of a file of settings.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How deep files include others; Git's own limit.
const INCLUDE_DEPTH_MAX: u32 = 10;

impl Config {
    pub(super) fn read_users(&mut self, environment: &Environment) -> Result<(), ProgramError> {
        let home = home(environment);
        let home = home.as_deref();
        if !environment.text("GIT_CONFIG_NOSYSTEM").is_some_and(is_true) {
            let path = environment.present("GIT_CONFIG_SYSTEM");
            let path = path.unwrap_or("/etc/gitconfig".as_ref());
            self.read_file(Path::new(path), home, 0)?;
        }
        if let Some(path) = environment.present("GIT_CONFIG_GLOBAL") {
            return self.read_file(Path::new(path), home, 0);
        }
        let xdg = match environment.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => home.map(|home| home.join(".config")),
        };
        if let Some(folder) = xdg {
            self.read_file(&folder.join("git/config"), home, 0)?;
        }
        match home {
            Some(folder) => self.read_file(&folder.join(".gitconfig"), home, 0),
            None => Ok(()),
        }
    }

    pub(super) fn read_file(
        &mut self,
        path: &Path,
        home: Option<&Path>,
        depth: u32,
    ) -> Result<(), ProgramError> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let text = match fs::metadata(path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => {
                let message = format!("file '{}' is too large", path.display());
                return Err(ProgramError::Config(message));
            }
            Ok(_) => fs::read(path),
            Err(error) => Err(error),
        };
        let text = match text {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            // What the user may not look at is as if it were not there, as for git.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            text => text.map_err(ProgramError::io("read", path))?,
        };
        let mut section = BString::default();
        let mut found = Vec::new();
        let read = read_config(&text, ConfigReading::File, &mut |_, item| {
            match item {
                ConfigItem::Section(name) => section = name.into(),
                ConfigItem::Setting { key, value } => {
                    let name = [&section[..], b".", key].concat();
                    found.push((BString::from(name), value.map(BString::from)));
                }
            }
            Ok(())
        });
        read.map_err(|bad| {
            let file = path.display();
            ProgramError::Config(format!("bad config line {} in file {file}", bad.line))
        })?;
        for (name, value) in found {
            let include = (name == "include.path").then(|| value.clone()).flatten();
            self.entries.push((name, value));
            if let Some(include) = include {
                if depth == INCLUDE_DEPTH_MAX {
                    let message = format!("exceeded maximum include depth ({INCLUDE_DEPTH_MAX})");
                    return Err(ProgramError::Config(message));
                }
                let include = interpolated(include.as_bstr(), home);
                let folder = path.parent().unwrap_or(Path::new("."));
                self.read_file(&folder.join(include), home, depth + 1)?;
            }
        }
        Ok(())
    }

    /// `GIT_CONFIG_COUNT` and its like, and what `git -c` passes on.
    pub(super) fn read_call(&mut self, environment: &Environment) -> Result<(), ProgramError> {
        if let Some(text) = environment.text("GIT_CONFIG_PARAMETERS") {
            for (name, value) in parameters(text)? {
                self.add(&name, value);
            }
        }
        let Some(count) = environment.text("GIT_CONFIG_COUNT") else {
            return Ok(());
        };
        let count: u32 = count
            .parse()
            .map_err(|_| ProgramError::Config("bogus count in GIT_CONFIG_COUNT".to_owned()))?;
        for number in 0..count {
            let missing = |what: &str, name: &str| {
                ProgramError::Config(format!("missing config {what} {name}"))
            };
            let name = format!("GIT_CONFIG_KEY_{number}");
            let key = environment
                .text(&name)
                .ok_or_else(|| missing("key", &name))?;
            let name = format!("GIT_CONFIG_VALUE_{number}");
            let value = environment
                .present(&name)
                .ok_or_else(|| missing("value", &name))?;
            self.add(key, Some(value.as_encoded_bytes().into()));
        }
        Ok(())
    }
}
