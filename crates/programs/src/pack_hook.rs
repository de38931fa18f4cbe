//! `uploadpack.packObjectsHook`: a command that makes packs in the place of this program.
//!
//! It is called with the command that git would have called, which it mostly runs in the end. Like git, only settings are heeded that
//! no repository can make.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use bstr::{BString, ByteSlice};
use packhouse_repo::directory::Served;
use packhouse_wire::{Messages, PackProgram};

use crate::config::Config;
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::shell::set_command;

/// How often a silent command has the connection looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The command, and what it has around it.
#[derive(Debug)]
pub(crate) struct PackHook {
    command: BString,
    git_dir: PathBuf,
    environment: Environment,
}

/// What the command has written.
enum Piece {
    Pack(Vec<u8>),
    Said(Vec<u8>),
}

impl PackHook {
    /// The command that is set, if one is.
    pub(crate) fn find(
        repository: &Served,
        environment: &Environment,
    ) -> Result<Option<PackHook>, ProgramError> {
        let config = Config::protected(environment)?;
        let command = config.text("uploadpack.packobjectshook");
        Ok(command.map(|command| PackHook {
            command: command.to_owned(),
            git_dir: repository.own_dir().to_owned(),
            environment: environment.clone(),
        }))
    }

    fn command(&self) -> Command {
        let mut command = set_command(self.command.as_bstr());
        command
            .current_dir(&self.git_dir)
            .env_clear()
            .envs(self.environment.iter())
            .env("GIT_DIR", ".")
            .arg("git");
        command
    }
}

impl PackProgram for PackHook {
    fn run(
        &self,
        arguments: &[Vec<u8>],
        input: Vec<u8>,
        pack: &mut dyn Write,
        messages: &dyn Messages,
    ) -> io::Result<bool> {
        let arguments = arguments.iter().cloned().map(OsString::from_vec);
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let relayed = relay(&mut child, &input, pack, messages);
        let status = child.wait()?;
        relayed?;
        Ok(status.success())
    }
}

/// Passes on what the command writes until it can write no more, and keeps the connection alive meanwhile. The command is ended
/// where nobody takes what it makes.
fn relay(
    child: &mut Child,
    input: &[u8],
    pack: &mut dyn Write,
    messages: &dyn Messages,
) -> io::Result<()> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        // It need not read what it is given.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let (send, pieces) = sync_channel(4);
        let said = send.clone();
        scope.spawn(move || stdout.map(|stdout| read(stdout, &send, Piece::Pack)));
        scope.spawn(move || stderr.map(|stderr| read(stderr, &said, Piece::Said)));
        loop {
            match pieces.recv_timeout(LOOK_EVERY) {
                Ok(Piece::Pack(bytes)) => {
                    if let Err(error) = pack.write_all(&bytes) {
                        // It may have begun others, which have its pipes. With `pieces` gone they are closed at what comes
                        // next, and whoever writes into them is ended.
                        let _ = child.kill();
                        return Err(error);
                    }
                }
                Ok(Piece::Said(text)) if messages.are_seen() => messages.show(&text),
                // Nobody is left to tell if that is closed.
                Ok(Piece::Said(text)) => drop(io::stderr().write_all(&text)),
                Err(RecvTimeoutError::Timeout) => messages.keep_alive(),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
}

fn read(
    mut from: impl Read,
    to: &SyncSender<Piece>,
    piece: fn(Vec<u8>) -> Piece,
) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; 32 << 10];
        let count = match from.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        bytes.truncate(count);
        if count == 0 || to.send(piece(bytes)).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that goes at the first byte.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Messages for Gone {
        fn show(&self, _: &[u8]) {}

        fn are_seen(&self) -> bool {
            true
        }

        fn keep_alive(&self) {}
    }

    #[test]
    fn what_the_command_began_ends_when_nobody_takes_what_it_makes() {
        let folder = tempfile::tempdir().unwrap();
        let all = folder.path().join("all");
        // The shell waits for another process, which is not killed with it.
        let script = r#"(head -c 50000000 /dev/zero && touch "$0"); true"#;
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(&all)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let relayed = relay(&mut child, b"", &mut Gone, &Gone);
        assert_eq!(relayed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!child.wait().unwrap().success());
        assert!(!all.exists());
    }
}
