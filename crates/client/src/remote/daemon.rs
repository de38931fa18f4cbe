//! `git://`: a plain connection to `git daemon`.

use std::time::Duration;

use packhouse_wire::pktline::PacketWriter;
use packhouse_wire::{Service, Version};
use tokio::net::TcpStream;

use super::RemoteError;
use super::conversation::Conversation;
use super::edge::{Edge, EdgeReader, EdgeWriter};
use super::error::{Ended, Failures};
use super::url::Host;

/// The port where no other is named.
const PORT: u16 = 9418;

/// Connects and asks for `service`.
pub(crate) fn connect<'p>(
    host: &Host,
    service: Service,
    version: Version,
    connect_timeout: Duration,
    failures: Failures,
    edge: Edge<'p>,
) -> Result<Conversation<'p>, RemoteError> {
    let address = (host.name.as_str(), host.port.unwrap_or(PORT));
    let connected = edge.wait_within(connect_timeout, TcpStream::connect(address));
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return Err(RemoteError::Connect {
                url: failures.url,
                source: error.into(),
            });
        }
        Err(Ended::Cancelled) => return Err(RemoteError::Cancelled),
        Err(_) => return Err(RemoteError::TimedOut { url: failures.url }),
    };
    // What is said is said in whole messages.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let mut conversation = Conversation::stream(
        failures,
        edge.clone(),
        EdgeReader::new(reader, &edge),
        EdgeWriter::new(writer, &edge),
        None,
    );
    let request =
        request(host, service, version).map_err(|error| conversation.failures.io(&error))?;
    conversation.send(request)?;
    Ok(conversation)
}

fn request(host: &Host, service: Service, version: Version) -> std::io::Result<Vec<u8>> {
    let mut name = match host.name.contains(':') {
        true => format!("[{}]", host.name),
        false => host.name.clone(),
    };
    if let Some(port) = host.port {
        name = format!("{name}:{port}");
    }
    let extra: &[u8] = match version {
        Version::V2 => b"\0version=2\0",
        Version::V0 | Version::V1 => b"",
    };
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    out.data(&[
        service.as_str().as_bytes(),
        b" ",
        host.remote_path().as_bytes(),
        b"\0host=",
        name.as_bytes(),
        b"\0",
        extra,
    ])?;
    out.send()?;
    drop(out);
    Ok(bytes)
}
