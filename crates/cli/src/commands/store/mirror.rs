//! `backup` and `restore`: all refs to another place and back.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use bstr::ByteSlice;
use clap::{Args, ValueEnum};
use packhouse_client::remote::{RemoteError, SshCommand, SshOptions};
use packhouse_client::{
    MirrorDiff, MirrorError, MirrorFormat, MirrorOptions, RefChange, RefSelection, RemoteOptions,
    SystemCredentials,
};
use packhouse_repo::ref_text;
use packhouse_repo::store::{Create, Store};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{CreateFlag, DryRunFlag};
use super::hint;
use super::output::{self, Format, List};
use super::session::{Missing, Session};

/// Make another repository, or a bundle, the same as this one
///
/// The URL may be a path, or begin with file, http, https, ssh or git. Refs that only the other has are deleted, unless
/// --ref chooses some.
#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// Where to
    url: OsString,
    #[command(flatten)]
    flags: MirrorFlags,
}

/// Make this repository the same as another, or as a bundle
///
/// Refs that only this one has are deleted, unless --additive is given or --ref chooses some. Of a bundle, which need not
/// hold everything, refs are taken and none is deleted.
#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// Where from
    url: OsString,
    #[command(flatten)]
    flags: MirrorFlags,
    #[command(flatten)]
    create: CreateFlag,
    /// Delete no refs
    #[arg(long)]
    additive: bool,
}

#[derive(Args, Debug)]
struct MirrorFlags {
    #[command(flatten)]
    dry_run: DryRunFlag,
    /// Only this ref, perhaps under another name at its target (repeatable)
    #[arg(long = "ref", value_name = "NAME[:TARGET]")]
    refs: Vec<OsString>,
    /// Leave history out: one commit for each ref (bundles only)
    #[arg(long)]
    squash: bool,
    /// What the URL names [default: a bundle if it ends in .bundle]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Kind>,
    /// Form of the result; lines for people are only of a dry run
    #[arg(long, value_enum, value_name = "FORMAT")]
    output_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Bundle,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(rename = "ref")]
    name: &'a str,
    old_target: Option<String>,
    new_target: Option<String>,
}

#[derive(Serialize)]
struct Changes<'a> {
    add: Vec<Shown<'a>>,
    update: Vec<Shown<'a>>,
    delete: Vec<Shown<'a>>,
    in_sync: bool,
    total: usize,
}

pub(crate) fn backup(args: BackupArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let progress = session.progress("backing up");
    let options = MirrorOptions {
        progress: Some(&progress),
        ..args.flags.options()
    };
    let diff = packhouse_client::backup(&store, &args.url, &options).map_err(failed)?;
    drop(progress);
    session.tell(format_args!("Pushed {} ref(s)", diff.total()));
    args.flags.show(session, &diff, "push")
}

pub(crate) fn restore(args: RestoreArgs, session: &Session) -> Result<(), Failure> {
    let work = |store: &Store| restore_in(&args, session, store);
    match Missing::of(args.create, args.flags.dry_run) {
        // Without a branch of its own: what it has is what it gets.
        Missing::IsMade => session.work_in(Create::IfMissing { branch: None }, work),
        Missing::CountsAsEmpty if session.is_missing()? => session.work_on_empty(None, work),
        Missing::CountsAsEmpty | Missing::Fails => work(&session.open()?),
    }
}

fn restore_in(args: &RestoreArgs, session: &Session, store: &Store) -> Result<(), Failure> {
    let progress = session.progress("restoring");
    let options = MirrorOptions {
        additive: args.additive,
        progress: Some(&progress),
        ..args.flags.options()
    };
    let diff = packhouse_client::restore(store, &args.url, &options).map_err(failed)?;
    drop(progress);
    if !args.flags.dry_run.dry_run {
        name_current(store, session)?;
    }
    session.tell(format_args!("Pulled {} ref(s)", diff.total()));
    args.flags.show(session, &diff, "pull")
}

/// Lets `HEAD` name a branch that exists, if there is one: without it nothing is the current branch, and a clone checks
/// out nothing.
pub(crate) fn name_current(store: &Store, session: &Session) -> Result<(), Failure> {
    let branches = store.branches();
    if branches.current_name()?.is_some() {
        return Ok(());
    }
    let mut names = branches.names()?;
    names.sort_unstable();
    let usual = ["main", "master"].map(str::to_owned);
    let found = usual
        .iter()
        .find(|usual| names.contains(usual))
        .or(names.first());
    if let Some(name) = found {
        branches.set_current(name)?;
        session.tell(format_args!("Current branch set to {name}"));
    }
    Ok(())
}

