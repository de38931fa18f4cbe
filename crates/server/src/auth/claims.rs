//! What a token says.

use serde::Deserialize;

/// Clocks of honest machines differ by less, in seconds.
const LEEWAY: f64 = 30.0;

/// The header of a token, as far as it matters. `kid` is not needed: the issuer's keys are tried in turn.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    /// Name of the algorithm.
    pub alg: String,
    /// Extensions that a verifier must understand. None is.
    #[serde(default)]
    pub crit: Option<serde_json::Value>,
}

/// The claims that are read. Others are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// The organisation.
    pub iss: String,
    /// Who is acting, for the reflog.
    #[serde(default)]
    pub sub: Option<String>,
    /// The repository, or the word `org` for calls that concern none.
    #[serde(default)]
    pub repo: Option<String>,
    /// What the token allows.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Ref policies, in order: pattern and operations.
    #[serde(default)]
    pub refs: Option<Vec<(String, Vec<String>)>>,
    /// Operations for every ref, the older way to say `[["*", ops]]`.
    #[serde(default)]
    pub ops: Option<Vec<String>>,
    /// When it ends, in seconds since the epoch.
    #[serde(default)]
    pub exp: Option<f64>,
    /// When it starts.
    #[serde(default)]
    pub nbf: Option<f64>,
    /// When it was made.
    #[serde(default)]
    pub iat: Option<f64>,
}

impl Claims {
    /// Checks the times against `now` (seconds since the epoch) and returns when the token ends. The error is what
    /// the client reads.
    pub(super) fn check_times(&self, now: f64) -> Result<f64, &'static str> {
        let exp = self
            .exp
            .filter(|exp| exp.is_finite())
            .ok_or("the token has no `exp`")?;
        if exp <= now {
            return Err("the token has expired");
        }
        if self.nbf.is_some_and(|nbf| nbf > now + LEEWAY) {
            return Err("the token is not valid yet");
        }
        if self.iat.is_some_and(|iat| iat > now + LEEWAY) {
            return Err("the token was issued in the future");
        }
        Ok(exp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(claims: &str) -> Result<f64, &'static str> {
        serde_json::from_str::<Claims>(claims)
            .unwrap()
            .check_times(1000.0)
    }

    #[test]
    fn times_are_checked_with_a_small_leeway() {
        assert_eq!(
            check(r#"{"iss":"a","exp":1001,"iat":1020,"nbf":1020}"#),
            Ok(1001.0)
        );
        assert!(check(r#"{"iss":"a"}"#).is_err());
        assert!(check(r#"{"iss":"a","exp":1000}"#).is_err());
        assert!(check(r#"{"iss":"a","exp":2000,"nbf":1031}"#).is_err());
        assert!(check(r#"{"iss":"a","exp":2000,"iat":1031}"#).is_err());
    }
}
