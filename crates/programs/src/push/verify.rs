//! Signatures, checked by the programs that the configuration names, as Git has them checked.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use bstr::ByteSlice;
use packhouse_wire::PushCertificate;
use tempfile::NamedTempFile;

use crate::config::{Config, home, interpolated};
use crate::environment::Environment;

/// What a signature is checked with.
#[derive(Clone, Debug)]
pub(super) struct Signatures {
    openpgp: OsString,
    x509: OsString,
    ssh: OsString,
    allowed_signers: Option<PathBuf>,
    revoked: Option<PathBuf>,
    environment: Environment,
}

/// What is known of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// Git's letter: `G` for a good one, `B` for a bad one, `N` for none, and others.
    pub(super) result: char,
    pub(super) signer: Vec<u8>,
    pub(super) key: Vec<u8>,
}

impl Verified {
    fn none(result: char) -> Verified {
        Verified {
            result,
            signer: Vec::new(),
            key: Vec::new(),
        }
    }
}

impl Signatures {
    pub(super) fn new(config: &Config, environment: &Environment) -> Signatures {
        let home = home(environment);
        let path = |name: &str| {
            let value = config.text(name)?;
            Some(interpolated(value, home.as_deref()))
        };
        let program = |names: &[&str], default: &str| {
            names
                .iter()
                .find_map(|name| path(name).filter(|path| !path.as_os_str().is_empty()))
                .map_or_else(|| default.into(), PathBuf::into_os_string)
        };
        Signatures {
            openpgp: program(&["gpg.openpgp.program", "gpg.program"], "gpg"),
            x509: program(&["gpg.x509.program"], "gpgsm"),
            ssh: program(&["gpg.ssh.program"], "ssh-keygen"),
            allowed_signers: path("gpg.ssh.allowedsignersfile"),
            revoked: path("gpg.ssh.revocationfile"),
            environment: environment.clone(),
        }
    }

    /// Checks the signature of a certificate. One that cannot be checked counts as none.
    pub(super) fn verify(&self, certificate: &PushCertificate) -> Verified {
        let (signature, payload) = (certificate.signature(), certificate.payload());
        let checked = match signature {
            [] => Ok(Verified::none('N')),
            _ if signature.starts_with(b"-----BEGIN SSH") => self.verify_ssh(signature, payload),
            _ if signature.starts_with(b"-----BEGIN SIGNED") => {
                self.verify_gpg(&self.x509, signature, payload)
            }
            _ => self.verify_gpg(&self.openpgp, signature, payload),
        };
        checked.unwrap_or_else(|_| Verified::none('N'))
    }

    fn verify_gpg(
        &self,
        program: &OsString,
        signature: &[u8],
        payload: &[u8],
    ) -> io::Result<Verified> {
        let file = kept(signature)?;
        let mut command = self.command(program);
        command
            .args(["--status-fd=1", "--keyid-format=long", "--verify"])
            .arg(file.path())
            .arg("-");
        let (_, status) = run(command, payload)?;
        Ok(read_gpg_status(&status))
    }

    fn verify_ssh(&self, signature: &[u8], payload: &[u8]) -> io::Result<Verified> {
        // A list that is not there has no signer in it, and one that nobody has named leaves open who is.
        let Some(allowed) = self.allowed_signers.as_deref() else {
            return Ok(Verified::none('N'));
        };
        let file = kept(signature)?;
        let mut find = self.command(&self.ssh);
        find.args(["-Y", "find-principals", "-f"])
            .arg(allowed)
            .arg("-s")
            .arg(file.path());
        let (found, principals) = run(find, b"")?;
        if !found || principals.trim_ascii().is_empty() {
            let mut check = self.command(&self.ssh);
            check
                .args(["-Y", "check-novalidate", "-n", "git", "-s"])
                .arg(file.path());
            let (_, said) = run(check, payload)?;
            return Ok(read_ssh_answer(&said));
        }
        let mut last = Verified::none('B');
        for principal in principals.lines().filter(|line| !line.is_empty()) {
            let mut verify = self.command(&self.ssh);
            verify
                .args(["-Y", "verify", "-n", "git", "-f"])
                .arg(allowed)
                .arg("-I")
                .arg(principal.to_os_str_lossy())
                .arg("-s")
                .arg(file.path());
            if let Some(revoked) = self.revoked.as_deref().filter(|path| path.exists()) {
                verify.arg("-r").arg(revoked);
            }
            let (good, said) = run(verify, payload)?;
            last = read_ssh_answer(&said);
            if good {
                return Ok(last);
            }
            last.result = 'B';
        }
        Ok(last)
    }

