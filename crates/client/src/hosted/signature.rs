//! Deliveries of webhooks: whether they are the server's, whole, and new.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac;

/// How old a delivery may be, in seconds, if nothing else is said.
pub const MAX_AGE_SECONDS: i64 = 300;
/// How far a delivery's clock may be ahead of ours, in seconds.
const MAX_AHEAD_SECONDS: i64 = 60;

/// Why a delivery is not to be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// The secret is empty, with which anybody could sign.
    #[error("the webhook secret is empty")]
    NoSecret,
    /// Not `t=SECONDS,sha256=HEX`.
    #[error("invalid signature header format")]
    Format,
    /// The time is no number.
    #[error("invalid timestamp in signature")]
    Timestamp,
    /// Signed too long ago: perhaps sent again by somebody else.
    #[error("webhook timestamp too old ({age_seconds} seconds)")]
    TooOld {
        /// How long ago.
        age_seconds: i64,
    },
    /// Signed in the future.
    #[error("webhook timestamp is in the future")]
    InTheFuture,
    /// Signed with another secret, or of another body.
    #[error("invalid signature")]
    Mismatch,
}

/// The time and the signature in the value of `X-Pierre-Signature`, as they stand there.
///
/// ```
/// use packhouse_client::hosted::parse_signature;
///
/// assert_eq!(parse_signature("t=1700000000,sha256=ab"), Some(("1700000000", "ab")));
/// assert_eq!(parse_signature("sha256=ab"), None);
/// ```
pub fn parse_signature(header: &str) -> Option<(&str, &str)> {
    let (mut time, mut signature) = (None, None);
    for field in header.split(',') {
        let (name, value) = field.trim().split_once('=')?;
        match name {
            "t" => time = Some(value),
            "sha256" => signature = Some(value),
            _ => {}
        }
    }
    let pair = (time?, signature?);
    (!pair.0.is_empty() && !pair.1.is_empty()).then_some(pair)
}

/// Checks that `body` was signed with `secret`, not more than `max_age_seconds` ago (0 or less: whenever), and returns
/// when, in seconds since 1970.
///
/// # Errors
///
/// It was not.
pub fn verify_signature(
    body: &[u8],
    header: &str,
    secret: &str,
    max_age_seconds: i64,
) -> Result<i64, SignatureError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    verify_at(body, header, secret, max_age_seconds, now.as_secs() as i64)
}

fn verify_at(
    body: &[u8],
    header: &str,
    secret: &str,
    max_age_seconds: i64,
    now: i64,
) -> Result<i64, SignatureError> {
    if secret.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let (time, signature) = parse_signature(header).ok_or(SignatureError::Format)?;
    let seconds: i64 = time.parse().map_err(|_| SignatureError::Timestamp)?;
    if max_age_seconds > 0 {
        let age_seconds = now.saturating_sub(seconds);
        if age_seconds > max_age_seconds {
            return Err(SignatureError::TooOld { age_seconds });
        }
        if age_seconds < -MAX_AHEAD_SECONDS {
            return Err(SignatureError::InTheFuture);
        }
    }
    let signature = unhex(signature).ok_or(SignatureError::Mismatch)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    // The time as it stands there, for that is what was signed.
    let signed = [time.as_bytes(), b".", body].concat();
    hmac::verify(&key, &signed, &signature).map_err(|_| SignatureError::Mismatch)?;
    Ok(seconds)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"a":1}"#;
    // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'secret'
    const HEADER: &str =
        "t=1700000000,sha256=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";

    #[test]
    fn a_signature_holds_for_its_body_its_secret_and_its_time() {
        use SignatureError as E;
        let verify = |body, header: &str, secret, now| verify_at(body, header, secret, 300, now);
        assert_eq!(verify(BODY, HEADER, "secret", TIME), Ok(TIME));
        assert_eq!(verify(BODY, HEADER, "secret", TIME + 300), Ok(TIME));
        assert_eq!(
            verify(BODY, HEADER, "secret", TIME + 301),
            Err(E::TooOld { age_seconds: 301 })
        );
        assert_eq!(verify(BODY, HEADER, "secret", TIME - 60), Ok(TIME));
        assert_eq!(
            verify(BODY, HEADER, "secret", TIME - 61),
            Err(E::InTheFuture)
        );
        assert_eq!(
            verify_at(BODY, HEADER, "secret", 0, TIME + 1_000_000),
            Ok(TIME)
        );
        assert_eq!(verify(b"{}", HEADER, "secret", TIME), Err(E::Mismatch));
        assert_eq!(verify(BODY, HEADER, "Secret", TIME), Err(E::Mismatch));
        assert_eq!(verify(BODY, HEADER, "", TIME), Err(E::NoSecret));
        let later = HEADER.replace("1700000000", "1700000001");
        assert_eq!(verify(BODY, &later, "secret", TIME), Err(E::Mismatch));
        for header in [
            "",
            "t=1",
            "sha256=aa",
            "t=,sha256=aa",
            "t=1,sha256=",
            "1,aa",
        ] {
            assert_eq!(
                verify(BODY, header, "secret", TIME),
                Err(E::Format),
                "{header}"
            );
        }
        assert_eq!(
            verify(BODY, "t=x,sha256=aa", "secret", TIME),
            Err(E::Timestamp)
        );
        let zero = format!("t={TIME},sha256=é0");
        assert_eq!(verify(BODY, &zero, "secret", TIME), Err(E::Mismatch));
        assert!(verify(BODY, &format!("t={},sha256=aa", i64::MIN), "s", TIME).is_err());
    }
}
