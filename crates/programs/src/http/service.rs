//! The programs behind URLs.

use std::io::Write;

use bstr::{BStr, BString, ByteSlice};
use packhouse_repo::directory::Served;
use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{Service, Version};

use super::answer::Refusal;
use super::query::parameter;
use super::settings::HttpSettings;
use super::{begin, body, broken};
use crate::config::Config;
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::serve::{Input, Mode, ProgramCall, fetch_from, push_to, version};

/// The program that the query names.
pub(super) fn asked(environment: &Environment) -> Option<BString> {
    let query = environment.bytes("QUERY_STRING")?;
    parameter(query, b"service").map(BString::from)
}

/// The program of this name, if it is there for this caller.
pub(super) fn advertised(name: &BStr, settings: &HttpSettings) -> Result<Service, Refusal> {
    let known = name.to_str().ok().and_then(Service::parse);
    let service =
        known.ok_or_else(|| Refusal::forbidden(format!("Unsupported service: '{name}'")))?;
    settings.allow(service)?;
    Ok(service)
}

/// What a program is to read, if the request may be made of it.
///
/// It is made out before the answer begins, so that what is wrong with it can be told.
pub(super) fn request(
    service: Service,
    settings: &HttpSettings,
    environment: &Environment,
    input: Input,
) -> Result<Input, Refusal> {
    settings.allow(service)?;
    let expected = format!("application/x-{}-request", service.as_str());
    let found = environment.shown("CONTENT_TYPE").unwrap_or_default();
    if found != expected {
        return Err(Refusal::wrong_type(&expected, &found));
    }
    let body = body::body(environment, input).and_then(|body| match service {
        Service::UploadPack => body::whole(settings.max_request_bytes, body),
        Service::ReceivePack => Ok(body),
    });
    body.map_err(broken)
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
    let or = |name: &str, otherwise: &str| {
        let value = environment.get(name);
        value.unwrap_or(otherwise.as_ref()).to_owned()
    };
    let (user, address) = (or("REMOTE_USER", "anonymous"), or("REMOTE_ADDR", "(none)"));
    if environment.present("GIT_COMMITTER_EMAIL").is_none() {
        let mut email = user.clone();
        email.push("@http.");
        email.push(address);
        environment.set("GIT_COMMITTER_EMAIL", email);
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
        dir: repository.own_dir().to_owned(),
        strict: true,
        timeout: None,
        quiet: false,
        mode,
    };
    match service {
        Service::UploadPack => fetch_from(&repository, &call, environment, input, out),
        Service::ReceivePack => push_to(repository, &call, environment, input, out),
    }
}
