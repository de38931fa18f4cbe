//! The programs behind URLs.

use std::io::Write;

use packhouse_repo::directory::Served;
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{Service, Version};

use super::answer::Refusal;
use super::{begin, body};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::{ProgramError, with_causes};
use crate::serve::{Input, Mode, ProgramCall, fetch_from, push_to, version};

/// The program that the query names.
pub(super) fn asked(environment: &Environment) -> Option<String> {
    let query = environment.text("QUERY_STRING")?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("service="))
        .map(str::to_owned)
}

/// The program of this name, if it is there for this caller.
pub(super) fn advertised(
    name: &str,
    config: &Config,
    environment: &Environment,
) -> Result<Service, Refusal> {
    let service = Service::parse(name)
        .ok_or_else(|| Refusal::forbidden(format!("Unsupported service: '{name}'")))?;
    allowed(service, config, environment)?;
    Ok(service)
}

/// Whether a request may be made of a program.
pub(super) fn check(
    service: Service,
    config: &Config,
    environment: &Environment,
) -> Result<(), Refusal> {
    allowed(service, config, environment)?;
    let expected = format!("application/x-{}-request", service.as_str());
    let found = environment.text("CONTENT_TYPE").unwrap_or_default();
    match found == expected {
        true => Ok(()),
        false => Err(Refusal::wrong_type(&expected, found)),
    }
}

fn allowed(service: Service, config: &Config, environment: &Environment) -> Result<(), Refusal> {
    let (setting, name) = match service {
        Service::UploadPack => ("http.uploadpack", "upload-pack"),
        Service::ReceivePack => ("http.receivepack", "receive-pack"),
    };
    let is_set = config
        .flag(setting)
        .map_err(|error| Refusal::broken(with_causes(&error)))?;
    // Pushes are for callers that the web server knows, if nothing else is said.
    let is_allowed = is_set.unwrap_or_else(|| match service {
        Service::UploadPack => true,
        Service::ReceivePack => environment.get("REMOTE_USER").is_some(),
    });
    match is_allowed {
        true => Ok(()),
        false => Err(Refusal::forbidden(format!("Service not enabled: '{name}'"))),
    }
}

/// Answers what a conversation begins with.
pub(super) fn advertise(
    service: Service,
    repository: Served,
    environment: &Environment,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let content_type = format!("application/x-{}-advertisement", service.as_str());
    begin(&[("Content-Type", content_type.as_str())], out)?;
    let config = Config::load(environment, &repository)?;
    let is_newest = version(environment, &config)? == Version::V2;
    // A push has no version 2, but its client is told of the service by version all the same.
    if !is_newest {
        let mut lines = PacketWriter::new(&mut *out);
        lines
            .text(format_args!("# service={}\n", service.as_str()))
            .and_then(|()| lines.flush())
            .and_then(|()| lines.send())
            .map_err(ProgramError::io("write", "the answer".as_ref()))?;
    }
    run(
        service,
        repository,
        Mode::Advertise,
        environment,
        body::nothing(),
        out,
    )
}

/// Answers one request of a conversation.
pub(super) fn serve(
    service: Service,
    repository: Served,
    environment: &Environment,
    input: Input,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let content_type = format!("application/x-{}-result", service.as_str());
    begin(&[("Content-Type", content_type.as_str())], out)?;
    let mut input = body::body(environment, input)?;
    if service == Service::UploadPack {
        input = body::whole(environment, input)?;
    }
    let environment = as_caller(environment);
    run(
        service,
        repository,
        Mode::StatelessRpc,
        &environment,
        input,
        out,
    )
}

/// Who the web server says is calling moves the refs.
fn as_caller(environment: &Environment) -> Environment {
    let mut environment = environment.clone();
    let user = environment
        .text("REMOTE_USER")
        .unwrap_or("anonymous")
        .to_owned();
    let address = environment
        .text("REMOTE_ADDR")
        .unwrap_or("(none)")
        .to_owned();
    if environment.present("GIT_COMMITTER_EMAIL").is_none() {
        environment.set("GIT_COMMITTER_EMAIL", format!("{user}@http.{address}"));
    }
    if environment.present("GIT_COMMITTER_NAME").is_none() {
        environment.set("GIT_COMMITTER_NAME", user);
    }
    environment
}

fn run(
    service: Service,
    repository: Served,
    mode: Mode,
    environment: &Environment,
    input: Input,
    out: &mut (dyn Write + Send),
) -> Result<(), ProgramError> {
    let call = ProgramCall {
        dir: repository.git_dir().to_owned(),
        strict: true,
        timeout: None,
        mode,
    };
    match service {
        Service::UploadPack => fetch_from(&repository, &call, environment, input, out),
        Service::ReceivePack => push_to(repository, &call, environment, input, out),
    }
}
