//! The `proc-receive` hook: refs that a program of the repository's owner moves, or whatever else it does with them.
//!
//! Which refs, `receive.procReceiveRefs` says. The hook speaks pkt-lines: it is given the commands, and reports on each.

use std::io::{self, ErrorKind, Read};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;

use bstr::{BStr, ByteSlice};
use packhouse_wire::pktline::{Packet, PacketReader, PacketWriter};
use packhouse_wire::{Command, Messages, RefReport, parse_id};

use super::hooks::Hooks;
use super::update::{id_text, say_error};

/// The most lines of a report.
const MAX_LINES: usize = 1_000_000;

const NAME: &str = "proc-receive";

/// Which refs the hook is for.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcReceiveRefs(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    creations: bool,
    deletions: bool,
    changes: bool,
    is_negative: bool,
    prefix: Vec<u8>,
}

impl ProcReceiveRefs {
    /// Patterns as the configuration has them: a prefix, behind `a`, `d`, `m` and `!` with a colon if it is only for
    /// creations, deletions or changes, or for refs without the prefix.
    pub(super) fn new<'c>(values: impl Iterator<Item = &'c BStr>) -> ProcReceiveRefs {
        let patterns = values.map(|value| {
            let (flags, prefix) = match value.split_once_str(":") {
                Some((flags, prefix)) => (flags, prefix),
                None => (&b""[..], value.as_bytes()),
            };
            let has = |flag: u8| flags.contains(&flag);
            let all = !has(b'a') && !has(b'd') && !has(b'm');
            let mut prefix = prefix;
            while let Some(shorter) = prefix.strip_suffix(b"/") {
                prefix = shorter;
            }
            Pattern {
                creations: all || has(b'a'),
                deletions: all || has(b'd'),
                changes: all || has(b'm'),
                is_negative: has(b'!'),
                prefix: prefix.to_vec(),
            }
        });
        ProcReceiveRefs(patterns.collect())
    }

    pub(super) fn has(&self, command: &Command) -> bool {
        self.0.iter().any(|pattern| {
            let is_meant = match (command.old, command.new) {
                (None, _) => pattern.creations,
                (_, None) => pattern.deletions,
                _ => pattern.changes,
            };
            let rest = command.name.as_bytes().strip_prefix(&pattern.prefix[..]);
            let is_below = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            is_meant && is_below != pattern.is_negative
        })
    }
}

/// What the hook says of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Nothing yet.
    None,
    /// It is done, perhaps on other refs.
    Done(Vec<RefReport>),
    /// It is refused.
    Refused(String),
    /// It is to be done as if there were no such hook.
    Ordinary,
}

