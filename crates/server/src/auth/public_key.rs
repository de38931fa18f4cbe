//! Public keys of organisations: what may be registered, and what a token's signature is checked with.

use jsonwebtoken::DecodingKey;

/// Smallest RSA modulus taken, in bits; what ring verifies with.
const MIN_RSA_BITS: usize = 2048;

/// How a key signs. Each kind of key has exactly one, so a token cannot choose another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a JWT's `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm that `alg` names; `None` for every other, `none` and the HMAC ones among them.
    pub fn from_name(alg: &str) -> Option<Algorithm> {
        [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa]
            .into_iter()
            .find(|known| known.as_str() == alg)
    }

    fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The text is no key that can be registered.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeyError {
    /// Not PEM.
    #[error("not a PEM file with a public key (`-----BEGIN PUBLIC KEY-----`)")]
    NotPem,
    /// A private key: it must stay with its owner.
    #[error("this is a private key; register its public half")]
    Private,
    /// A kind of key that signs no accepted token.
    #[error("not a key on P-256, an RSA key or an Ed25519 key")]
    Unsupported,
    /// An RSA key that is too short to be trusted.
    #[error("an RSA key of {bits} bits; {MIN_RSA_BITS} are needed")]
    ShortRsa {
        /// Length of the modulus.
        bits: usize,
    },
}

/// A public key, ready to verify with.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    der: Vec<u8>,
    key: DecodingKey,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey")
            .field("algorithm", &self.algorithm)
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` (SubjectPublicKeyInfo) in PEM.
    pub fn from_pem(pem: &str) -> Result<PublicKey, PublicKeyError> {
        let der = spki(pem)?;
        let (algorithm, key) = match SpkiKind::of(&der).ok_or(PublicKeyError::Unsupported)? {
            SpkiKind::P256 => (Algorithm::Es256, DecodingKey::from_ec_pem(pem.as_bytes())),
            SpkiKind::Ed25519 => (Algorithm::EdDsa, DecodingKey::from_ed_pem(pem.as_bytes())),
            SpkiKind::Rsa { bits } if bits < MIN_RSA_BITS => {
                return Err(PublicKeyError::ShortRsa { bits });
            }
            SpkiKind::Rsa { .. } => (Algorithm::Rs256, DecodingKey::from_rsa_pem(pem.as_bytes())),
        };
        Ok(PublicKey {
            algorithm,
            der,
            key: key.map_err(|_| PublicKeyError::Unsupported)?,
        })
    }

    /// How this key signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// BLAKE3 of the key's DER in hex: the same for every spelling of the same key.
    pub fn fingerprint(&self) -> String {
        blake3::hash(&self.der).to_hex().to_string()
    }

    /// Whether `signature` (base64url) is this key's on `message`.
    pub fn verifies(&self, signature: &str, message: &[u8]) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.key, self.algorithm.jwt())
            .unwrap_or(false)
    }
}

fn spki(pem: &str) -> Result<Vec<u8>, PublicKeyError> {
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject;
    if pem.contains("PRIVATE KEY-----") {
        return Err(PublicKeyError::Private);
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| PublicKeyError::NotPem)?;
    Ok(der.as_ref().to_vec())
}

/// What a SubjectPublicKeyInfo says about its key.
enum SpkiKind {
    P256,
    Ed25519,
    Rsa { bits: usize },
}

impl SpkiKind {
    /// Reads `SEQUENCE { SEQUENCE { OID, parameters }, BIT STRING }` (RFC 5280, 4.1) as far as it takes to tell.
    fn of(der: &[u8]) -> Option<SpkiKind> {
        const OID_EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
        const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        let (outer, _) = tlv(der, 0x30)?;
        let (algorithm, rest) = tlv(outer, 0x30)?;
        let (oid, parameters) = tlv(algorithm, 0x06)?;
        let (bits, _) = tlv(rest, 0x03)?;
        match oid {
            OID_EC => (tlv(parameters, 0x06)?.0 == OID_P256).then_some(SpkiKind::P256),
            OID_ED25519 => Some(SpkiKind::Ed25519),
            OID_RSA => {
                let (key, _) = tlv(bits.strip_prefix(&[0])?, 0x30)?;
                let (modulus, _) = tlv(key, 0x02)?;
                let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
                let first = *modulus.first()?;
                Some(SpkiKind::Rsa {
                    bits: modulus.len() * 8 - first.leading_zeros() as usize,
                })
            }
            _ => None,
        }
    }
}

/// The contents of the DER value with `tag` at the start of `der`, and what follows it.
fn tlv(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (first as usize, rest),
        0x81..=0x83 => {
            let (len, rest) = rest.split_at_checked((first & 0x7f) as usize)?;
            (
                len.iter().fold(0, |len, &byte| len << 8 | byte as usize),
                rest,
            )
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(len)).flatten()
}
