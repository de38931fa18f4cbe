//! The environment a program is called with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use bstr::{BStr, ByteSlice};

/// Variables by their names.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The value of a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.present(name).filter(|value| !value.is_empty())
    }

    /// The value of a variable that is set, be it to nothing.
    pub fn present(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value as Git sees it: whatever bytes it has, it is set.
    pub fn bytes(&self, name: &str) -> Option<&BStr> {
        Some(self.get(name)?.as_bytes().as_bstr())
    }

    /// The value for people to read, with a sign in the place of what is no text.
    pub fn shown(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(self.get(name)?.to_string_lossy())
    }

    /// All variables.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Environment {
        Environment(variables.into_iter().collect())
    }
}