/// Runs the hook on commands; returns its report on each, and whether it kept to the protocol.
pub(super) fn run(
    hooks: &Hooks,
    commands: &[&Command],
    atomic: bool,
    options: Option<&[Vec<u8>]>,
    messages: &dyn Messages,
) -> io::Result<(Vec<Report>, bool)> {
    let mut reports = vec![Report::None; commands.len()];
    let Some(program) = hooks.find(NAME) else {
        say_error(messages, "cannot find hook 'proc-receive'");
        return Ok((reports, false));
    };
    let mut command = hooks.command(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let said = match messages.are_seen() {
        true => {
            let (said, write) = io::pipe()?;
            command.stderr(write);
            Some(said)
        }
        false => None,
    };
    let mut child = command.spawn()?;
    drop(command);
    let spoken = thread::scope(|scope| -> io::Result<bool> {
        let (sending, messages_of_hook) = std::sync::mpsc::channel::<Vec<u8>>();
        let reading = scope.spawn(move || {
            let Some(mut said) = said else {
                return;
            };
            let mut piece = vec![0; 8 << 10];
            loop {
                match said.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) if sending.send(piece[..count].to_vec()).is_ok() => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        });
        let streams = streams(&mut child);
        let conversing = scope.spawn(|| match streams {
            Some((input, output)) => {
                converse(input, output, commands, atomic, options, &mut reports)
            }
            None => Ok(vec!["proc-receive has no streams".to_owned()]),
        });
        for piece in messages_of_hook {
            messages.show(&piece);
        }
        let _ = reading.join();
        let complaints = conversing
            .join()
            .unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        match complaints {
            Ok(complaints) => {
                for complaint in &complaints {
                    say_error(messages, complaint);
                }
                Ok(complaints.is_empty())
            }
            Err(error) => {
                say_error(messages, &format!("proc-receive: {error}"));
                Ok(false)
            }
        }
    })?;
    let status = child.wait()?;
    Ok((reports, spoken && status.success()))
}

fn streams(child: &mut Child) -> Option<(ChildStdin, ChildStdout)> {
    Some((child.stdin.take()?, child.stdout.take()?))
}

/// Speaks with the hook. Returns what is wrong with what it says.
fn converse(
    mut input: ChildStdin,
    output: ChildStdout,
    commands: &[&Command],
    atomic: bool,
    options: Option<&[Vec<u8>]>,
    reports: &mut [Report],
) -> io::Result<Vec<String>> {
    let mut answers = PacketReader::new(output);
    let mut lines = PacketWriter::new(&mut input);
    let mut words = String::new();
    if atomic {
        words.push_str(" atomic");
    }
    if options.is_some() {
        words.push_str(" push-options");
    }
    match words.is_empty() {
        true => lines.text(format_args!("version=1\n"))?,
        false => lines.text(format_args!("version=1\0{}\n", words.trim_start()))?,
    }
    lines.flush()?;
    lines.send()?;
    let takes_options = match read_version(&mut answers)? {
        Ok(takes_options) => takes_options,
        Err(complaint) => return Ok(vec![complaint]),
    };
    for Command { name, old, new } in commands {
        let ids = format!("{} {} ", id_text(*old), id_text(*new));
        lines.data(&[ids.as_bytes(), name.as_bytes()])?;
    }
    lines.flush()?;
    if let (Some(options), true) = (options, takes_options) {
        for option in options {
            lines.data(&[option])?;
        }
        lines.flush()?;
    }
    lines.send()?;
    drop(lines);
    drop(input);
    read_report(&mut answers, commands, reports)
}

/// Whether the hook takes push options; or what is wrong with its answer.
fn read_version(answers: &mut PacketReader<'_>) -> io::Result<Result<bool, String>> {
    let mut version = 0;
    let mut takes_options = false;
    while let Packet::Data(line) = answers.require().map_err(io::Error::other)? {
        if let Some(rest) = line.strip_prefix(b"version=") {
            let mut parts = rest.splitn(2, |byte| *byte == 0);
            let number = parts.next().unwrap_or_default().trim();
            version = number
                .to_str()
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0);
            let words = parts.next().unwrap_or_default();
            takes_options |= words.fields().any(|word| word == b"push-options");
        }
    }
    Ok(match version {
        // One that does not say means the first.
        0 | 1 => Ok(takes_options),
        other => Err(format!("proc-receive version '{other}' is not supported")),
    })
}

