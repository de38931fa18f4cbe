//! `packhouse admin`: organisations and their keys.

mod key;
mod org;

use crate::error::CliError;
use crate::ui::Ui;

/// Who acts, for the audit log.
const WHO: &str = "packhouse admin";

/// Manage organisations and the keys that sign their tokens
///
/// Works on the catalog itself, whether a server is running or not.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AdminCommand {
    #[command(subcommand)]
    Org(org::OrgCommand),
    #[command(subcommand)]
    Key(key::KeyCommand),
}

pub(crate) async fn run(command: AdminCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        AdminCommand::Org(command) => org::run(command, ui).await,
        AdminCommand::Key(command) => key::run(command, ui).await,
    }
}
