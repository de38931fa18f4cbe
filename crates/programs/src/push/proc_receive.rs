//! The `proc-receive` hook: refs that a program of the repository's owner moves, or whatever else it does with them.
//!
//! Which refs, `receive.procReceiveRefs` says. The hook speaks pkt-lines: it is given the commands, and reports on each.

use std::io::{self, ErrorKind};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;

use bstr::{BStr, ByteSlice};
use packhouse_wire::pktline::{Packet, PacketReader, PacketWriter};
use packhouse_wire::{Command, Messages, RefReport, parse_id};

use super::hooks::{Hooks, has_agreed, not_started, show};
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

/// What came of a call of the hook.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// Its report on each command that is its own.
    pub(super) reports: Vec<Report>,
    /// Whether it came as far as reporting.
    pub(super) is_whole: bool,
    /// Whether it kept to the protocol, refused nothing and left nothing out.
    pub(super) went_well: bool,
}

/// A conversation with the hook: its commands are those at `places`.
#[derive(Debug)]
struct Conversation<'c> {
    commands: &'c [Command],
    places: &'c [usize],
    reports: Vec<Report>,
    is_whole: bool,
    /// What is wrong with what it says, a line for each fault.
    complaints: Vec<String>,
}

/// Runs the hook on the commands at `places`.
pub(super) fn run(
    hooks: &Hooks,
    commands: &[Command],
    places: &[usize],
    atomic: bool,
    options: Option<&[Vec<u8>]>,
    messages: &dyn Messages,
) -> io::Result<Heard> {
    let mut conversation = Conversation::new(commands, places);
    let Some(program) = hooks.find(NAME) else {
        say_error(messages, "cannot find hook 'proc-receive'");
        return Ok(conversation.end(false));
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
    let started = command.spawn();
    // It holds the other end of what is read.
    drop(command);
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            not_started(&program, &error);
            return Ok(conversation.end(false));
        }
    };
    let streams = streams(&mut child);
    let spoken = thread::scope(|scope| {
        let talk = &mut conversation;
        let conversing = scope.spawn(move || match streams {
            Some((input, output)) => talk.hold(input, output, atomic, options),
            None => Err(ErrorKind::BrokenPipe.into()),
        });
        let shown = show(said, messages);
        let spoken = conversing.join();
        shown.and(spoken.unwrap_or_else(|_| Err(ErrorKind::Other.into())))
    });
    if let Err(error) = spoken {
        conversation
            .complaints
            .push(format!("proc-receive: {error}"));
    }
    if !conversation.complaints.is_empty() {
        say_error(messages, &conversation.complaints.join("\n"));
    }
    let status = child.wait()?;
    Ok(conversation.end(has_agreed(&program, status)))
}

fn streams(child: &mut Child) -> Option<(ChildStdin, ChildStdout)> {
    Some((child.stdin.take()?, child.stdout.take()?))
}

