//! Sealing credentials: AES-256-GCM with a key from the operator's environment.
//!
//! A sealed text is 12 random bytes, the ciphertext, and its tag of 16 bytes. Which key opens it is stored beside it, so
//! that keys can be changed: the first key of the setting seals, all of them open.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

const KEY_BYTES: usize = 32;

/// Keys that seal and open credentials. Clones are the same keys.
#[derive(Clone)]
pub struct CredentialKeys(Arc<Vec<Key>>);

struct Key {
    id: String,
    key: LessSafeKey,
}

/// A setting that is no list of keys. It is not repeated in the message.
#[derive(Debug, thiserror::Error)]
#[error("key {number} of the list is not 32 bytes in Base64; `openssl rand -base64 32` makes one")]
pub struct KeyError {
    number: usize,
}

impl CredentialKeys {
    /// Reads keys: each 32 bytes in Base64, with commas between. The first one seals.
    ///
    /// # Errors
    ///
    /// One of them is no key.
    pub fn parse(text: &str) -> Result<CredentialKeys, KeyError> {
        let key = |(at, word): (usize, &str)| {
            let refused = || KeyError { number: at + 1 };
            let bytes = STANDARD.decode(word.trim()).map_err(|_| refused())?;
            if bytes.len() != KEY_BYTES {
                return Err(refused());
            }
            let unbound = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| refused())?;
            // Tells keys apart and says nothing of them.
            let id = blake3::derive_key("packhouse credentials key id 1", &bytes);
            Ok(Key {
                id: id[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
                key: LessSafeKey::new(unbound),
            })
        };
        let keys: Vec<Key> = text
            .split(',')
            .enumerate()
            .map(key)
            .collect::<Result<_, _>>()?;
        Ok(CredentialKeys(Arc::new(keys)))
    }

    /// Seals a text for `context`: the id of the key, and the sealed text.
    pub(crate) fn seal(&self, text: &[u8], context: &str) -> (String, Vec<u8>) {
        let key = self.0.first().expect("a list that was split has a part");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .expect("the system has random bytes");
        let mut sealed = text.to_vec();
        key.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .expect("a credential is shorter than what can be sealed");
        (key.id.clone(), [&nonce, sealed.as_slice()].concat())
    }

    /// Opens what was sealed for the same `context` by the key `key_id`.
    pub(crate) fn open(&self, key_id: &str, sealed: &[u8], context: &str) -> Option<Vec<u8>> {
        let key = self.0.iter().find(|key| key.id == key_id)?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let mut text = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = key
            .key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut text)
            .ok()?;
        let length = opened.len();
        text.truncate(length);
        Some(text)
    }
}

impl fmt::Debug for CredentialKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64_key(byte: u8) -> String {
        STANDARD.encode([byte; KEY_BYTES])
    }

    #[test]
    fn what_was_sealed_opens_for_its_context_alone() {
        let keys = CredentialKeys::parse(&base64_key(1)).unwrap();
        let (id, sealed) = keys.seal(b"hunter2", "a");
        assert_eq!(sealed.len(), NONCE_LEN + 7 + 16);
        assert!(!sealed.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(keys.open(&id, &sealed, "a").unwrap(), b"hunter2");
        assert_eq!(keys.open(&id, &sealed, "b"), None);
        assert_eq!(keys.open("other", &sealed, "a"), None);
        assert_ne!(
            keys.seal(b"hunter2", "a").1,
            sealed,
            "each with its own nonce"
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(&id, &changed, "a"), None);
            assert_eq!(keys.open(&id, &sealed[..at], "a"), None);
        }
    }

    #[test]
    fn an_older_key_opens_and_the_first_one_seals() {
        let old = CredentialKeys::parse(&base64_key(1)).unwrap();
        let (old_id, sealed) = old.seal(b"x", "a");
        let both = format!("{}, {}", base64_key(2), base64_key(1));
        let both = CredentialKeys::parse(&both).unwrap();
        assert_eq!(both.open(&old_id, &sealed, "a").unwrap(), b"x");
        let (new_id, _) = both.seal(b"x", "a");
        assert_ne!(new_id, old_id);
        let new = CredentialKeys::parse(&base64_key(2)).unwrap();
        assert_eq!(new.open(&old_id, &sealed, "a"), None);
    }

    #[test]
    fn bad_keys_are_refused_without_being_repeated() {
        for text in [
            "",
            "hunter2",
            "aHVudGVyMg==",
            &format!("{},x", base64_key(1)),
        ] {
            let error = CredentialKeys::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let keys = CredentialKeys::parse(&base64_key(1)).unwrap();
        assert!(!format!("{keys:?}").contains(&base64_key(1)[..8]));
    }
}
