//! Amounts as people write them on a command line: bytes and durations.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A number of bytes: `1073741824`, `512M`, `10GiB`. Units are powers of 1024.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let (number, unit) = split_number(text);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => {
                return Err(format!(
                    "`{text}` is not a size such as 1073741824, 512M or 10GiB"
                ));
            }
        };
        let number: u64 = number
            .parse()
            .map_err(|_| format!("`{text}` does not start with a whole number"))?;
        number
            .checked_mul(1 << shift)
            .map(ByteSize)
            .ok_or_else(|| format!("`{text}` is more bytes than there are"))
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(ByteSize(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A duration as [`parse_duration`] reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Lapse(pub(crate) Duration);

impl FromStr for Lapse {
    type Err = String;

    fn from_str(text: &str) -> Result<Lapse, String> {
        match parse_duration(text)? {
            Duration::ZERO => Err(format!("`{text}` is no time at all")),
            lapse => Ok(Lapse(lapse)),
        }
    }
}

impl<'de> Deserialize<'de> for Lapse {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Lapse, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A duration in whole seconds: `3600`, `90s`, `15m`, `12h`, `30d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_number(text);
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => {
            return Err(format!(
                "`{text}` is not a duration such as 3600, 15m, 12h or 30d"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` does not start with a whole number"))?;
    let total = number
        .checked_mul(seconds)
        .filter(|total| i64::try_from(*total).is_ok());
    match total {
        Some(0) => Err("a duration of nothing".to_owned()),
        Some(total) => Ok(Duration::from_secs(total)),
        None => Err(format!("`{text}` is longer than time")),
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_units_and_refuse_nonsense() {
        assert_eq!("1073741824".parse(), Ok(ByteSize(1 << 30)));
        assert_eq!("10 GiB".parse(), Ok(ByteSize(10 << 30)));
        assert_eq!("512m".parse(), Ok(ByteSize(512 << 20)));
        for bad in ["", "x", "-1", "1.5G", "10XB", "99999999999T"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_take_units_and_refuse_nonsense() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_secs(2_592_000)));
        for bad in ["", "0", "1w", "h", "-5m", "99999999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
