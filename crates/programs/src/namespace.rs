//! `GIT_NAMESPACE`: refs of one repository that clients see as a repository of its own.

use packhouse_object::RefName;

use crate::environment::Environment;
use crate::error::ProgramError;

/// What stands before the names of a client in the store: nothing, or `refs/namespaces/a/`, once for each part.
pub(crate) fn prefix(environment: &Environment) -> Result<Vec<u8>, ProgramError> {
    let Some(name) = environment.text("GIT_NAMESPACE") else {
        return Ok(Vec::new());
    };
    let prefix: String = name
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| format!("refs/namespaces/{part}/"))
        .collect();
    match RefName::parse(format!("{prefix}HEAD")) {
        _ if prefix.is_empty() => Ok(Vec::new()),
        Ok(_) => Ok(prefix.into_bytes()),
        Err(_) => Err(ProgramError::Config(format!("invalid namespace '{name}'"))),
    }
}
