//! The commands, one file each: its arguments (`XArgs`) and what it does (`run`).

mod admin;
pub(crate) mod cache;
pub(crate) mod completions;
mod export;
mod fsck;
pub(crate) mod http_backend;
mod import;
mod maintain;
pub(crate) mod program;
pub(crate) mod receive_pack;
mod serve;
pub(crate) mod shell;
pub(crate) mod store;
mod sweep;
mod token;
pub(crate) mod upload_pack;

use crate::error::{CliError, SUCCESS};
use crate::logging::{self, LogFormat};
use crate::ui::Ui;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Serve(Box<serve::ServeArgs>),
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    #[command(subcommand)]
    Token(token::TokenCommand),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Fsck(fsck::FsckArgs),
    #[command(subcommand)]
    Maintain(maintain::MaintainCommand),
    Sweep(sweep::SweepArgs),
    Cache(cache::CacheArgs),
    Store(store::StoreArgs),
    UploadPack(upload_pack::UploadPackArgs),
    ReceivePack(receive_pack::ReceivePackArgs),
    HttpBackend(http_backend::HttpBackendArgs),
    Shell(shell::ShellArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Does it; `Ok` may still carry the exit status of a check that found something.
    pub(crate) async fn run(self, ui: Ui, log_format: Option<LogFormat>) -> Result<u8, CliError> {
        if let Command::Serve(args) = self {
            return serve::run(*args, ui, log_format).await.map(|()| SUCCESS);
        }
        logging::start(log_format.unwrap_or_default(), "warn");
        match self {
            Command::Serve(_) => unreachable!("served above"),
            Command::Cache(_)
            | Command::Store(_)
            | Command::UploadPack(_)
            | Command::ReceivePack(_)
            | Command::HttpBackend(_)
            | Command::Shell(_)
            | Command::Completions(_) => {
                unreachable!("run without a runtime")
            }
            Command::Admin(command) => admin::run(command, ui).await?,
            Command::Token(command) => token::run(command, ui)?,
            Command::Export(args) => export::run(args, ui).await?,
            Command::Import(args) => import::run(args, ui).await?,
            Command::Fsck(args) => return fsck::run(args, ui).await,
            Command::Maintain(command) => maintain::run(command, ui).await?,
            Command::Sweep(args) => return sweep::run(args, ui).await,
        }
        Ok(SUCCESS)
    }
}
