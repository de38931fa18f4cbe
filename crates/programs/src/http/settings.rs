//! What configuration and environment say of requests: `http.*`, looked at before any of them is answered.

use packhouse_wire::Service;

use super::answer::Refusal;
use crate::config::{Config, variable_number};
use crate::environment::Environment;
use crate::error::ProgramError;

const MAX_REQUEST_BUFFER: &str = "GIT_HTTP_MAX_REQUEST_BUFFER";

/// The largest request of a fetch if nothing else is said, in bytes.
const MAX_REQUEST_BYTES: u64 = 10 << 20;

/// What is answered, and how much is read for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpSettings {
    upload_pack: bool,
    receive_pack: bool,
    any_file: bool,
    /// The largest request of a fetch, in bytes.
    pub(super) max_request_bytes: u64,
}

impl HttpSettings {
    pub(super) fn read(
        config: &Config,
        environment: &Environment,
    ) -> Result<HttpSettings, ProgramError> {
        let any_file = config.flag("http.getanyfile")?.unwrap_or(true);
        let configured = config.number("http.maxrequestbuffer")?;
        let upload_pack = config.flag("http.uploadpack")?.unwrap_or(true);
        // Pushes are for callers that the web server knows, if nothing else is said.
        let is_known = environment.get("REMOTE_USER").is_some();
        let receive_pack = config.flag("http.receivepack")?.unwrap_or(is_known);
        let bytes = |found: Option<i64>, name: &str| {
            let found = found.map(u64::try_from).transpose();
            found.map_err(|_| ProgramError::Config(format!("negative value for '{name}'")))
        };
        let configured = bytes(configured, "http.maxRequestBuffer")?;
        let given = variable_number(environment, MAX_REQUEST_BUFFER)?;
        let given = bytes(given, MAX_REQUEST_BUFFER)?;
        Ok(HttpSettings {
            upload_pack,
            receive_pack,
            any_file,
            max_request_bytes: given.or(configured).unwrap_or(MAX_REQUEST_BYTES),
        })
    }

    /// Whether a program is there for this caller.
    pub(super) fn allow(&self, service: Service) -> Result<(), Refusal> {
        let (is_allowed, name) = match service {
            Service::UploadPack => (self.upload_pack, "upload-pack"),
            Service::ReceivePack => (self.receive_pack, "receive-pack"),
        };
        match is_allowed {
            true => Ok(()),
            false => Err(Refusal::forbidden(format!("Service not enabled: '{name}'"))),
        }
    }

    /// Whether files are there for clients without the protocol.
    pub(super) fn allow_files(&self) -> Result<(), Refusal> {
        match self.any_file {
            true => Ok(()),
            false => Err(Refusal::forbidden(
                "Unsupported service: getanyfile".to_owned(),
            )),
        }
    }
}
