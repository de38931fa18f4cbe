//! SSH keys: what may be registered, and the callers that a registered one stands for.

use packhouse_catalog::SshKeyRow;
use russh::keys::{HashAlg, PublicKey};

use super::caller::{Caller, Credential, CredentialKind, Scopes};
use super::policy::TokenPolicy;

/// Algorithms of keys that are taken, by their names in `authorized_keys`.
const ALGORITHMS: [&str; 4] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
];

/// A text is no key that may be registered.
#[derive(Debug, thiserror::Error)]
pub enum SshKeyError {
    /// Secrets are not taken, not even by mistake.
    #[error("this is a private key; register its public half")]
    Private,
    /// Not one line of a public key file.
    #[error("it is no SSH public key, which is one line such as `ssh-ed25519 AAAA… comment`")]
    Malformed,
    /// RSA, security keys, certificates and whatever else there is.
    #[error("keys of the kind `{algorithm}` are not taken; Ed25519 and ECDSA are")]
    Unsupported {
        /// The kind, as the text names it.
        algorithm: String,
    },
}

/// A public key, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshPublicKey {
    line: String,
    algorithm: &'static str,
    fingerprint: String,
    comment: String,
}

impl SshPublicKey {
    /// Reads what `ssh-keygen` writes into a file that ends in `.pub`.
    pub fn parse(text: &str) -> Result<SshPublicKey, SshKeyError> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") {
            return Err(SshKeyError::Private);
        }
        if text.lines().count() != 1 || text.chars().any(char::is_control) {
            return Err(SshKeyError::Malformed);
        }
        let name = text.split(' ').next().unwrap_or_default();
        let known = ALGORITHMS.into_iter().find(|known| *known == name);
        let Some(algorithm) = known else {
            // What begins with options, or is no key at all, names no algorithm.
            let is_name = name.len() <= 64
                && ["ssh-", "ecdsa-", "sk-"]
                    .iter()
                    .any(|start| name.starts_with(start));
            return Err(match is_name {
                true => SshKeyError::Unsupported {
                    algorithm: name.to_owned(),
                },
                false => SshKeyError::Malformed,
            });
        };
        let mut key = PublicKey::from_openssh(text).map_err(|_| SshKeyError::Malformed)?;
        if key.algorithm().as_str() != algorithm {
            return Err(SshKeyError::Malformed);
        }
        let comment = key.comment().to_string();
        key.set_comment("");
        Ok(SshPublicKey {
            line: key.to_openssh().map_err(|_| SshKeyError::Malformed)?,
            algorithm,
            fingerprint: fingerprint(&key),
            comment,
        })
    }

    /// Algorithm and key, without the comment.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Its algorithm, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What stands behind the key, which its owner wrote for themselves.
    pub fn comment(&self) -> &str {
        &self.comment
    }
}

/// The fingerprint under which a key is registered.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

impl Caller {
    /// Who comes in with a registered key to use repository `id` of its organisation. A key for one repository stands
    /// for that one, whatever is asked for; `None`: it is deleted.
    pub(crate) fn of_ssh_key(row: &SshKeyRow, id: &str) -> Option<Caller> {
        let repo = match (row.key.repo, &row.repo_name) {
            (None, _) => id.to_owned(),
            (Some(_), Some(name)) => name.clone(),
            (Some(_), None) => return None,
        };
        let who = row.key.user.clone();
        let credential = Credential {
            kind: CredentialKind::SshKey,
            fingerprint: row.key.fingerprint.clone(),
            ends_at: row
                .key
                .expires_at_ms
                .map_or(f64::INFINITY, |ms| ms as f64 / 1000.0),
        };
        Some(Caller::new(
            row.org,
            row.org_name.clone(),
            credential,
            who.unwrap_or_else(|| format!("SSH key {}", row.key.fingerprint)),
            Some(repo),
            Scopes::from_words(row.key.scopes.split(' ')),
            TokenPolicy::default(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn a_key_is_known_by_what_ssh_keygen_prints() {
        let key = SshPublicKey::parse(&format!("{ED25519} ann@laptop of hers\n")).unwrap();
        assert_eq!(key.line(), ED25519);
        assert_eq!(key.algorithm(), "ssh-ed25519");
        assert_eq!(key.comment(), "ann@laptop of hers");
        assert_eq!(SshPublicKey::parse(ED25519).unwrap().comment(), "");
    }

    #[test]
    fn what_is_no_key_says_why() {
        let error = |text: &str| SshPublicKey::parse(text).unwrap_err().to_string();
        assert!(error("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA").contains("private key"));
        for kind in [
            "ssh-rsa",
            "sk-ssh-ed25519@openssh.com",
            "ssh-ed25519-cert-v01@openssh.com",
        ] {
            assert!(error(&format!("{kind} AAAA")).contains(kind));
        }
        let cut = &ED25519[..ED25519.len() - 4];
        let other = ED25519.replace("ssh-ed25519 ", "ecdsa-sha2-nistp256 ");
        let two = format!("{ED25519}\n{ED25519}");
        let options = format!("no-pty {ED25519}");
        for text in ["", "hello", cut, &other, &two, &options, "ssh-ed25519"] {
            assert!(error(text).contains("no SSH public key"), "{text}");
        }
    }
}
