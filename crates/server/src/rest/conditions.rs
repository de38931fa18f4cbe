//! Conditional requests (RFC 9110, 13): does the client want the file at all, and may it have a part of it?

use http::HeaderMap;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};

use super::time::parse_http_date;

/// What a file is known by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validators<'a> {
    /// Strong entity tag, with its quotes.
    pub etag: &'a str,
    /// Seconds since the epoch, if known.
    pub last_modified: Option<i64>,
}

/// How the conditions of a request turn out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Answer as if there were none.
    Proceed,
    /// The client has it: 304.
    NotModified,
    /// The client's assumption is wrong: 412.
    Failed,
}

/// Evaluates the conditions in the order that RFC 9110, 13.2.2 gives.
pub(crate) fn evaluate(headers: &HeaderMap, file: Validators<'_>) -> Outcome {
    if let Some(tags) = text(headers, &IF_MATCH) {
        if !names(&tags, file.etag, Comparison::Strong) {
            return Outcome::Failed;
        }
    } else if date(headers, &IF_UNMODIFIED_SINCE)
        .zip(file.last_modified)
        .is_some_and(|(date, at)| at > date)
    {
        return Outcome::Failed;
    }
    if let Some(tags) = text(headers, &IF_NONE_MATCH) {
        if names(&tags, file.etag, Comparison::Weak) {
            return Outcome::NotModified;
        }
    } else if date(headers, &IF_MODIFIED_SINCE)
        .zip(file.last_modified)
        .is_some_and(|(date, at)| at <= date)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Whether `Range` counts: `If-Range` is absent or names the file as it is.
pub(crate) fn range_applies(headers: &HeaderMap, file: Validators<'_>) -> bool {
    match text(headers, &IF_RANGE) {
        None => true,
        Some(tag)
            if tag.trim_start().starts_with(['"', 'W']) && parse_http_date(&tag).is_none() =>
        {
            names(&tag, file.etag, Comparison::Strong)
        }
        Some(tag) => parse_http_date(&tag).is_some_and(|date| file.last_modified == Some(date)),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

fn names(tags: &str, etag: &str, comparison: Comparison) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let tag = match comparison {
            Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
            Comparison::Strong => tag,
        };
        tag == "*" || tag == etag
    })
}

/// All values of a header as one list. A value that is no text matches nothing.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    parse_http_date(headers.get(name)?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Validators<'_> = Validators {
        etag: "\"abc\"",
        last_modified: Some(1_700_000_000),
    };
    const THEN: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn conditions_follow_the_order_of_the_rfc() {
        use Outcome::*;
        for (pairs, expected) in [
            (vec![], Proceed),
            (vec![(IF_MATCH, "\"abc\"")], Proceed),
            (vec![(IF_MATCH, "\"x\", \"abc\"")], Proceed),
            (vec![(IF_MATCH, "*")], Proceed),
            (vec![(IF_MATCH, "W/\"abc\"")], Failed),
            (vec![(IF_MATCH, "\"x\"")], Failed),
            (vec![(IF_NONE_MATCH, "\"abc\"")], NotModified),
            (vec![(IF_NONE_MATCH, "W/\"abc\"")], NotModified),
            (vec![(IF_NONE_MATCH, "*")], NotModified),
            (vec![(IF_NONE_MATCH, "\"x\"")], Proceed),
            (
                vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, THEN)],
                Proceed,
            ),
            (vec![(IF_MODIFIED_SINCE, THEN)], NotModified),
            (vec![(IF_MODIFIED_SINCE, BEFORE)], Proceed),
            (vec![(IF_MODIFIED_SINCE, "nonsense")], Proceed),
            (vec![(IF_UNMODIFIED_SINCE, THEN)], Proceed),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE)], Failed),
            (
                vec![(IF_UNMODIFIED_SINCE, "Tuesday, 14-Nov-23 22:13:19 GMT")],
                Failed,
            ),
            (
                vec![(IF_UNMODIFIED_SINCE, "Tue Nov 14 22:13:19 2023")],
                Failed,
            ),
            (
                vec![(IF_MODIFIED_SINCE, "Tue Nov 14 22:13:20 2023")],
                NotModified,
            ),
            (
                vec![(IF_MATCH, "\"abc\""), (IF_UNMODIFIED_SINCE, BEFORE)],
                Proceed,
            ),
            (
                vec![(IF_MATCH, "\"abc\""), (IF_NONE_MATCH, "\"abc\"")],
                NotModified,
            ),
        ] {
            assert_eq!(evaluate(&headers(&pairs), FILE), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_applies_to_the_file_the_client_began_with() {
        for (value, expected) in [
            ("\"abc\"", true),
            ("\"x\"", false),
            ("W/\"abc\"", false),
            (THEN, true),
            (BEFORE, false),
        ] {
            assert_eq!(
                range_applies(&headers(&[(IF_RANGE, value)]), FILE),
                expected,
                "{value}"
            );
        }
        assert!(range_applies(&HeaderMap::new(), FILE));
    }
}
