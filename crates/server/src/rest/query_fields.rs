//! The fields of a query, where one field may be given under several names.
//!
//! Older and newer SDKs write the same field in different ways, and some clients send both. That is fine as long as the
//! two say the same. Which names are one field is known to the type that is read, and to nobody else; so it is asked.

use axum::extract::rejection::QueryRejection;
use http::Uri;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

use super::input::shown;
use crate::error::ApiError;

/// Fields that are looked at closely at most.
const MAX_FIELDS: usize = 100;

type Field = (String, String);

/// Reads the query of `uri`.
pub(super) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    let mut error = match parse_uri(uri) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    if is_duplicate(&error) {
        let mut fields: Vec<Field> = parse_uri(uri).map_err(|error| refused(&error))?;
        let is_few = fields.len() <= MAX_FIELDS;
        // Each round settles one field that was given twice.
        while is_few && is_duplicate(&error) && settle::<T>(&mut fields)? {
            match parse(&fields) {
                Ok(read) => return Ok(read),
                Err(next) => error = next,
            }
        }
    }
    Err(refused(&error))
}

fn parse_uri<T: DeserializeOwned>(uri: &Uri) -> Result<T, QueryRejection> {
    axum::extract::Query::try_from_uri(uri).map(|query| query.0)
}

fn parse<T: DeserializeOwned>(fields: &[Field]) -> Result<T, QueryRejection> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let query = fields.collect::<Vec<_>>().join("&");
    let uri = Uri::try_from(format!("/?{query}"));
    parse_uri(&uri.unwrap_or_default())
}

fn is_duplicate(error: &QueryRejection) -> bool {
    error.body_text().contains("duplicate field `")
}

fn refused(error: &QueryRejection) -> ApiError {
    ApiError::invalid(format!("the query is not valid: {}", error.body_text()))
}

/// Drops the first field that says what another one said before it under the same or another name; whether there was
/// such a field. The error names two that differ.
fn settle<T: DeserializeOwned>(fields: &mut Vec<Field>) -> Result<bool, ApiError> {
    let gives_twice =
        |fields: &[Field]| parse::<T>(fields).is_err_and(|error| is_duplicate(&error));
    let Some(last) = (1..fields.len()).find(|&last| gives_twice(&fields[..=last])) else {
        return Ok(false);
    };
    let again = fields[last].clone();
    let first = (0..last).find(|&first| gives_twice(&[fields[first].clone(), again.clone()]));
    let Some(first) = first else {
        return Ok(false);
    };
    if fields[first].1 != again.1 {
        return Err(differ(&fields[first], &again));
    }
    fields.remove(last);
    Ok(true)
}

/// The failure where one field is given two values.
pub(super) fn differ((name, value): &Field, (other, again): &Field) -> ApiError {
    let is_same = name == other;
    let [name, value, other, again] = [name, value, other, again].map(|text| shown(text));
    ApiError::invalid(if is_same {
        format!("`{name}` is given twice, as `{value}` and as `{again}`; give one of them")
    } else {
        format!(
            "`{name}` is `{value}` and `{other}` is `{again}`, and the two are names of one field; give one of them"
        )
    })
}

#[cfg(test)]
mod tests {
    use packhouse_api::{ListCommitsQuery, ListReposQuery};

    use super::*;

    fn commits(query: &str) -> Result<ListCommitsQuery, String> {
        let uri = Uri::try_from(format!("/x?{query}")).unwrap();
        read(&uri).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn two_names_of_a_field_may_say_the_same() {
        let found = commits(
            "branch=a%26b&ref=a%26b&path=x&ephemeral=true&ref_is_ephemeral=true&branch=a%26b",
        );
        let found = found.unwrap();
        assert_eq!(found.branch.as_deref(), Some("a&b"));
        assert_eq!(
            (found.path.as_deref(), found.ephemeral),
            (Some("x"), Some(true))
        );
    }

    #[test]
    fn two_that_differ_are_both_named() {
        for (query, expected) in [
            (
                "limit=3&branch=a&ref=b",
                ["`branch` is `a`", "`ref` is `b`"],
            ),
            ("ref=a&branch=b", ["`ref` is `a`", "`branch` is `b`"]),
            ("path=a&path=b", ["`path` is given twice", "`a` and as `b`"]),
            (
                "ephemeral=true&ref_is_ephemeral=odd",
                ["`ephemeral` is `true`", "`ref_is_ephemeral` is `odd`"],
            ),
        ] {
            let error = commits(query).unwrap_err();
            for part in expected {
                assert!(error.contains(part), "{query}: {error}");
            }
        }
    }

    #[test]
    fn other_errors_stay_what_they_are() {
        assert!(commits("limit=many").unwrap_err().contains("not valid"));
        assert!(
            commits("ref=a&ref=a&limit=many")
                .unwrap_err()
                .contains("not valid")
        );
        let many = "limit=1&".repeat(MAX_FIELDS + 50);
        assert!(commits(&many).is_err());
        let uri = Uri::from_static("/x?q=a&q=a");
        assert_eq!(
            read::<ListReposQuery>(&uri).unwrap().q.as_deref(),
            Some("a")
        );
    }
}
