//! The programs in a repository's `hooks` folder.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use packhouse_wire::Messages;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::environment::Environment;

/// How often a silent hook has the connection looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Signals of which nobody is told that a hook died of them, as git does not: somebody has ended it, or it had no reader left.
const QUIET_SIGNALS: [Signal; 3] = [Signal::INT, Signal::QUIT, Signal::PIPE];

/// Where hooks are, and what they are run with.
#[derive(Clone, Debug)]
pub(super) struct Hooks {
    /// As they are called: the path may begin in `git_dir`, where they run.
    folder: PathBuf,
    git_dir: PathBuf,
    environment: Environment,
    /// Whether it is told which hooks are there and may not be run.
    advises: bool,
    /// Those of which it has been told.
    told: Arc<Mutex<BTreeSet<String>>>,
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
            advises: true,
            told: Arc::default(),
        }
    }

    /// Says of a hook that is there and may not be run that it is passed over, or not: `advice.ignoredHook`.
    pub(super) fn advising(mut self, advises: bool) -> Hooks {
        self.advises = advises;
        self
    }

    /// What they are run with.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Whether there is such a hook, and it may be run.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The program of a hook that may be run, as it is called where hooks run.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = self.folder.join(name);
        match access(self.git_dir.join(&path), Access::EXEC_OK) {
            Ok(()) => Some(path),
            Err(error) => {
                if error == Errno::ACCESS && self.advises {
                    self.advise(name, &path);
                }
                None
            }
        }
    }

    /// Says on standard error that a hook is passed over, once, as git does.
    fn advise(&self, name: &str, path: &Path) {
        let told = self.told.lock();
        let mut told = told.unwrap_or_else(PoisonError::into_inner);
        if told.insert(name.to_owned()) {
            say_here(&format!(
                "hint: The '{}' hook was ignored because it's not set as executable.\n\
                 hint: You can disable this warning with `git config advice.ignoredHook false`.\n",
                path.display()
            ));
        }
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
        match run(program, command, &call, messages)? {
            // A script without a first line that says what runs it.
            Err(error) if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                let mut shell = self.command(Path::new("sh"));
                shell.arg(program).args(&call.arguments);
                run(program, shell, &call, messages)
            }
            done => Ok(done),
        }
    }
}

/// Says on standard error that a program could not be started: that is the host's to know.
pub(super) fn not_started(program: &Path, error: &io::Error) {
    say_here(&format!(
        "error: cannot run {}: {error}\n",
        program.display()
    ));
}

/// Whether a program that has ended agreed. If a signal ended it, that is said on standard error, as by git.
pub(super) fn has_agreed(program: &Path, status: ExitStatus) -> bool {
    let is_quiet = |signal: i32| QUIET_SIGNALS.iter().any(|quiet| quiet.as_raw() == signal);
    if let Some(signal) = status.signal().filter(|signal| !is_quiet(*signal)) {
        say_here(&format!(
            "error: {} died of signal {signal}\n",
            program.display()
        ));
    }
    status.success()
}

fn say_here(text: &str) {
    // Nobody is left to tell if that is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn run(
    program: &Path,
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
    Ok(Ok(has_agreed(program, status)))
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
