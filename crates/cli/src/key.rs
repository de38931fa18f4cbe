//! Private keys: what signs tokens. They never leave the file they are in.
//!
//! P-256 (ES256), RSA (RS256) and Ed25519 (EdDSA) keys in PEM files as OpenSSL writes them: unencrypted PKCS#8.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jsonwebtoken::{EncodingKey, Header};
use packhouse_server::auth::Algorithm;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::Serialize;

use crate::error::CliError;

/// PEM label of an unencrypted PKCS#8 key (RFC 7468).
const PRIVATE: &str = "PRIVATE KEY";
/// PEM label of a SubjectPublicKeyInfo (RFC 7468).
const PUBLIC: &str = "PUBLIC KEY";

/// Object identifiers, DER without tag and length (RFC 5480, RFC 8017, RFC 8410).
const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A P-256 SubjectPublicKeyInfo up to its uncompressed point (RFC 5480, section 2).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The contents of a file are no key that can sign a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("not a PEM file")]
    NotPem,
    #[error("it holds `{found}` instead of `PRIVATE KEY`")]
    WrongLabel { found: String },
    #[error("its contents are damaged")]
    NotDer,
    #[error("it is neither a P-256, an RSA nor an Ed25519 key")]
    Unsupported,
    #[error("it cannot sign: {0}")]
    CannotSign(#[from] jsonwebtoken::errors::Error),
}

/// A private key that can sign tokens.
#[derive(Debug)]
pub(crate) struct PrivateKey {
    algorithm: Algorithm,
    pem: String,
}

impl PrivateKey {
    /// Reads an unencrypted PKCS#8 key from the text of a PEM file.
    pub(crate) fn parse(text: &[u8]) -> Result<PrivateKey, KeyError> {
        let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
        // A file may start with other blocks, such as `EC PARAMETERS`.
        let last = blocks.last().ok_or(KeyError::NotPem)?.tag().to_owned();
        let block = blocks.into_iter().find(|block| block.tag() == PRIVATE);
        let pkcs8 = block
            .ok_or(KeyError::WrongLabel { found: last })?
            .into_contents();
        Ok(PrivateKey {
            algorithm: algorithm_of(&pkcs8)?,
            pem: write_pem(PRIVATE, pkcs8),
        })
    }

    /// Reads the key file at `path`.
    pub(crate) fn read(path: &Path) -> Result<PrivateKey, CliError> {
        let shown = path.display();
        let text = std::fs::read(path).map_err(|error| {
            CliError::because(
                format!("could not read `{shown}`"),
                &error,
                "name a private key: a PEM file, PKCS#8",
            )
        })?;
        PrivateKey::parse(&text).map_err(|error| {
            let hint = match error {
                KeyError::WrongLabel { .. } => {
                    format!("convert it to an unencrypted PKCS#8 key: openssl pkcs8 -topk8 -nocrypt -in {shown}")
                }
                _ => "make a key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem".into(),
            };
            CliError::because(format!("`{shown}` is not a private key"), &error, hint)
        })
    }

    /// Makes a P-256 key and its public half, in PEM.
    pub(crate) fn generate() -> Result<(PrivateKey, String), CliError> {
        let failed =
            || CliError::failure("the system gave no random numbers for a key", "try again");
        let random = SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).map_err(|_| failed())?;
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).map_err(|_| failed())?;
        let public = write_pem(PUBLIC, [&P256_PREFIX, pair.public_key().as_ref()].concat());
        Ok((
            PrivateKey {
                algorithm: Algorithm::Es256,
                pem: write_pem(PRIVATE, pkcs8.as_ref()),
            },
            public,
        ))
    }

    /// Writes the key where no file may be yet, readable by its owner alone.
    pub(crate) fn write_new(&self, path: &Path) -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(self.pem.as_bytes())?;
        file.sync_all()
    }

    /// A JWT that carries `claims`.
    pub(crate) fn sign<T: Serialize>(&self, claims: &T) -> Result<String, KeyError> {
        let pem = self.pem.as_bytes();
        let (algorithm, key) = match self.algorithm {
            Algorithm::Es256 => (
                jsonwebtoken::Algorithm::ES256,
                EncodingKey::from_ec_pem(pem)?,
            ),
            Algorithm::Rs256 => (
                jsonwebtoken::Algorithm::RS256,
                EncodingKey::from_rsa_pem(pem)?,
            ),
            Algorithm::EdDsa => (
                jsonwebtoken::Algorithm::EdDSA,
                EncodingKey::from_ed_pem(pem)?,
            ),
        };
        Ok(jsonwebtoken::encode(&Header::new(algorithm), claims, &key)?)
    }
}

fn write_pem(label: &str, der: impl Into<Vec<u8>>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

/// The algorithm of `PrivateKeyInfo { version, AlgorithmIdentifier { OID, parameters }, … }` (RFC 5958).
fn algorithm_of(pkcs8: &[u8]) -> Result<Algorithm, KeyError> {
    let (info, _) = element(pkcs8, 0x30).ok_or(KeyError::NotDer)?;
    let (_version, rest) = element(info, 0x02).ok_or(KeyError::NotDer)?;
    let (identifier, _) = element(rest, 0x30).ok_or(KeyError::NotDer)?;
    let (oid, parameters) = element(identifier, 0x06).ok_or(KeyError::NotDer)?;
    match oid {
        OID_RSA => Ok(Algorithm::Rs256),
        OID_ED25519 => Ok(Algorithm::EdDsa),
        OID_EC if element(parameters, 0x06).is_some_and(|(curve, _)| curve == OID_P256) => {
            Ok(Algorithm::Es256)
        }
        _ => Err(KeyError::Unsupported),
    }
}

/// The content of the DER element with `tag` at the start of `der`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        }
        _ => return None,
    };
    if found == tag {
        rest.split_at_checked(length)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use packhouse_server::auth::PublicKey;

    use super::*;

    #[test]
    fn a_new_key_signs_what_its_public_key_checks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let (made, public) = PrivateKey::generate().unwrap();
        made.write_new(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let token = PrivateKey::read(&path)
            .unwrap()
            .sign(&serde_json::json!({ "repo": "a" }))
            .unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let public = PublicKey::from_pem(&public).unwrap();
        assert_eq!(public.algorithm(), Algorithm::Es256);
        assert!(public.verifies(signature, message.as_bytes()));
        assert!(!public.verifies(signature, b"something else"));
    }

    #[test]
    fn a_key_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "precious").unwrap();
        assert!(PrivateKey::generate().unwrap().0.write_new(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        let (key, public) = PrivateKey::generate().unwrap();
        assert!(matches!(PrivateKey::parse(b"hello"), Err(KeyError::NotPem)));
        assert!(matches!(
            PrivateKey::parse(public.as_bytes()),
            Err(KeyError::WrongLabel { .. })
        ));
        let der = pem::parse(&key.pem).unwrap().into_contents();
        for cut in 0..25 {
            let text = write_pem(PRIVATE, &der[..cut]);
            assert!(PrivateKey::parse(text.as_bytes()).is_err(), "cut at {cut}");
        }
    }
}
