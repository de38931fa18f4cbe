//! Queries with fields that may come several times, and fields that have several names.

use super::input::shown;
use super::query_fields::differ;
use crate::error::ApiError;

/// A query as it came.
pub(super) struct Pairs<'a>(pub &'a [(String, String)]);

impl<'a> Pairs<'a> {
    /// Every value of a field.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// What the query says of the field that has these names.
    pub(super) fn value(&self, names: &[&str]) -> Result<Option<&'a (String, String)>, ApiError> {
        let mut given = self
            .0
            .iter()
            .filter(|(key, _)| names.contains(&key.as_str()));
        let Some(first) = given.next() else {
            return Ok(None);
        };
        match given.find(|(_, value)| *value != first.1) {
            Some(other) => Err(differ(first, other)),
            None => Ok(Some(first)),
        }
    }

    /// The same, without blanks around it; `None` also if nothing else is there.
    pub(super) fn text(&self, names: &[&str]) -> Result<Option<String>, ApiError> {
        let value = self.value(names)?.map(|(_, value)| value.trim().to_owned());
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// The same where there must be something; `name` is the one to ask for.
    pub(super) fn needed(&self, names: &[&str], name: &str) -> Result<String, ApiError> {
        match self.value(names)? {
            None => Err(ApiError::invalid(format!("the query has no `{name}`"))),
            Some((key, _)) => self
                .text(names)?
                .ok_or_else(|| ApiError::invalid(format!("`{key}` is empty"))),
        }
    }

    /// What the query says of a field that is `true` or `false`.
    pub(super) fn flag(&self, names: &[&str]) -> Result<Option<bool>, ApiError> {
        let Some((key, value)) = self.value(names)? else {
            return Ok(None);
        };
        match value.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            other => Err(ApiError::invalid(format!(
                "`{key}` is `true` or `false`, not `{}`",
                shown(other)
            ))),
        }
    }
}