impl<'c> Conversation<'c> {
    fn new(commands: &'c [Command], places: &'c [usize]) -> Conversation<'c> {
        Conversation {
            commands,
            places,
            reports: vec![Report::None; places.len()],
            is_whole: false,
            complaints: Vec::new(),
        }
    }

    fn end(self, ended_well: bool) -> Heard {
        let mut reports = self.reports.iter();
        let all_well = reports.all(|report| !matches!(report, Report::None | Report::Refused(_)));
        Heard {
            is_whole: self.is_whole,
            went_well: ended_well && self.is_whole && self.complaints.is_empty() && all_well,
            reports: self.reports,
        }
    }

    /// Speaks with the hook. An error is one of this side; what is wrong with the other one is a complaint.
    fn hold(
        &mut self,
        mut input: ChildStdin,
        output: ChildStdout,
        atomic: bool,
        options: Option<&[Vec<u8>]>,
    ) -> io::Result<()> {
        let mut answers = PacketReader::new(output);
        let Some((version, takes_options)) = greet(&mut input, &mut answers, atomic, options)
        else {
            self.complain("fail to negotiate version with proc-receive hook");
            return Ok(());
        };
        // One that does not say means the first.
        if version > 1 {
            self.complain(format!("proc-receive version '{version}' is not supported"));
            return Ok(());
        }
        if self.send_commands(&mut input).is_err() {
            self.complain("fail to write commands to proc-receive hook");
            return Ok(());
        }
        if takes_options && send_options(&mut input, options.unwrap_or_default()).is_err() {
            self.complain("fail to write push-options to proc-receive hook");
            return Ok(());
        }
        // A hook that reads to the end gets there.
        drop(input);
        self.read_report(&mut answers);
        Ok(())
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.complaints.push(text.into());
    }

    fn send_commands(&self, input: &mut ChildStdin) -> io::Result<()> {
        let mut lines = PacketWriter::new(input);
        for at in self.places {
            let Command { name, old, new } = &self.commands[*at];
            let ids = format!("{} {} ", id_text(*old), id_text(*new));
            lines.data(&[ids.as_bytes(), name.as_bytes()])?;
        }
        lines.flush()?;
        lines.send()
    }

    fn read_report(&mut self, answers: &mut PacketReader<'_>) {
        let mut current: Option<usize> = None;
        let mut is_new = false;
        let mut is_lost = false;
        for number in 0..MAX_LINES {
            let line = match answers.require() {
                Ok(Packet::Data(line)) => line,
                Ok(_) => {
                    self.is_whole = true;
                    return;
                }
                Err(_) if number == 0 => {
                    self.complain("proc-receive exited abnormally");
                    return;
                }
                // As git has it, it ends where its output does.
                Err(_) => {
                    self.is_whole = true;
                    return;
                }
            };
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let Some((head, rest)) = line.split_once_str(" ") else {
                let line = line.as_bstr();
                self.complain(format!(
                    "proc-receive reported incomplete status line: '{line}'"
                ));
                continue;
            };
            if head == b"option" {
                match current {
                    Some(at) => self.take_option(at, rest, std::mem::take(&mut is_new)),
                    None if !std::mem::replace(&mut is_lost, true) => self.complain(
                        "proc-receive reported 'option' without a matching 'ok/ng' directive",
                    ),
                    None => {}
                }
                continue;
            }
            let (name, why) = match rest.split_once_str(" ") {
                Some((name, why)) => (name, Some(why)),
                None => (rest, None),
            };
            current = self.take_status(head, name, why);
            is_new = true;
        }
        self.complain("proc-receive reported too much");
    }

    fn take_option(&mut self, at: usize, option: &[u8], is_new: bool) {
        let (key, value) = option.split_once_str(" ").unwrap_or((option, b""));
        if key == b"fall-through" {
            self.reports[at] = Report::Ordinary;
            return;
        }
        let Report::Done(done) = &mut self.reports[at] else {
            return;
        };
        if is_new || done.is_empty() {
            done.push(RefReport::default());
        }
        let Some(report) = done.last_mut() else {
            return;
        };
        match key {
            b"refname" => report.name = Some(value.to_vec()),
            b"old-oid" => report.old = parse_id(value),
            b"new-oid" => report.new = parse_id(value),
            b"forced-update" => report.forced = true,
            _ => {}
        }
    }

    /// Takes a status; returns which of the commands at `places` options may follow for.
    fn take_status(&mut self, head: &[u8], name: &[u8], why: Option<&[u8]>) -> Option<usize> {
        let shown = name.as_bstr();
        if head != b"ok" && head != b"ng" {
            let head = head.as_bstr();
            self.complain(format!(
                "proc-receive reported bad status '{head}' on ref '{shown}'"
            ));
            return None;
        }
        let named = |command: &Command| command.name.as_bytes() == name;
        let Some(found) = self.commands.iter().position(named) else {
            self.complain(format!(
                "proc-receive reported status on unknown ref: {shown}"
            ));
            return None;
        };
        let own = self.places.iter().position(|at| *at == found);
        let own = own.filter(|own| self.reports[*own] != Report::Ordinary);
        let Some(own) = own else {
            self.complain(format!(
                "proc-receive reported status on unexpected ref: {shown}"
            ));
            return None;
        };
        if head == b"ng" {
            let why = why.unwrap_or(b"failed").to_str_lossy();
            self.reports[own] = Report::Refused(why.into_owned());
            return None;
        }
        // What it has refused stays refused.
        if self.reports[own] == Report::None {
            self.reports[own] = Report::Done(Vec::new());
        }
        Some(own)
    }
}

/// The version that the hook speaks, 0 if it does not say, and whether it takes push options. `None`: it does not answer.
fn greet(
    input: &mut ChildStdin,
    answers: &mut PacketReader<'_>,
    atomic: bool,
    options: Option<&[Vec<u8>]>,
) -> Option<(u64, bool)> {
    let mut words = Vec::new();
    words.extend(atomic.then_some("atomic"));
    words.extend(options.map(|_| "push-options"));
    send_greeting(input, &words.join(" ")).ok()?;
    let mut version = 0;
    let mut takes_options = false;
    while let Packet::Data(line) = answers.require().ok()? {
        if let Some(rest) = line.strip_prefix(b"version=") {
            let mut parts = rest.splitn(2, |byte| *byte == 0);
            let number = parts.next().unwrap_or_default().trim().to_str();
            version = number.ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            let words = parts.next().unwrap_or_default();
            takes_options |= words.fields().any(|word| word == b"push-options");
        }
    }
    Some((version, takes_options))
}

fn send_greeting(input: &mut ChildStdin, words: &str) -> io::Result<()> {
    let mut lines = PacketWriter::new(input);
    match words.is_empty() {
        true => lines.text(format_args!("version=1\n"))?,
        false => lines.text(format_args!("version=1\0{words}\n"))?,
    }
    lines.flush()?;
    lines.send()
}

fn send_options(input: &mut ChildStdin, options: &[Vec<u8>]) -> io::Result<()> {
    let mut lines = PacketWriter::new(input);
    for option in options {
        lines.data(&[option])?;
    }
    lines.flush()?;
    lines.send()
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
        let mut conversation = Conversation::new(&commands, &[0, 1, 2]);
        conversation.read_report(&mut PacketReader::new(&bytes[..]));
        assert_eq!(
            conversation.complaints,
            ["proc-receive reported status on unknown ref: refs/for/none"]
        );
        assert!(conversation.is_whole);
        let reports = &conversation.reports;
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
