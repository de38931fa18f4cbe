//! `ssh://`: the system's program makes the connection and runs Git's program at the other end.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use packhouse_wire::{Service, Version};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::conversation::Conversation;
use super::edge::{Edge, EdgeReader, EdgeWriter};
use super::error::{Failures, means_not_found};
use super::options::{Messages, SshCommand, SshOptions, SshVariant};
use super::protocol::shown;
use super::url::Host;
use super::{RemoteError, RemoteOptions};

/// How long a program may take to end after the connection did.
const ENDING: Duration = Duration::from_secs(3);
/// The most that is kept of what it says.
const SAID_BYTES: usize = 4096;
/// Variables that would turn a `git` at the other end of a pipe to a repository of the caller's.
const GIT_VARIABLES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_CONFIG_PARAMETERS",
];

/// Runs `service` on the host.
pub(crate) fn connect<'p>(
    host: &Host,
    service: Service,
    version: Version,
    options: &RemoteOptions,
    failures: Failures,
    edge: Edge<'p>,
) -> Result<Conversation<'p>, RemoteError> {
    let _entered = edge.handle().enter();
    let variant = variant_of(&options.ssh, host, &edge, &failures)?;
    let mut command = command(
        &options.ssh.command,
        &arguments(host, service, version, variant, &failures)?,
    );
    for variable in GIT_VARIABLES {
        command.env_remove(variable);
    }
    if version == Version::V2 {
        command.env("GIT_PROTOCOL", "version=2");
    } else {
        command.env_remove("GIT_PROTOCOL");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let program = program_name(&options.ssh.command);
    let mut child = command.spawn().map_err(|error| RemoteError::Program {
        program: program.clone(),
        url: failures.url.clone(),
        reason: error.to_string(),
    })?;
    let taken = "it was asked for above";
    let reader = EdgeReader::new(child.stdout.take().expect(taken), &edge);
    let writer = EdgeWriter::new(child.stdin.take().expect(taken), &edge);
    let said = Arc::new(Mutex::new(String::new()));
    let listening = edge.handle().spawn(listen(
        child.stderr.take().expect(taken),
        said.clone(),
        options.messages.clone(),
    ));
    let process = Process {
        child,
        said,
        listening: Some(listening),
        program,
        edge: edge.fresh(),
    };
    Ok(Conversation::stream(
        failures,
        edge,
        reader,
        writer,
        Some(process),
    ))
}

/// The running program. Dropping it ends the program.
pub(crate) struct Process<'p> {
    child: Child,
    said: Arc<Mutex<String>>,
    listening: Option<tokio::task::JoinHandle<()>>,
    program: String,
    edge: Edge<'p>,
}

impl Process<'_> {
    /// What the program's end says about a connection that broke; `None` if nothing.
    pub(crate) fn explain(&mut self, failures: &Failures) -> Option<RemoteError> {
        let status = self
            .edge
            .wait_within(ENDING, self.child.wait())
            .ok()?
            .ok()?;
        if let Some(listening) = self.listening.take() {
            // What it said last may still be on its way.
            let _ = self.edge.wait_within(ENDING, listening);
        }
        let said = self
            .said
            .lock()
            .map(|said| said.trim().to_owned())
            .unwrap_or_default();
        let url = failures.url.clone();
        if means_not_found(&said) {
            return Some(RemoteError::RepositoryNotFound { url, reason: said });
        }
        if said.contains("Permission denied") || said.contains("Host key verification failed") {
            return Some(RemoteError::AuthenticationFailed { url });
        }
        (!status.success()).then(|| RemoteError::Program {
            program: self.program.clone(),
            url,
            reason: match said.is_empty() {
                true => status.to_string(),
                false => said,
            },
        })
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // Its pipes are closed, so it ends by itself; at the other end, hooks may still be running.
        let begun = Instant::now();
        while !matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
            if begun.elapsed() >= ENDING || self.edge.check().is_err() {
                // Whoever is killed is collected by the runtime.
                let _ = self.child.start_kill();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn listen(
    stderr: impl AsyncRead + Unpin,
    said: Arc<Mutex<String>>,
    messages: Option<Messages>,
) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // One line that never ends must not fill memory.
        let mut limited = tokio::io::AsyncReadExt::take(&mut lines, SAID_BYTES as u64);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = shown(&line);
        if let Some(messages) = &messages {
            messages(&line);
        }
        if let Ok(mut said) = said.lock() {
            said.push_str(&line);
            said.push('\n');
            while said.len() > SAID_BYTES {
                let end = said.find('\n').map_or(said.len(), |end| end + 1);
                said.drain(..end);
            }
        }
    }
}

fn program_name(command: &SshCommand) -> String {
    match command {
        SshCommand::Default => "ssh".to_owned(),
        SshCommand::Program(program) | SshCommand::Shell(program) => {
            program.to_string_lossy().into_owned()
        }
    }
}

