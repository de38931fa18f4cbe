//! Whose signatures of commits count, where a token's policy says `verify-sig`.
//!
//! The keys are SSH keys that were registered for signing; a signature is what `git commit -S` makes with `gpg.format` set
//! to `ssh` (OpenSSH's PROTOCOL.sshsig).

use std::collections::HashSet;

use russh::keys::PublicKey;
use russh::keys::ssh_key::SshSig;
use russh::keys::ssh_key::public::KeyData;

/// The scope of a key that was registered for signing.
pub const GIT_SIGN: &str = "git:sign";

/// What signatures of commits and tags are for, as Git says it: those of anything else do not count.
const NAMESPACE: &str = "git";

/// Longest signature that is looked at, in bytes.
const MAX_SIGNATURE_BYTES: usize = 16 << 10;

/// Keys whose signatures count.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Signers(HashSet<KeyData>);

impl Signers {
    /// Those of keys as they are registered. What is no key signs nothing.
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Signers {
        let keys = keys.into_iter().map(PublicKey::from_openssh);
        Signers(keys.flatten().map(KeyData::from).collect())
    }

    /// Whether `signature` is one of these keys' over `payload`; the error says why not.
    pub(crate) fn check(&self, payload: &[u8], signature: &[u8]) -> Result<(), String> {
        let fail = |reason: &str| Err(reason.to_owned());
        if !signature.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
            return fail("its signature is not by an SSH key; OpenPGP and X.509 are not verified");
        }
        if signature.len() > MAX_SIGNATURE_BYTES {
            return fail("its signature is too long");
        }
        let Ok(signature) = SshSig::from_pem(signature) else {
            return fail("its signature cannot be read");
        };
        let key = signature.public_key();
        if !self.0.contains(key) {
            return fail("it is signed with a key that is not registered for signing");
        }
        match PublicKey::from(key.clone()).verify(NAMESPACE, payload, &signature) {
            Ok(()) => Ok(()),
            Err(_) => fail("its signature does not fit it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use packhouse_object::signed_commit;

    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbJcpYjaHPZ9UzAzBbt4AjqfRnCyeP3Be8kRv4LCyHD";
    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJr3EqpCOAt//pJ6HQAq99t2ESyDPH3YfqQxu3h4FBGkFn7YXgd/VJ+qQC6KGDJkaonAEdMm5Qc3f5UtshNajQc=";

    const BY_ED25519: &str = "-----BEGIN SSH SIGNATURE-----
 U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAghslyliNoc9n1TMDMFu3gCOp9Gc
 LJ4/cF7yRG/gsLIcMAAAADZ2l0AAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5
 AAAAQMVF79i/Sr9vDCpTvKLNNErJpEhWF0CLh5u5OlX5YxQU3ZpvdhmifDubUm3Xx2J8GO
 suR9wkpKhLOzajNBwNQgc=
 -----END SSH SIGNATURE-----";
    const BY_ECDSA: &str = "-----BEGIN SSH SIGNATURE-----
 U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAE
 EEmvcSqkI4C3/+knodACr323YRLIM8fdh+pDG7eHgUEaQWftheB39Un6pALooYMmRqicAR
 0yblBzd/lS2yE1qNBwAAAANnaXQAAAAAAAAABnNoYTUxMgAAAGQAAAATZWNkc2Etc2hhMi
 1uaXN0cDI1NgAAAEkAAAAhAJIhsif4gjY+EKFafG04MrlO4AzVt0CVngyK/oP6DD+2AAAA
 IBW3Q5J93e3CKfy+SUvCvn56s4gif3sP8pmu4fxy1Tl+
 -----END SSH SIGNATURE-----";

    /// What Git stores of a commit with that signature.
    fn commit(signature: &str, message: &str) -> Vec<u8> {
        let text = format!(
            "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor a <a@b> 1700000000 +0000\n\
             committer a <a@b> 1700000000 +0000\ngpgsig {signature}\n\n{message}\n"
        );
        text.into_bytes()
    }

    fn check(keys: &[&str], commit: &[u8]) -> Result<(), String> {
        let (signature, payload) = signed_commit(commit).unwrap();
        Signers::new(keys.iter().copied()).check(&payload, &signature)
    }

    #[test]
    fn a_commit_that_git_signed_is_signed_by_its_key_alone() {
        for (key, other, signature) in [(ED25519, ECDSA, BY_ED25519), (ECDSA, ED25519, BY_ECDSA)] {
            let good = commit(signature, "signed");
            assert_eq!(check(&[other, key], &good), Ok(()));
            let unknown = check(&[other], &good).unwrap_err();
            assert!(unknown.contains("not registered for signing"), "{unknown}");
            let changed = check(&[key], &commit(signature, "changed")).unwrap_err();
            assert!(changed.contains("does not fit"), "{changed}");
        }
    }

    #[test]
    fn what_is_no_signature_says_so() {
        let openpgp =
            "-----BEGIN PGP SIGNATURE-----\n \n iHUEABYKAB0\n -----END PGP SIGNATURE-----";
        let cut = BY_ED25519.replace("AAAAQMVF", "AAAA");
        let long = BY_ED25519.replace("U1NI", &"A".repeat(MAX_SIGNATURE_BYTES));
        let other_use = BY_ED25519.replace("AAAADZ2l0", "AAAADZ2l1");
        for (signature, reason) in [
            (openpgp, "OpenPGP"),
            (&cut, "cannot be read"),
            (&long, "too long"),
            (&other_use, "does not fit"),
        ] {
            let found = check(&[ED25519], &commit(signature, "signed")).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }
}
