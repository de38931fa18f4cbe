//! Nonces of signed pushes: what keeps a certificate from being used twice.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ring::hmac;

use crate::config::Config;
use crate::error::ProgramError;
use crate::identity::now;

/// What this call of the program gives out, and whether it knows what others gave out.
#[derive(Clone, Debug)]
pub(crate) struct Nonce {
    key: hmac::Key,
    /// The repository as it was named: part of what is signed.
    name: Vec<u8>,
    stamp: u64,
    slop_limit: u64,
    /// Whether the same call that gives out the nonce gets it back.
    connected: bool,
}

/// What became of a nonce, as hooks are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NonceCheck {
    /// The nonce that was expected, or that was taken for it.
    pub(crate) nonce: Option<String>,
    /// `OK` or what is wrong with it.
    pub(crate) status: &'static str,
    /// How many seconds older it is than one given out now.
    pub(crate) slop: Option<i64>,
}

impl Nonce {
    /// Nonces by the seed that is set, be it empty; `None` if none is.
    pub(crate) fn new(
        config: &Config,
        name: &Path,
        connected: bool,
    ) -> Result<Option<Nonce>, ProgramError> {
        let Some(seed) = config.text("receive.certnonceseed") else {
            return Ok(None);
        };
        let slop_limit = config.number("receive.certnonceslop")?.unwrap_or(0);
        Ok(Some(Nonce {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed),
            name: name.as_os_str().as_bytes().to_vec(),
            stamp: now(),
            slop_limit: u64::try_from(slop_limit).unwrap_or(0),
            connected,
        }))
    }

    /// The nonce to give out.
    pub(crate) fn issued(&self) -> String {
        self.at(self.stamp)
    }

    fn at(&self, stamp: u64) -> String {
        let text = [&self.name[..], b":", stamp.to_string().as_bytes()].concat();
        let tag = hmac::sign(&self.key, &text);
        let hex: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{stamp}-{hex}")
    }

    /// What to think of the nonce in a certificate.
    pub(crate) fn check(nonce: Option<&Nonce>, given: Option<&[u8]>) -> NonceCheck {
        let issued = nonce.map(Nonce::issued);
        let verdict = |status| NonceCheck {
            nonce: issued.clone(),
            status,
            slop: None,
        };
        let Some(given) = given else {
            return verdict("MISSING");
        };
        let Some(nonce) = nonce else {
            return verdict("UNSOLICITED");
        };
        if issued.as_deref().map(str::as_bytes) == Some(given) {
            return verdict("OK");
        }
        if nonce.connected {
            return verdict("BAD");
        }
        // Another call gave it out, for the request before this one.
        let text = String::from_utf8_lossy(given);
        let stamp = text
            .split_once('-')
            .and_then(|(stamp, _)| stamp.parse::<u64>().ok());
        let Some(stamp) = stamp.filter(|stamp| *stamp > 0) else {
            return verdict("BAD");
        };
        let expected = nonce.at(stamp);
        let is_ours = expected.len() == given.len()
            && expected
                .bytes()
                .zip(given)
                .fold(0, |differs, (ours, theirs)| differs | (ours ^ theirs))
                == 0;
        if !is_ours {
            return verdict("BAD");
        }
        let slop = nonce.stamp.abs_diff(stamp);
        if nonce.slop_limit > 0 && slop <= nonce.slop_limit {
            return NonceCheck {
                nonce: Some(expected),
                status: "OK",
                slop: None,
            };
        }
        NonceCheck {
            slop: Some(nonce.stamp.wrapping_sub(stamp) as i64),
            ..verdict("SLOP")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(stamp: u64, slop_limit: u64, connected: bool) -> Nonce {
        Nonce {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"sekrit"),
            name: b"dst".to_vec(),
            stamp,
            slop_limit,
            connected,
        }
    }

    #[test]
    fn only_what_was_given_out_is_taken_and_only_for_a_while() {
        let given = nonce(1000, 0, false).issued();
        let check = |nonce: &Nonce| Nonce::check(Some(nonce), Some(given.as_bytes()));
        assert_eq!(check(&nonce(1000, 0, true)).status, "OK");
        assert_eq!(check(&nonce(1010, 60, true)).status, "BAD");
        let late = check(&nonce(1010, 0, false));
        assert_eq!((late.status, late.slop), ("SLOP", Some(10)));
        let soon = check(&nonce(1010, 60, false));
        assert_eq!((soon.status, soon.nonce), ("OK", Some(given.clone())));
        assert_eq!(
            Nonce::check(None, Some(given.as_bytes())).status,
            "UNSOLICITED"
        );
        let forged = format!("1001{}", &given[4..]);
        for bad in ["", "x", "-", &forged, &given[..20]] {
            let nonce = nonce(1010, 60, false);
            assert_eq!(
                Nonce::check(Some(&nonce), Some(bad.as_bytes())).status,
                "BAD",
                "{bad}"
            );
        }
        assert_eq!(
            Nonce::check(Some(&nonce(1, 0, true)), None).status,
            "MISSING"
        );
    }
}
