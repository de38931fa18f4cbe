//! Signatures: how a receiver knows that a delivery is ours, whole, and new.

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of a secret that the server makes.
const SECRET_BYTES: usize = 32;

/// The value of `X-Pierre-Signature` for `body` at `seconds` since 1970.
pub(super) fn sign(secret: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body.as_bytes());
    format!("t={seconds},sha256={}", hex(context.sign().as_ref()))
}

/// A new secret; `None` if the system has no random bytes.
pub(crate) fn new_secret() -> Option<String> {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("whsec_{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'secret'
        let expected = "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686";
        assert_eq!(
            sign("secret", 1_700_000_000, r#"{"a":1}"#),
            format!("t=1700000000,sha256={expected}")
        );
    }

    #[test]
    fn secrets_differ() {
        let secret = new_secret().unwrap();
        assert_eq!(secret.len(), "whsec_".len() + 2 * SECRET_BYTES);
        assert_ne!(secret, new_secret().unwrap());
    }
}
