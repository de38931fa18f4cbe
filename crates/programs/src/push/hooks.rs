//! The programs in a repository's `hooks` folder.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use packhouse_wire::Messages;

use crate::environment::Environment;

/// How often a silent hook has the connection looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where hooks are, and what they are run with.
#[derive(Clone, Debug)]
pub(super) struct Hooks {
    folder: PathBuf,
    git_dir: PathBuf,
    environment: Environment,
}

/// What one hook is given.
#[derive(Debug, Default)]
pub(super) struct HookCall<'a> {
    pub(super) name: &'static str,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: &'a [(String, OsString)],
    /// What it can read; `None`: nothing.
    pub(super) input: Option<Vec<u8>>,
}

impl Hooks {
    pub(super) fn new(folder: PathBuf, git_dir: PathBuf, environment: Environment) -> Hooks {
        Hooks {
            folder,
            git_dir,
            environment,
        }
    }

    /// What they are run with.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether there is such a hook, and it may be run.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The program of a hook that may be run.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        let is_executable = path
            .metadata()
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        is_executable.then_some(path)
    }

    /// Runs a hook if there is one, and shows the client what it says. Returns whether it agreed; one that cannot be
    /// started does not.
    pub(super) fn run(&self, call: HookCall<'_>, messages: &dyn Messages) -> io::Result<bool> {
        let Some(path) = self.find(call.name) else {
            return Ok(true);
        };
        match self.run_program(&path, call, messages)? {
            Ok(agreed) => Ok(agreed),
            Err(error) => {
                not_started(&path, &error);
                Ok(false)
            }
        }
    }

    /// A command with what hooks have around them.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.git_dir)
            .env_clear()
            .envs(self.environment.iter())
            .env("GIT_DIR", ".");
        command
    }

    /// Runs another program in the place of a hook. Returns whether it agreed, or why it could not be started.
    pub(super) fn run_program(
        &self,
        program: &Path,
        call: HookCall<'_>,
        messages: &dyn Messages,
    ) -> io::Result<io::Result<bool>> {
        let mut command = self.command(program);
        command.args(&call.arguments);
        match run(command, &call, messages)? {
            // A script without a first line that says what runs it.
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) =>
            {
                let mut shell = self.command(Path::new("sh"));
                shell.arg(program).args(&call.arguments);
                run(shell, &call, messages)
            }
            done => Ok(done),
        }
    }
}

/// Says on standard error that a program could not be started: that is the host's to know.
pub(super) fn not_started(program: &Path, error: &io::Error) {
    let text = format!("error: cannot run {}: {error}\n", program.display());
    // Nobody is left to tell if that is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn run(
    mut command: Command,
    call: &HookCall<'_>,
    messages: &dyn Messages,
) -> io::Result<io::Result<bool>> {
    command.envs(call.variables.iter().map(|(name, value)| (name, value)));
    command.stdin(match call.input {
        Some(_) => Stdio::piped(),
        None => Stdio::null(),
    });
    let said = match messages.are_seen() {
        true => {
            let (said, write) = io::pipe()?;
            command.stdout(write.try_clone()?).stderr(write);
            Some(said)
        }
        false => {
            let stderr = io::stderr().as_fd().try_clone_to_owned()?;
            command.stdout(stderr).stderr(Stdio::inherit());
            None
        }
    };
    let started = command.spawn();
    // It holds the other end of what is read.
    drop(command);
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ok(Err(error)),
    };
    let input = call.input.as_deref();
    let relayed = relay(&mut child, input, said, messages);
    let status = child.wait()?;
    relayed?;
    Ok(Ok(status.success()))
}

fn relay(
    child: &mut Child,
    input: Option<&[u8]>,
    said: Option<io::PipeReader>,
    messages: &dyn Messages,
) -> io::Result<()> {
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        let feeding = scope.spawn(move || match (stdin, input) {
            (Some(mut stdin), Some(input)) => match stdin.write_all(input) {
                // It need not read what it is given.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                written => written,
            },
            _ => Ok(()),
        });
        let read = show(said, messages);
        let fed = feeding
            .join()
            .unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        read.and(fed)
    })
}

/// Shows the client what is said until nobody can say more, and keeps the connection alive meanwhile.
pub(super) fn show(said: Option<io::PipeReader>, messages: &dyn Messages) -> io::Result<()> {
    let Some(mut said) = said else {
        return Ok(());
    };
    thread::scope(|scope| {
        let (send, pieces) = sync_channel::<Vec<u8>>(4);
        let reading = scope.spawn(move || -> io::Result<()> {
            loop {
                let mut piece = vec![0; 8 << 10];
                let count = match said.read(&mut piece) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    count => count?,
                };
                piece.truncate(count);
                if count == 0 || send.send(piece).is_err() {
                    return Ok(());
                }
            }
        });
        loop {
            match pieces.recv_timeout(LOOK_EVERY) {
                Ok(piece) => messages.show(&piece),
                Err(RecvTimeoutError::Timeout) => messages.keep_alive(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let read = reading.join();
        read.unwrap_or_else(|_| Err(ErrorKind::Other.into()))
    })
}
