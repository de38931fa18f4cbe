//! Git's configuration: of the system, of the user, of the repository, and of the call.
//!
//! A file that `include.path` or `includeIf` names is read where it is named.

mod condition;
mod number;
mod parameters;
mod read;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use nix::unistd::User;
use packhouse_repo::directory::Served;

pub(crate) use self::number::number;
use self::number::truth;
use self::read::Reading;
use crate::environment::Environment;
use crate::error::ProgramError;

/// Settings in the order of their weight: the last of one name counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    entries: Vec<(BString, Option<BString>)>,
}

impl Config {
    /// All settings for a repository.
    pub(crate) fn load(
        environment: &Environment,
        repository: &Served,
    ) -> Result<Config, ProgramError> {
        Reading::new(environment, Some(repository)).read()
    }

    /// The settings that no repository can make: those of the system, the user and the call.
    pub(crate) fn protected(environment: &Environment) -> Result<Config, ProgramError> {
        Reading::new(environment, None).read()
    }

    /// The value of a setting, empty where it has none; `name` is in lower case.
    pub(crate) fn text(&self, name: &str) -> Option<&BStr> {
        self.find(name)
            .map(|value| value.map_or(BStr::new(""), |value| value))
    }

    /// All values of a setting, in order.
    pub(crate) fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c BStr> {
        self.entries
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| {
                value
                    .as_ref()
                    .map_or(BStr::new(""), |value| value.as_bstr())
            })
    }

    /// The settings of a section and its subsections in the order in which they stand, each with its whole name.
    pub(crate) fn of_section(&self, section: &str) -> impl Iterator<Item = (&BStr, &BStr)> {
        let prefix = format!("{section}.");
        let of_it = move |name: &BString| name.starts_with(prefix.as_bytes());
        let values = self.entries.iter().filter(move |(name, _)| of_it(name));
        values.map(|(name, value)| {
            let value = value
                .as_ref()
                .map_or(BStr::new(""), |value| value.as_bstr());
            (name.as_bstr(), value)
        })
    }

    /// All values of several settings, in the order in which they stand.
    pub(crate) fn in_order<'c>(&'c self, names: &'c [&'c str]) -> impl Iterator<Item = &'c BStr> {
        self.entries
            .iter()
            .filter(move |(known, _)| names.iter().any(|name| known == name))
            .map(|(_, value)| {
                value
                    .as_ref()
                    .map_or(BStr::new(""), |value| value.as_bstr())
            })
    }

    /// The settings whose names begin with `prefix`, by the rest of the name, in order.
    pub(crate) fn below<'c>(
        &'c self,
        prefix: &'c str,
    ) -> impl Iterator<Item = (&'c BStr, Option<&'c BStr>)> {
        self.entries.iter().filter_map(move |(known, value)| {
            let rest = known.strip_prefix(prefix.as_bytes())?;
            Some((rest.as_bstr(), value.as_ref().map(|value| value.as_bstr())))
        })
    }

    /// The same, where it matters whether a setting has a value.
    pub(crate) fn find(&self, name: &str) -> Option<Option<&BStr>> {
        let (_, value) = self.entries.iter().rev().find(|(known, _)| known == name)?;
        Some(value.as_ref().map(|value| value.as_bstr()))
    }

    /// The truth of a setting.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ProgramError> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let Some(value) = value else {
            return Ok(Some(true));
        };
        let truth = truth(value).ok_or_else(|| {
            ProgramError::Config(format!("bad boolean config value '{value}' for '{name}'"))
        })?;
        Ok(Some(truth))
    }

    /// A number, which may end in `k`, `m` or `g`.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ProgramError> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let value = value.unwrap_or_default();
        match number(value) {
            Some(number) => Ok(Some(number)),
            None => Err(ProgramError::Config(format!(
                "bad numeric config value '{value}' for '{name}': invalid unit"
            ))),
        }
    }
}

/// Whether a variable of the environment is true; one that is not set is not.
pub(crate) fn variable_flag(environment: &Environment, name: &str) -> Result<bool, ProgramError> {
    let Some(value) = environment.bytes(name) else {
        return Ok(false);
    };
    truth(value).ok_or_else(|| {
        ProgramError::Config(format!(
            "bad boolean environment value '{value}' for '{name}'"
        ))
    })
}

/// A number in the environment, if the variable is set.
pub(crate) fn variable_number(
    environment: &Environment,
    name: &str,
) -> Result<Option<i64>, ProgramError> {
    let Some(value) = environment.present(name) else {
        return Ok(None);
    };
    match number(value.as_bytes().as_bstr()) {
        Some(number) => Ok(Some(number)),
        None => Err(ProgramError::Config(format!("failed to parse {name}"))),
    }
}

pub(crate) fn home(environment: &Environment) -> Option<PathBuf> {
    environment.get("HOME").map(PathBuf::from)
}

/// A path as settings have it, where `~` is the user's home and `~name` that of another user. What is not known stays.
pub(crate) fn interpolated(path: &BStr, home: Option<&Path>) -> PathBuf {
    expanded(path, home).unwrap_or_else(|| path.to_path_lossy().into_owned())
}

/// The same, if it is known where that is.
pub(crate) fn expanded(path: &BStr, home: Option<&Path>) -> Option<PathBuf> {
    let Some(rest) = path.strip_prefix(b"~") else {
        return Some(path.to_path_lossy().into_owned());
    };
    let end = rest.find_byte(b'/').unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let mut whole = match name {
        b"" => home?.to_owned(),
        name => User::from_name(name.to_str().ok()?).ok()??.dir,
    }
    .into_os_string();
    whole.push(OsStr::from_bytes(rest));
    Some(whole.into())
}

/// The same, or why it is not known.
pub(crate) fn path_setting(path: &BStr, home: Option<&Path>) -> Result<PathBuf, ProgramError> {
    expanded(path, home)
        .ok_or_else(|| ProgramError::Config(format!("failed to expand user dir in: '{path}'")))
}

#[cfg(test)]
mod tests;