fn read_report(
    answers: &mut PacketReader<'_>,
    commands: &[&Command],
    reports: &mut [Report],
) -> io::Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut current: Option<usize> = None;
    let mut is_new = false;
    for _ in 0..MAX_LINES {
        let Packet::Data(line) = answers.require().map_err(io::Error::other)? else {
            return Ok(complaints);
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (head, rest) = line.split_once_str(" ").unwrap_or((line, b""));
        let name = rest.split_once_str(" ").map_or(rest, |(name, _)| name);
        let shown = name.as_bstr();
        match head {
            b"option" => {
                let (key, value) = rest.split_once_str(" ").unwrap_or((rest, b""));
                let Some(at) = current else {
                    let text =
                        "proc-receive reported 'option' without a matching 'ok/ng' directive";
                    complaints.push(text.to_owned());
                    continue;
                };
                if key == b"fall-through" {
                    reports[at] = Report::Ordinary;
                    current = None;
                    continue;
                }
                let Report::Done(done) = &mut reports[at] else {
                    continue;
                };
                if std::mem::take(&mut is_new) || done.is_empty() {
                    done.push(RefReport::default());
                }
                let Some(report) = done.last_mut() else {
                    continue;
                };
                match key {
                    b"refname" => report.name = Some(value.to_vec()),
                    b"old-oid" => report.old = parse_id(value),
                    b"new-oid" => report.new = parse_id(value),
                    b"forced-update" => report.forced = true,
                    _ => {}
                }
            }
            b"ok" | b"ng" => {
                let found = commands
                    .iter()
                    .position(|command| command.name.as_bytes() == name);
                let Some(at) = found else {
                    complaints.push(format!(
                        "proc-receive reported status on unknown ref: {shown}"
                    ));
                    current = None;
                    continue;
                };
                current = Some(at);
                is_new = true;
                if head == b"ok" {
                    if !matches!(reports[at], Report::Done(_)) {
                        reports[at] = Report::Done(Vec::new());
                    }
                } else {
                    let why = rest
                        .split_once_str(" ")
                        .map_or(&b"failed"[..], |(_, why)| why);
                    reports[at] = Report::Refused(why.to_str_lossy().into_owned());
                    current = None;
                }
            }
            _ => {
                let line = line.as_bstr();
                complaints.push(format!(
                    "proc-receive reported incomplete status line: '{line}'"
                ));
            }
        }
    }
    complaints.push("proc-receive reported too much".to_owned());
    Ok(complaints)
}

#[cfg(test)]
mod tests {
    use packhouse_object::{ObjectId, RefName};

    use super::*;

    #[test]
    fn refs_are_chosen_by_prefix_and_by_what_becomes_of_them() {
        let id = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let command = |name: &str, old, new| Command {
            name: RefName::parse(name).unwrap(),
            old,
            new,
        };
        let refs = |values: &[&'static str]| ProcReceiveRefs::new(values.iter().map(BStr::new));
        let created = |name| command(name, None, Some(id));
        assert!(refs(&["refs/for/"]).has(&created("refs/for/main/x")));
        assert!(!refs(&["refs/for"]).has(&created("refs/forty/x")));
        let only_changes = refs(&["m:refs/heads"]);
        assert!(!only_changes.has(&created("refs/heads/x")));
        assert!(only_changes.has(&command("refs/heads/x", Some(id), Some(id))));
        assert!(!only_changes.has(&command("refs/heads/x", Some(id), None)));
        assert!(refs(&["!:refs/heads"]).has(&created("refs/tags/x")));
        assert!(!refs(&["!:refs/heads"]).has(&created("refs/heads/x")));
    }

    #[test]
    fn a_report_is_read_with_its_options() {
        let id = "2".repeat(40);
        let mut bytes = Vec::new();
        let mut lines = PacketWriter::new(&mut bytes);
        for line in [
            "ok refs/for/a",
            "option refname refs/changes/1",
            &format!("option new-oid {id}"),
            "ok refs/for/a",
            "option refname refs/changes/2",
            "option forced-update",
            "ng refs/for/b no way",
            "ok refs/for/c",
            "option fall-through",
            "ok refs/for/none",
        ] {
            lines.data(&[line.as_bytes()]).unwrap();
        }
        lines.flush().unwrap();
        lines.send().unwrap();
        drop(lines);
        let commands = ["a", "b", "c"].map(|name| Command {
            name: RefName::parse(format!("refs/for/{name}")).unwrap(),
            old: None,
            new: None,
        });
        let commands: Vec<&Command> = commands.iter().collect();
        let mut reports = vec![Report::None; 3];
        let mut reader = PacketReader::new(&bytes[..]);
        let complaints = read_report(&mut reader, &commands, &mut reports).unwrap();
        assert_eq!(
            complaints,
            ["proc-receive reported status on unknown ref: refs/for/none"]
        );
        let Report::Done(done) = &reports[0] else {
            panic!("{reports:?}");
        };
        assert_eq!(done.len(), 2);
        assert_eq!(done[0].new, parse_id(id.as_bytes()));
        assert!(done[1].forced && done[1].name == Some(b"refs/changes/2".to_vec()));
        assert_eq!(reports[1], Report::Refused("no way".to_owned()));
        assert_eq!(reports[2], Report::Ordinary);
    }
}
