//! Points in time: what `--before` takes, and how times are shown.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::failure::Failure;

/// Seconds since the epoch of an ISO 8601 date or time. A date alone means its end, and what has no offset is UTC.
///
/// # Errors
///
/// It is neither a date nor a time.
pub(crate) fn parse(text: &str) -> Result<i64, Failure> {
    let is_date = text.len() <= "2024-06-01".len();
    let seconds = if is_date {
        text.parse::<Date>()
            .and_then(|date| date.at(23, 59, 59, 0).to_zoned(TimeZone::UTC))
            .map(|time| time.timestamp().as_second())
    } else {
        text.parse::<Timestamp>()
            .or_else(|_| {
                let time: DateTime = text.parse()?;
                time.to_zoned(TimeZone::UTC).map(|time| time.timestamp())
            })
            .map(|time| time.as_nanosecond().div_euclid(1_000_000_000) as i64)
    };
    seconds.map_err(|_| {
        Failure::new(format!("Invalid date: {text}"))
            .hint("use ISO 8601, such as 2024-01-15 or 2024-01-15T14:30:00")
    })
}

/// Seconds since the epoch as ISO 8601 at an offset in minutes: `2024-06-01T12:00:00+00:00`.
pub(crate) fn iso(seconds: i64, offset_minutes: i32) -> String {
    at(seconds, offset_minutes)
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

fn at(seconds: i64, offset_minutes: i32) -> Zoned {
    let time = Timestamp::from_second(seconds).unwrap_or(match seconds < 0 {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    });
    // Commits from elsewhere may claim any offset; one that no clock has is shown as UTC.
    let offset = Offset::from_seconds(offset_minutes.saturating_mul(60)).unwrap_or(Offset::UTC);
    time.to_zoned(TimeZone::fixed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_end_and_a_time_without_offset_is_utc() {
        for (text, seconds) in [
            ("1970-01-01", 86_399),
            ("1970-01-02T00:00:00", 86_400),
            ("1970-01-02T00:00", 86_400),
            ("1970-01-02 00:00:01", 86_401),
            ("1970-01-02T00:00:00Z", 86_400),
            ("1970-01-02T02:00:00+02:00", 86_400),
            ("1970-01-02T00:00:00.9", 86_400),
        ] {
            assert_eq!(parse(text).unwrap(), seconds, "{text}");
        }
        for text in ["", "yesterday", "2024-13-01", "2024-01-01T25:00:00"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("ISO 8601"), "{error}");
        }
    }

    #[test]
    fn times_are_shown_with_their_offset() {
        assert_eq!(iso(0, 0), "1970-01-01T00:00:00+00:00");
        assert_eq!(iso(0, -90), "1969-12-31T22:30:00-01:30");
        assert_eq!(iso(0, i32::MAX), "1970-01-01T00:00:00+00:00");
        assert!(iso(i64::MAX, 0).starts_with("9999-"));
    }
}
