//! `packhouse admin`: organisations, their keys, and the keys that come in by SSH.

mod key;
mod named_key;
mod org;
mod ssh_key;

use crate::error::CliError;
use crate::ui::Ui;

/// Who acts, for the audit log.
const WHO: &str = "packhouse admin";

/// Manage organisations, the keys that sign their tokens, and the keys that come in by SSH
///
/// Works on the catalog itself, whether a server is running or not.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum AdminCommand {
    #[command(subcommand)]
    Org(org::OrgCommand),
    #[command(subcommand)]
    Key(key::KeyCommand),
    #[command(subcommand)]
    SshKey(ssh_key::SshKeyCommand),
}

pub(crate) async fn run(command: AdminCommand, ui: Ui) -> Result<(), CliError> {
    match command {
        AdminCommand::Org(command) => org::run(command, ui).await,
        AdminCommand::Key(command) => key::run(command, ui).await,
        AdminCommand::SshKey(command) => ssh_key::run(command, ui).await,
    }
}
