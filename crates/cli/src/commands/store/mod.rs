//! `packhouse store`: the embedded store on the command line. Called as `gitstore`, the program is this command alone.
//!
//! What always holds: results go to standard output, everything else to standard error; a command that has done what
//! it was asked to says nothing; a failure is `Error: …` and a hint, with exit status 1, a line that cannot be read has
//! 2. Nothing here starts threads or reads settings before it must: commands answer at once.

mod changes;
mod failure;
mod flags;
mod hint;
mod listen;
mod moment;
mod output;
mod ref_change;
mod ref_path;
mod select;
mod session;
mod until_stopped;

mod archive;
mod branch;
mod cat;
mod cmp;
mod cp;
mod destroy;
mod diff;
mod gc;
mod gitserve;
mod hash;
mod init;
mod log;
mod ls;
mod mirror;
mod mount;
mod mv;
mod note;
mod reflog;
mod rm;
mod serve;
mod sync;
mod tag;
mod undo;
mod write;

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::failure::Failure;
use self::session::{Session, SessionFlags, warn};
use super::completions::{self, CompletionsArgs};
use crate::error::SUCCESS;
use crate::ui::Ui;

/// Work on an embedded store: a versioned file system in a bare Git repository
///
/// A path argument is `ref:path`: `:file` is in the current branch, `v1:file` in that tag, `main~2:file` two commits
/// back. Where a local path may be meant too, one without a colon is local.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    flags: SessionFlags,
    #[command(subcommand)]
    command: StoreCommand,
}

/// A versioned file store on a bare Git repository
///
/// A path argument is `ref:path`: `:file` is in the current branch, `v1:file` in that tag, `main~2:file` two commits
/// back. Where a local path may be meant too, one without a colon is local.
#[derive(Debug, Parser)]
#[command(name = "gitstore", version, max_term_width = 110)]
struct Gitstore {
    #[command(flatten)]
    flags: SessionFlags,
    /// Print the result as one line of JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: GitstoreCommand,
}

#[derive(Debug, Subcommand)]
enum GitstoreCommand {
    #[command(flatten)]
    Store(Box<StoreCommand>),
    Completions(CompletionsArgs),
}

/// What to do.
#[derive(Debug, Subcommand)]
enum StoreCommand {
    Init(init::InitArgs),
    Destroy(destroy::DestroyArgs),
    Gc(gc::GcArgs),
    Pack(gc::PackArgs),
    Ls(ls::LsArgs),
    Cat(cat::CatArgs),
    Hash(hash::HashArgs),
    Write(write::WriteArgs),
    Rm(rm::RmArgs),
    Mv(mv::MvArgs),
    Cp(cp::CpArgs),
    Sync(sync::SyncArgs),
    Log(log::LogArgs),
    Diff(diff::DiffArgs),
    Cmp(cmp::CmpArgs),
    Undo(undo::UndoArgs),
    Redo(undo::RedoArgs),
    Reflog(reflog::ReflogArgs),
    Branch(branch::BranchArgs),
    Tag(tag::TagArgs),
    Note(note::NoteArgs),
    #[command(name = "archive_out", alias = "archive-out")]
    ArchiveOut(archive::OutArgs),
    #[command(name = "archive_in", alias = "archive-in")]
    ArchiveIn(archive::InArgs),
    Zip(archive::ZipArgs),
    Unzip(archive::UnzipArgs),
    Tar(archive::TarArgs),
    Untar(archive::UntarArgs),
    Backup(mirror::BackupArgs),
    Restore(mirror::RestoreArgs),
    Serve(serve::ServeArgs),
    Gitserve(gitserve::GitserveArgs),
    Mount(mount::MountArgs),
}

/// Whether a program of this name is the command line of stores alone.
pub(crate) fn is_called_by(program: Option<&Path>) -> bool {
    program
        .and_then(Path::file_stem)
        .is_some_and(|name| name == "gitstore")
}

/// `gitstore …`: does what `args` ask for and returns the exit status.
pub(crate) fn main_from(args: Vec<OsString>) -> u8 {
    let parsed = Gitstore::command()
        .try_get_matches_from(args)
        .and_then(|matches| Gitstore::from_arg_matches(&matches));
    let Gitstore {
        flags,
        json,
        command,
    } = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return crate::usage(&error, true),
    };
    match command {
        GitstoreCommand::Store(command) => {
            let command = *command;
            run(StoreArgs { flags, command }, Ui { json })
        }
        GitstoreCommand::Completions(args) => {
            match completions::run(args, Gitstore::command(), "gitstore") {
                Ok(code) => code,
                Err(error) => {
                    warn(&error);
                    error.exit_code()
                }
            }
        }
    }
}

/// Does a command and returns the exit status.
pub(crate) fn run(args: StoreArgs, ui: Ui) -> u8 {
    let session = Session::new(args.flags, ui);
    match dispatch(args.command, &session) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                warn(&failure);
            }
            failure.exit_code()
        }
    }
}

fn dispatch(command: StoreCommand, session: &Session) -> Result<u8, Failure> {
    match command {
        StoreCommand::Init(args) => init::run(args, session)?,
        StoreCommand::Destroy(args) => destroy::run(args, session)?,
        StoreCommand::Gc(args) => gc::gc(args, session)?,
        StoreCommand::Pack(args) => gc::pack(args, session)?,
        StoreCommand::Ls(args) => ls::run(args, session)?,
        StoreCommand::Cat(args) => cat::run(args, session)?,
        StoreCommand::Hash(args) => hash::run(args, session)?,
        StoreCommand::Write(args) => write::run(args, session)?,
        StoreCommand::Rm(args) => rm::run(args, session)?,
        StoreCommand::Mv(args) => mv::run(args, session)?,
        StoreCommand::Cp(args) => cp::run(args, session)?,
        StoreCommand::Sync(args) => sync::run(args, session)?,
        StoreCommand::Log(args) => log::run(args, session)?,
        StoreCommand::Diff(args) => diff::run(args, session)?,
        StoreCommand::Cmp(args) => return cmp::run(args, session),
        StoreCommand::Undo(args) => undo::undo(args, session)?,
        StoreCommand::Redo(args) => undo::redo(args, session)?,
        StoreCommand::Reflog(args) => reflog::run(args, session)?,
        StoreCommand::Branch(args) => return branch::run(args, session),
        StoreCommand::Tag(args) => return tag::run(args, session),
        StoreCommand::Note(args) => note::run(args, session)?,
        StoreCommand::ArchiveOut(args) => archive::archive_out(args, session)?,
        StoreCommand::ArchiveIn(args) => archive::archive_in(args, session)?,
        StoreCommand::Zip(args) => archive::zip(args, session)?,
        StoreCommand::Unzip(args) => archive::unzip(args, session)?,
        StoreCommand::Tar(args) => archive::tar(args, session)?,
        StoreCommand::Untar(args) => archive::untar(args, session)?,
        StoreCommand::Backup(args) => mirror::backup(args, session)?,
        StoreCommand::Restore(args) => mirror::restore(args, session)?,
        StoreCommand::Serve(args) => serve::run(args, session)?,
        StoreCommand::Gitserve(args) => gitserve::run(args, session)?,
        StoreCommand::Mount(args) => return mount::run(args, session),
    }
    Ok(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Gitstore::command().debug_assert();
    }

    #[test]
    fn the_program_is_known_by_its_name() {
        for (name, known) in [
            ("/usr/bin/gitstore", true),
            ("gitstore.exe", true),
            ("packhouse", false),
        ] {
            assert_eq!(is_called_by(Some(Path::new(name))), known, "{name}");
        }
        assert!(!is_called_by(None));
    }
}