fn failed(error: MirrorError) -> Failure {
    match error {
        MirrorError::Store(error) => error.into(),
        MirrorError::File { path, source } => Failure::local(&path, &source),
        // The other repository is a store as this one is: what is to be done about it is the same. Most say which it is.
        MirrorError::Remote(RemoteError::Local { path, source }) => {
            let (path, hint) = (path.display().to_string(), hint::of_store(&source));
            let why = crate::error::causes(&*source);
            Failure::new(match why.contains(&path) {
                true => why,
                false => format!("{path}: {why}"),
            })
            .hint(hint)
        }
        error => {
            let hint = match &error {
                MirrorError::NoSuchRef { .. } => {
                    "`branch list` and `tag list` show the refs there are"
                }
                MirrorError::BadBundle { .. } => "`backup NAME.bundle` writes one",
                MirrorError::Rejected { .. } => {
                    "ask whoever runs it, or choose other refs with --ref"
                }
                MirrorError::Remote(_) => {
                    "check that a repository is there, and that you may use it"
                }
                _ => hint::ANY,
            };
            let of_system = crate::error::system(&error).and_then(hint::of_system);
            Failure::new(crate::error::causes(&error)).hint(of_system.unwrap_or(hint))
        }
    }
}

impl MirrorFlags {
    fn options(&self) -> MirrorOptions<'static> {
        let names = self.refs.iter().map(|names| {
            let names = names.as_bytes();
            match names.split_once_str(":") {
                Some((name, target)) => (ref_text(name), Some(ref_text(target))),
                None => (ref_text(names), None),
            }
        });
        MirrorOptions {
            dry_run: self.dry_run.dry_run,
            squash: self.squash,
            refs: match self.refs.is_empty() {
                true => RefSelection::All,
                false => RefSelection::Names(names.collect()),
            },
            format: self.format.map(|Kind::Bundle| MirrorFormat::Bundle),
            remote: remote_options(),
            ..MirrorOptions::default()
        }
    }

    fn show(&self, session: &Session, diff: &MirrorDiff, verb: &str) -> Result<(), Failure> {
        let format = match (self.output_format, session.json()) {
            (Some(format), _) => format,
            (None, true) => Format::Json,
            (None, false) => Format::Text,
        };
        // What was done is told to programs, which ask for it.
        if !self.dry_run.dry_run && format == Format::Text {
            return Ok(());
        }
        if format == Format::Json {
            let changes = Changes {
                add: all(&diff.add),
                update: all(&diff.update),
                delete: all(&diff.delete),
                in_sync: diff.in_sync(),
                total: diff.total(),
            };
            return output::value(format, &changes, |_| Ok(()));
        }
        let mut list = List::new(format);
        for (action, changes) in [
            ("create", &diff.add),
            ("update", &diff.update),
            ("delete", &diff.delete),
        ] {
            for change in changes {
                list.item(
                    || shown(Some(action), change),
                    |out| {
                        let id = change.new.or(change.old).map(|id| id.to_string());
                        let id = id.as_deref().map_or("", |id| &id[..7]);
                        writeln!(out, "  {action}  {}  {id}", change.name)
                    },
                )?;
            }
        }
        if format == Format::Text {
            let last = match diff.total() {
                0 => format!("Nothing to {verb} — already in sync."),
                count => format!("{count} ref(s) would be changed."),
            };
            list.item(|| (), |out| writeln!(out, "{last}"))?;
        }
        list.finish()
    }
}

/// As git itself finds credentials and its way over SSH.
fn remote_options() -> RemoteOptions {
    let command = match (env::var_os("GIT_SSH_COMMAND"), env::var_os("GIT_SSH")) {
        (Some(line), _) if !line.is_empty() => SshCommand::Shell(line),
        (_, Some(program)) if !program.is_empty() => SshCommand::Program(program),
        _ => SshCommand::Default,
    };
    RemoteOptions {
        credentials: Some(Arc::new(SystemCredentials::default())),
        ssh: SshOptions {
            command,
            ..SshOptions::default()
        },
        ..RemoteOptions::default()
    }
}

fn all(changes: &[RefChange]) -> Vec<Shown<'_>> {
    changes.iter().map(|change| shown(None, change)).collect()
}

fn shown<'a>(action: Option<&'a str>, change: &'a RefChange) -> Shown<'a> {
    Shown {
        action,
        name: &change.name,
        old_target: change.old.map(|id| id.to_string()),
        new_target: change.new.map(|id| id.to_string()),
    }
}
