//! Push certificates: what a client says it pushes, signed.

use crate::error::{WireError, quote};

/// The lines a signature begins with.
const BEGINNINGS: [&[u8]; 4] = [
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
    b"-----BEGIN SSH SIGNATURE-----",
];

/// A certificate: headers, an empty line, the commands, a signature of all that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushCertificate {
    text: Vec<u8>,
    commands_at: usize,
    signature_at: usize,
}

impl PushCertificate {
    /// Reads the text of a certificate, whose signature may be missing or no signature at all.
    pub fn parse(text: Vec<u8>) -> Result<PushCertificate, WireError> {
        let signature_at = signature_at(&text);
        let commands_at = text
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .map(|at| at + 2)
            .filter(|at| *at <= signature_at)
            .ok_or_else(|| {
                WireError::refused(format!("malformed push certificate {}", quote(&text)))
            })?;
        Ok(PushCertificate {
            text,
            commands_at,
            signature_at,
        })
    }

    /// All of it.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is signed.
    pub fn payload(&self) -> &[u8] {
        &self.text[..self.signature_at]
    }

    /// The signature; empty where there is none.
    pub fn signature(&self) -> &[u8] {
        &self.text[self.signature_at..]
    }

    /// The values of the headers of one name, in order.
    pub fn headers<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c [u8]> {
        let headers = &self.text[..self.commands_at - 2];
        headers
            .split(|byte| *byte == b'\n')
            .filter_map(move |line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "))
    }

    /// The lines of the commands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &[u8]> {
        self.text[self.commands_at..self.signature_at]
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
    }
}

/// Where the last line is that begins a signature; the end if there is none.
fn signature_at(text: &[u8]) -> usize {
    let mut start = 0;
    let mut found = text.len();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if BEGINNINGS
            .iter()
            .any(|beginning| line.starts_with(beginning))
        {
            found = start;
        }
        start += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_certificate_without_commands_or_signature_is_read_and_one_without_headers_is_not() {
        let read = PushCertificate::parse(b"pusher a\n\n".to_vec()).unwrap();
        assert_eq!(read.commands().count(), 0);
        assert_eq!(read.signature(), b"");
        assert_eq!(read.headers("pusher").collect::<Vec<_>>(), [b"a"]);
        assert!(PushCertificate::parse(b"pusher a\n".to_vec()).is_err());
        // Where the signature begins before the commands do, there is nothing that was signed.
        let early = b"-----BEGIN PGP SIGNATURE-----\n\nx\n".to_vec();
        assert!(PushCertificate::parse(early).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_the_whole(text in "(a|\n|-----BEGIN SSH SIGNATURE-----| ){0,12}") {
            if let Ok(read) = PushCertificate::parse(text.clone().into_bytes()) {
                let parts = [read.payload(), read.signature()].concat();
                prop_assert_eq!(parts, text.into_bytes());
                prop_assert!(read.commands().all(|line| !line.is_empty()));
            }
        }
    }
}
