//! Settings that bound what organisations and repositories may take.

use std::str::FromStr;

use clap::Args;
use packhouse_server::Rate;
use serde::Deserialize;

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
}

/// Limits, decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitSettings {
    pub(crate) org_rate: Option<Rate>,
    pub(crate) repo_rate: Option<Rate>,
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
