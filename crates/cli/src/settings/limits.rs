//! Settings that bound what organisations and repositories may take.

use std::str::FromStr;

use clap::Args;
use packhouse_server::{Limits, Rate};
use serde::Deserialize;

use crate::size::ByteSize;

/// Limits on the command line, each with its variable.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LimitFlags {
    /// Requests per second that an organisation may make of this server, and at once after a rest: 100 or 100:400
    /// [default: no limit]
    #[arg(
        long,
        value_name = "RATE[:BURST]",
        env = "PACKHOUSE_ORG_RATE",
        help_heading = "Limits"
    )]
    pub(crate) org_rate: Option<RateSetting>,
    /// The same for the requests that name one repository [default: no limit]
    #[arg(
        long,
        value_name = "RATE[:BURST]",
        env = "PACKHOUSE_REPO_RATE",
        help_heading = "Limits"
    )]
    pub(crate) repo_rate: Option<RateSetting>,
    /// How large a repository may grow, such as 10GiB [default: no limit]
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_MAX_REPO_BYTES",
        help_heading = "Limits"
    )]
    pub(crate) max_repo_bytes: Option<ByteSize>,
    /// How large all repositories of an organisation may be together, such as 1TiB [default: no limit]
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_MAX_ORG_BYTES",
        help_heading = "Limits"
    )]
    pub(crate) max_org_bytes: Option<ByteSize>,
    /// How large a file may be that is pushed, committed or fetched from an upstream [default: 8GiB]
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_MAX_FILE_BYTES",
        help_heading = "Limits"
    )]
    pub(crate) max_file_bytes: Option<ByteSize>,
    /// How large the body of a request may be [default: 16GiB for a push, 64GiB for a commit]
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_MAX_REQUEST_BYTES",
        help_heading = "Limits"
    )]
    pub(crate) max_request_bytes: Option<ByteSize>,
}

/// Limits, decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitSettings {
    pub(crate) org_rate: Option<Rate>,
    pub(crate) repo_rate: Option<Rate>,
    pub(crate) max_repo_bytes: Option<u64>,
    pub(crate) max_org_bytes: Option<u64>,
    pub(crate) max_file_bytes: Option<u64>,
    pub(crate) max_request_bytes: Option<u64>,
}

impl LimitSettings {
    /// The limits of a server with these settings.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits {
            org_rate: self.org_rate,
            repo_rate: self.repo_rate,
            repo_bytes: self.max_repo_bytes,
            org_bytes: self.max_org_bytes,
            ..Limits::default()
        };
        if let Some(bytes) = self.max_file_bytes {
            limits.file_bytes = bytes;
        }
        if let Some(bytes) = self.max_request_bytes {
            limits.set_request_bytes(bytes);
        }
        limits
    }
}

/// A rate as people write it: `100`, which is also how many may come at once, or `100:400`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RateSetting(pub(crate) Rate);

impl FromStr for RateSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<RateSetting, String> {
        let number = |text: &str| text.trim().parse().ok();
        let rate = match text.split_once(':') {
            Some((rate, burst)) => number(rate).zip(number(burst)),
            None => number(text).map(|rate| (rate, rate)),
        };
        let rate = rate.and_then(|(rate, burst)| Rate::new(rate, burst));
        rate.map(RateSetting).ok_or_else(|| {
            format!(
                "`{text}` is not a rate such as 100, or 100:400 for 400 at once; both are whole numbers from 1 to {}",
                Rate::MAX
            )
        })
    }
}

impl<'de> Deserialize<'de> for RateSetting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<RateSetting, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(rate) => rate.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_held_to_the_smaller_of_two_limits() {
        let settings = LimitSettings {
            max_repo_bytes: Some(5),
            max_org_bytes: Some(6),
            max_file_bytes: Some(7),
            max_request_bytes: Some(2 << 20),
            ..LimitSettings::default()
        };
        let limits = settings.limits();
        assert_eq!((limits.repo_bytes, limits.file_bytes), (Some(5), 7));
        assert_eq!(limits.org_bytes, Some(6));
        assert_eq!((limits.push_bytes, limits.commit_bytes), (2 << 20, 2 << 20));
        assert_eq!(limits.json_bytes, Limits::default().json_bytes);
        let unlimited = LimitSettings::default().limits();
        assert_eq!(unlimited.push_bytes, Limits::default().push_bytes);
        assert_eq!(unlimited.repo_bytes, None);
    }

    #[test]
    fn a_rate_has_a_burst_of_its_own_or_as_much_as_the_rate() {
        let rate = |rate, burst| Ok(RateSetting(Rate::new(rate, burst).unwrap()));
        assert_eq!("100".parse(), rate(100, 100));
        assert_eq!("5:20".parse(), rate(5, 20));
        for bad in ["", "0", "1:0", "-1", "1.5", "1:2:3", "many", "1000001"] {
            let error = bad.parse::<RateSetting>().unwrap_err();
            assert!(error.contains("not a rate such as 100"), "{error}");
        }
    }
}
