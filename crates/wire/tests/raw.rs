//! Requests made by hand, to our functions and to git's own programs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use packhouse_wire::pktline::{Packet, PacketReader, PacketWriter};

use crate::backends::World;
use crate::git;

/// A line of a request.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Text(String),
    Flush,
    Delim,
}

/// A line of text; the caller brings the line feed if there is to be one.
pub(crate) fn text(line: impl Into<String>) -> Line {
    Line::Text(line.into())
}

/// The lines as they are sent.
pub(crate) fn encode(lines: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    for line in lines {
        match line {
            Line::Text(text) => out.data(&[text.as_bytes()]).unwrap(),
            Line::Flush => out.flush().unwrap(),
            Line::Delim => out.delim().unwrap(),
        }
    }
    out.send().unwrap();
    drop(out);
    bytes
}

/// The lines of an answer, up to and without the first that belongs to a pack.
pub(crate) fn decode(bytes: &[u8]) -> Vec<String> {
    let mut reader = PacketReader::new(bytes);
    let mut lines = Vec::new();
    while let Ok(Some(packet)) = reader.read() {
        match packet {
            Packet::Data([1..=3, ..]) => break,
            Packet::Data(data) => lines.push(String::from_utf8_lossy(data).into_owned()),
            mark => lines.push(format!("{mark:?}")),
        }
    }
    lines
}

/// Sends a request to our server and returns the body of the answer.
pub(crate) fn ours(world: &World, path: &str, version: u8, body: Option<&[u8]>) -> Vec<u8> {
    let url = world.url(path.split(".git").next().unwrap());
    let address = url
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.unwrap_or_default();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {address}\r\nGit-Protocol: version={version}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    answer.split_off(end + 4)
}

/// What one of git's programs answers about a bare repository.
pub(crate) fn gits(
    world: &World,
    repository: &str,
    program: &[&str],
    version: u8,
    body: &[u8],
) -> Vec<u8> {
    let mut child = git::command()
        .args(program)
        .arg(format!("{repository}.git"))
        .current_dir(world.root().dir)
        .env("GIT_PROTOCOL", format!("version={version}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A program that refuses the first line does not read the others.
    let _ = child.stdin.take().unwrap().write_all(body);
    child.wait_with_output().unwrap().stdout
}