/// The program with its arguments, by way of the shell where it is a command line.
fn command(ssh: &SshCommand, arguments: &[OsString]) -> Command {
    let mut command = match ssh {
        SshCommand::Default => Command::new("ssh"),
        SshCommand::Program(program) => Command::new(program),
        SshCommand::Shell(line) => {
            let mut script = line.clone();
            script.push(" \"$@\"");
            let mut command = Command::new("sh");
            command.arg("-c").arg(script).arg(line);
            command
        }
    };
    command.args(arguments);
    command
}

fn arguments(
    host: &Host,
    service: Service,
    version: Version,
    variant: SshVariant,
    failures: &Failures,
) -> Result<Vec<OsString>, RemoteError> {
    let mut arguments: Vec<OsString> = Vec::new();
    if variant == SshVariant::OpenSsh && version == Version::V2 {
        arguments.extend(["-o".into(), "SendEnv=GIT_PROTOCOL".into()]);
    }
    if variant == SshVariant::TortoisePlink {
        arguments.push("-batch".into());
    }
    if let Some(port) = host.port {
        let flag = match variant {
            SshVariant::OpenSsh | SshVariant::Auto => "-p",
            SshVariant::Plink | SshVariant::TortoisePlink => "-P",
            SshVariant::Simple => {
                return Err(failures.unsupported("a port: the SSH program takes no options"));
            }
        };
        arguments.extend([flag.into(), port.to_string().into()]);
    }
    arguments.push(destination(host).into());
    arguments.push(format!("{} {}", service.as_str(), quoted(host.remote_path())).into());
    Ok(arguments)
}

fn destination(host: &Host) -> String {
    match &host.user {
        Some(user) => format!("{user}@{}", host.name),
        None => host.name.clone(),
    }
}

/// A word for the shell at the other end. `!` is quoted apart: some shells look for it inside of quotes.
fn quoted(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('\'');
    for c in word.chars() {
        match c {
            '\'' | '!' => {
                out.push_str("'\\");
                out.push(c);
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

fn variant_of(
    options: &SshOptions,
    host: &Host,
    edge: &Edge<'_>,
    failures: &Failures,
) -> Result<SshVariant, RemoteError> {
    if options.variant != SshVariant::Auto {
        return Ok(options.variant);
    }
    let program = match &options.command {
        SshCommand::Default => return Ok(SshVariant::OpenSsh),
        SshCommand::Program(program) => program.clone(),
        SshCommand::Shell(line) => first_word(line),
    };
    let name = Path::new(&program).file_stem().unwrap_or(OsStr::new(""));
    match name.to_string_lossy().to_ascii_lowercase().as_str() {
        "ssh" => return Ok(SshVariant::OpenSsh),
        "plink" | "putty" => return Ok(SshVariant::Plink),
        "tortoiseplink" => return Ok(SshVariant::TortoisePlink),
        _ => {}
    }
    // As Git: a program that can print its configuration for the host understands OpenSSH's options.
    let mut trial = command(&options.command, &["-G".into(), destination(host).into()]);
    trial
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let understood = match edge.wait(trial.status()) {
        Ok(Ok(status)) => status.success(),
        Ok(Err(error)) => {
            return Err(RemoteError::Program {
                program: program_name(&options.command),
                url: failures.url.clone(),
                reason: error.to_string(),
            });
        }
        Err(super::error::Ended::Cancelled) => return Err(RemoteError::Cancelled),
        Err(_) => false,
    };
    Ok(match understood {
        true => SshVariant::OpenSsh,
        false => SshVariant::Simple,
    })
}

/// The program of a command line, as far as quotes let it be seen.
fn first_word(line: &OsStr) -> OsString {
    let line = line.to_string_lossy();
    let line = line.trim_start();
    let word = match line.chars().next() {
        Some(quote @ ('"' | '\'')) => line[1..].split(quote).next(),
        _ => line.split_whitespace().next(),
    };
    word.unwrap_or("").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_any_shell() {
        assert_eq!(quoted("/a b/$x"), "'/a b/$x'");
        assert_eq!(quoted("it's!"), "'it'\\''s'\\!''");
    }

    #[test]
    fn the_first_word_names_the_program() {
        for (line, word) in [
            ("ssh -i key", "ssh"),
            ("  '/opt/my ssh/ssh' -v", "/opt/my ssh/ssh"),
            ("\"plink\" -x", "plink"),
            ("", ""),
        ] {
            assert_eq!(first_word(OsStr::new(line)), word);
        }
    }

    #[test]
    fn ports_are_given_as_each_program_takes_them() {
        let host = Host {
            user: Some("git".to_owned()),
            name: "h".to_owned(),
            port: Some(22),
            path: "/x".to_owned(),
        };
        let failures = Failures { url: String::new() };
        let of = |variant| {
            arguments(&host, Service::UploadPack, Version::V2, variant, &failures)
                .map(|words| words.join(OsStr::new(" ")).into_string().unwrap())
                .ok()
        };
        assert_eq!(
            of(SshVariant::OpenSsh).as_deref(),
            Some("-o SendEnv=GIT_PROTOCOL -p 22 git@h git-upload-pack '/x'")
        );
        assert_eq!(
            of(SshVariant::TortoisePlink).as_deref(),
            Some("-batch -P 22 git@h git-upload-pack '/x'")
        );
        assert_eq!(of(SshVariant::Simple), None);
    }
}
