//! `packhouse maintain`: the work that a server does in the background, done now.

mod fold;
mod repack;

use crate::error::CliError;
use crate::ui::Ui;

/// Do now what the server does in the background
#[derive(Debug, clap::Subcommand)]
pub(crate) enum MaintainCommand {
    Fold(fold::FoldArgs),
    Repack(repack::RepackArgs),
}

pub(crate) async fn run(command: MaintainCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        MaintainCommand::Fold(args) => fold::run(args, ui).await,
        MaintainCommand::Repack(args) => repack::run(args, ui).await,
    }
}