    fn command(&self, program: &OsString) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment.iter());
        // What is read from their answers is in this language.
        command.env("LC_ALL", "C");
        command
    }
}

fn kept(signature: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new()
        .prefix(".git_vtag_tmp")
        .tempfile()?;
    file.write_all(signature)?;
    file.flush()?;
    Ok(file)
}

/// Whether the program succeeded, and what it printed.
fn run(mut command: Command, input: &[u8]) -> io::Result<(bool, Vec<u8>)> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that has seen enough has its answer ready.
                let _ = stdin.write_all(input);
            }
        });
        let output = child.wait_with_output()?;
        Ok((output.status.success(), output.stdout))
    })
}

/// The lines for programs that `gpg` prints.
fn read_gpg_status(status: &[u8]) -> Verified {
    let mut verified = Verified::none('N');
    let mut verdicts = 0;
    for line in status.lines() {
        let Some(line) = line.strip_prefix(b"[GNUPG:] ") else {
            continue;
        };
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let result = match words.next() {
            Some(b"GOODSIG") => 'G',
            Some(b"BADSIG") => 'B',
            Some(b"ERRSIG") => 'E',
            Some(b"EXPSIG") => 'X',
            Some(b"EXPKEYSIG") => 'Y',
            Some(b"REVKEYSIG") => 'R',
            _ => continue,
        };
        verdicts += 1;
        verified.result = result;
        verified.key = words.next().unwrap_or_default().to_vec();
        verified.signer = match result {
            'E' => Vec::new(),
            _ => words.next().unwrap_or_default().to_vec(),
        };
    }
    // Two signatures that would have to be told apart.
    match verdicts {
        0 | 1 => verified,
        _ => Verified::none('E'),
    }
}

/// `Good "git" signature for SIGNER with TYPE key FINGERPRINT`, where a signer that is not known is left out.
fn read_ssh_answer(said: &[u8]) -> Verified {
    let line = said.lines().next().unwrap_or_default();
    let Some(rest) = line.strip_prefix(b"Good \"git\" signature ") else {
        return Verified::none('B');
    };
    let key = rest
        .rsplit_once_str(b" key ")
        .map_or(&b""[..], |(_, key)| key);
    let signer = rest
        .strip_prefix(b"for ")
        .and_then(|rest| rest.rsplit_once_str(b" with "))
        .map_or(&b""[..], |(signer, _)| signer);
    Verified {
        result: 'G',
        signer: signer.to_vec(),
        key: key.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_programs_are_read() {
        let good = b"[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 A U Thor <a@example.com>\n[GNUPG:] TRUST_ULTIMATE\n";
        let read = read_gpg_status(good);
        assert_eq!((read.result, &read.key[..]), ('G', &b"0123"[..]));
        assert_eq!(read.signer, b"A U Thor <a@example.com>");
        assert_eq!(read_gpg_status(b"[GNUPG:] BADSIG 01 A\n").result, 'B');
        assert_eq!(read_gpg_status(b"").result, 'N');
        assert_eq!(read_gpg_status(&good.repeat(2)).result, 'E');
        let read =
            read_ssh_answer(b"Good \"git\" signature for a with b@c with ED25519 key SHA256:xyz\n");
        assert_eq!((read.result, &read.signer[..]), ('G', &b"a with b@c"[..]));
        assert_eq!(read.key, b"SHA256:xyz");
        assert_eq!(
            read_ssh_answer(b"Good \"git\" signature with RSA key SHA256:q\n").key,
            b"SHA256:q"
        );
        assert_eq!(
            read_ssh_answer(b"Could not verify signature.\n").result,
            'B'
        );
    }

    #[test]
    fn a_program_that_is_not_there_leaves_the_signature_unchecked() {
        let text = b"pusher a\n\nx\n-----BEGIN PGP SIGNATURE-----\n".to_vec();
        let certificate = PushCertificate::parse(text).unwrap();
        let environment = Environment::default();
        let mut signatures = Signatures::new(&Config::default(), &environment);
        signatures.openpgp = "/no/such/program".into();
        assert_eq!(signatures.verify(&certificate), Verified::none('N'));
        let unsigned = PushCertificate::parse(b"pusher a\n\nx\n".to_vec()).unwrap();
        assert_eq!(signatures.verify(&unsigned).result, 'N');
    }
}
