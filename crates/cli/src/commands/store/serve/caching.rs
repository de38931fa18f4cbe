//! What may be cached, what has not changed, and which part of a file is wanted.

use std::ops::Range;

use http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName};

/// The `Cache-Control` of what is found.
pub(super) fn cache_control(no_cache: bool, immutable: bool, max_age: Option<u64>) -> String {
    match (no_cache, immutable, max_age) {
        (true, _, _) => "no-store".to_owned(),
        (_, true, _) => "public, immutable, max-age=31536000".to_owned(),
        (_, _, Some(seconds)) => format!("public, max-age={seconds}"),
        _ => "no-cache".to_owned(),
    }
}

/// Whether the client has what `etag` stands for.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim())
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The part of a file that is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// None that it has.
    Unsatisfiable,
}

/// What the headers ask for of `size` bytes. A range that is no range, several of them, or one of another version mean
/// the whole, as the standard allows.
pub(super) fn part(headers: &HeaderMap, etag: &str, size: u64) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_RANGE).is_some_and(|known| known != etag) {
        return Part::Whole;
    }
    let Some((first, last)) = text(RANGE)
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Part::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok(),
        false => None,
    };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Part::Whole,
    };
    match range.start < range.end {
        true => Part::Bytes(range),
        false => Part::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_strictest_wish_about_caching_counts() {
        assert_eq!(cache_control(false, false, None), "no-cache");
        assert_eq!(cache_control(false, false, Some(60)), "public, max-age=60");
        assert!(cache_control(false, true, Some(60)).contains("immutable"));
        assert_eq!(cache_control(true, true, Some(60)), "no-store");
    }

    #[test]
    fn an_etag_is_found_among_several_and_weak_ones() {
        for (value, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(
                is_known(&headers(&[(IF_NONE_MATCH, value)]), "\"a\""),
                known
            );
        }
        assert!(!is_known(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        for (value, expected) in [
            ("bytes=0-4", Part::Bytes(0..5)),
            ("bytes=5-", Part::Bytes(5..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=8-99", Part::Bytes(8..10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=-", Part::Whole),
        ] {
            let headers = headers(&[(RANGE, value)]);
            assert_eq!(part(&headers, "\"a\"", 10), expected, "{value}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_not_cut_out() {
        for (known, expected) in [("\"a\"", Part::Bytes(0..1)), ("\"b\"", Part::Whole)] {
            let headers = headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, known)]);
            assert_eq!(part(&headers, "\"a\"", 10), expected);
        }
    }
}
