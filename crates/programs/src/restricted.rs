//! What a key of `authorized_keys` may run: these two programs, and nothing else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use packhouse_wire::Service;

/// A command that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictedCommand {
    /// The program.
    pub service: Service,
    /// The repository it is for.
    pub dir: PathBuf,
}

/// Reads `SSH_ORIGINAL_COMMAND`, which clients write as `git-upload-pack '/path'` or `git upload-pack '/path'`. `None`: it is
/// something else, be it one of the programs with options.
pub fn restricted_command(command: &[u8]) -> Option<RestrictedCommand> {
    let command = command.trim_ascii_start();
    let (service, rest) = [Service::UploadPack, Service::ReceivePack]
        .into_iter()
        .find_map(|service| {
            let dashed = service.as_str();
            let spaced = dashed.replacen('-', " ", 1);
            let rest = command
                .strip_prefix(dashed.as_bytes())
                .or_else(|| command.strip_prefix(spaced.as_bytes()))?;
            Some((service, rest.strip_prefix(b" ")?))
        })?;
    let dir = unquoted(rest.trim_ascii())?;
    // A name that begins with a dash is an option to whoever is careless with it.
    if dir.is_empty() || dir.starts_with(b"-") || dir.contains(&0) {
        return None;
    }
    Some(RestrictedCommand {
        service,
        dir: OsString::from_vec(dir).into(),
    })
}

/// One word as a shell reads it, without any of what makes a shell do more.
fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => loop {
                match bytes.next()? {
                    b'\'' => break,
                    inner => word.push(inner),
                }
            },
            b'\\' => word.push(bytes.next().filter(|byte| matches!(byte, b'\'' | b'!'))?),
            // No shell sees anything in bytes of other letters.
            0x80.. => word.push(byte),
            _ if byte.is_ascii_alphanumeric() || b"/._-~+@:".contains(&byte) => word.push(byte),
            _ => return None,
        }
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn exactly_two_programs_with_one_repository_are_allowed() {
        let read = |command: &str| {
            let allowed = restricted_command(command.as_bytes());
            allowed.map(|allowed| (allowed.service, allowed.dir))
        };
        let upload = |dir: &str| Some((Service::UploadPack, PathBuf::from(dir)));
        assert_eq!(read("git-upload-pack '/a/b.git'"), upload("/a/b.git"));
        assert_eq!(read("git upload-pack 'a b'"), upload("a b"));
        assert_eq!(read("git-upload-pack /a"), upload("/a"));
        assert_eq!(read("git-upload-pack 'it'\\''s'"), upload("it's"));
        assert_eq!(
            read("git-receive-pack '~/x'"),
            Some((Service::ReceivePack, "~/x".into()))
        );
        let allowed = restricted_command(b"git-upload-pack 'caf\xe9'").unwrap();
        assert_eq!(allowed.dir.as_os_str().as_bytes(), b"caf\xe9");
        for refused in [
            "",
            "git-upload-pack",
            "git-upload-pack ''",
            "git-upload-archive '/a'",
            "git-upload-packs '/a'",
            "git-upload-pack '/a'; id",
            "git-upload-pack $(id)",
            "git-upload-pack '/a' '/b'",
            "git-upload-pack --timeout=1 '/a'",
            "git-upload-pack '--strict'",
            "git-upload-pack '/a",
            "git-upload-pack \"/a\"",
            "git-upload-pack /a\nid",
            "sh -c id",
        ] {
            assert_eq!(read(refused), None, "{refused:?}");
        }
    }
}
