//! Times as the API writes them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// RFC 3339 in UTC with whole seconds, which every client's parser reads. What no calendar holds becomes its end.
pub(crate) fn rfc3339(seconds: i64) -> String {
    timestamp(seconds)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// The form of HTTP headers (RFC 9110, 5.6.7).
pub(super) fn http_date(seconds: i64) -> Option<String> {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp(seconds))
        .ok()
}

/// The seconds since the epoch that an HTTP date stands for, in any of the three forms that RFC 9110, 5.6.7 has servers
/// read; `None` if it is none.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Seconds since the epoch, and minutes east of UTC, of an RFC 3339 time.
pub(super) fn parse_rfc3339(text: &str) -> Option<(i64, i32)> {
    let seconds = text.parse::<Timestamp>().ok()?.as_second();
    let offset = jiff::fmt::temporal::Pieces::parse(text)
        .ok()?
        .to_numeric_offset()?;
    Some((seconds, offset.seconds() / 60))
}

/// Seconds since the epoch, now.
pub(crate) fn now_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs().cast_signed())
}

fn timestamp(seconds: i64) -> Timestamp {
    /// 0001-01-01, the first day that every client's parser knows.
    const FIRST: i64 = -62_135_596_800;
    let last = Timestamp::MAX.as_second();
    Timestamp::from_second(seconds.clamp(FIRST, last)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_clients_parse_them() {
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(i64::MIN), "0001-01-01T00:00:00Z");
        assert!(rfc3339(i64::MAX).starts_with("9999-"));
        let date = http_date(1_700_000_000).unwrap();
        assert_eq!(date, "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(parse_http_date(&date), Some(1_700_000_000));
        for obsolete in [
            "Tuesday, 14-Nov-23 22:13:20 GMT",
            "Tue Nov 14 22:13:20 2023",
        ] {
            assert_eq!(parse_http_date(obsolete), Some(1_700_000_000), "{obsolete}");
        }
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(
            parse_rfc3339("2023-11-14T23:13:20+01:00"),
            Some((1_700_000_000, 60))
        );
        assert_eq!(
            parse_rfc3339("2023-11-14T22:13:20Z"),
            Some((1_700_000_000, 0))
        );
        assert_eq!(parse_rfc3339("2023-11-14"), None);
    }
}
