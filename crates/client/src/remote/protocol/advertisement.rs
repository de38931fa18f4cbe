//! What a service says first: which version it speaks, what it can do and, before version 2, its refs.

use bstr::{BString, ByteSlice};
use packhouse_object::{ObjectId, RefName};
use packhouse_wire::pktline::{Packet, PacketReader};
use packhouse_wire::{Capabilities, OBJECT_FORMAT, Version, parse_id};

use crate::remote::RemoteError;
use crate::remote::error::Failures;
use crate::remote::refs::RemoteRefs;

/// The most lines of capabilities of version 2.
const CAPABILITIES_MAX: usize = 1000;

/// What a service said first.
#[derive(Debug)]
pub(crate) struct Advertisement {
    pub(crate) version: Version,
    /// The words behind the first ref, or the lines of version 2.
    capabilities: Vec<BString>,
    /// The refs; empty in version 2, which has to be asked.
    pub(crate) refs: RemoteRefs,
    /// Objects that the service has besides those its refs name.
    pub(crate) extra_haves: Vec<ObjectId>,
    /// Whether its history is cut off.
    pub(crate) shallow: bool,
}

impl Advertisement {
    /// One of version 2 that was heard another time.
    pub(crate) fn remembered(capabilities: &[String]) -> Advertisement {
        Advertisement {
            version: Version::V2,
            capabilities: capabilities
                .iter()
                .map(|line| line.as_str().into())
                .collect(),
            refs: RemoteRefs::default(),
            extra_haves: Vec::new(),
            shallow: false,
        }
    }

    /// The lines of version 2, if they are text.
    pub(crate) fn to_remember(&self) -> Option<Vec<String>> {
        if self.version != Version::V2 {
            return None;
        }
        let lines = self.capabilities.iter();
        lines
            .map(|line| Some(line.to_str().ok()?.to_owned()))
            .collect()
    }

    /// Whether the service can do `name`, whatever the value.
    pub(crate) fn can(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether `word` is among the values of `name`.
    pub(crate) fn offers(&self, name: &str, word: &str) -> bool {
        self.find(name)
            .is_some_and(|value| value.fields().any(|found| found == word.as_bytes()))
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        self.capabilities.iter().find_map(|word| {
            let rest = word.strip_prefix(name.as_bytes())?;
            match rest.split_first() {
                None => Some(&b""[..]),
                Some((b'=', value)) => Some(value),
                Some(_) => None,
            }
        })
    }

    /// Reads it. `over_http`: a line with the service's name may come before.
    pub(crate) fn read(
        reader: &mut PacketReader<'_>,
        over_http: bool,
        refs_max: usize,
        failures: &Failures,
    ) -> Result<Advertisement, RemoteError> {
        let mut advertisement = Advertisement {
            version: Version::V0,
            capabilities: Vec::new(),
            refs: RemoteRefs::default(),
            extra_haves: Vec::new(),
            shallow: false,
        };
        let mut first = read_line(reader, failures)?;
        if over_http
            && first
                .as_ref()
                .is_some_and(|line| line.starts_with(b"# service="))
        {
            if read_line(reader, failures)?.is_some() {
                return Err(failures.not_git("its first line is followed by another"));
            }
            first = read_line(reader, failures)?;
        }
        match first.as_ref().map(|line| line.as_slice()) {
            Some(b"version 2") => {
                advertisement.version = Version::V2;
                advertisement.read_v2(reader, failures)?;
            }
            Some(b"version 1") => {
                advertisement.version = Version::V1;
                let first = read_line(reader, failures)?;
                advertisement.read_refs(first, reader, refs_max, failures)?;
            }
            _ => advertisement.read_refs(first, reader, refs_max, failures)?,
        }
        Ok(advertisement)
    }

    /// The ids in what follows the capabilities are of the object format that they name.
    fn check_format(&self, failures: &Failures) -> Result<(), RemoteError> {
        match self.find("object-format") {
            Some(format) if format != OBJECT_FORMAT.as_bytes() => {
                Err(failures.unsupported(format!(
                    "SHA-1 objects: its object format is {}",
                    super::shown(format)
                )))
            }
            _ => Ok(()),
        }
    }

    fn read_v2(
        &mut self,
        reader: &mut PacketReader<'_>,
        failures: &Failures,
    ) -> Result<(), RemoteError> {
        while let Some(line) = read_line(reader, failures)? {
            if self.capabilities.len() == CAPABILITIES_MAX {
                return Err(failures.not_git("it has too many capabilities"));
            }
            self.capabilities.push(line);
        }
        self.check_format(failures)
    }

    fn read_refs(
        &mut self,
        first: Option<BString>,
        reader: &mut PacketReader<'_>,
        refs_max: usize,
        failures: &Failures,
    ) -> Result<(), RemoteError> {
        let mut next = first;
        let mut is_first = true;
        while let Some(mut line) = next {
            if is_first && let Some(nul) = line.find_byte(0) {
                let words = line.split_off(nul + 1);
                line.truncate(nul);
                self.take_words(&words);
                self.check_format(failures)?;
            }
            is_first = false;
            self.take_line(&line, failures)?;
            if self.refs.lines() + self.extra_haves.len() > refs_max {
                return Err(failures.unsupported(format!("so few refs as {refs_max}")));
            }
            next = read_line(reader, failures)?;
        }
        self.refs.sort();
        Ok(())
    }

    fn take_words(&mut self, words: &[u8]) {
        let words = Capabilities::new(words);
        self.capabilities = words.words().map(BString::from).collect();
        let symrefs = words
            .words()
            .filter_map(|word| word.strip_prefix(b"symref=HEAD:"));
        self.refs.head_ref = symrefs
            .filter_map(|target| RefName::parse(target).ok())
            .next();
    }

    fn take_line(&mut self, line: &[u8], failures: &Failures) -> Result<(), RemoteError> {
        if line.starts_with(b"shallow ") {
            self.shallow = true;
            return Ok(());
        }
        let parsed = line.split_once_str(" ").and_then(|(id, name)| {
            Some((parse_id(id)?, name.as_bstr())).filter(|(_, name)| !name.is_empty())
        });
        let Some((id, name)) = parsed else {
            return Err(failures.not_git(format!("it has no ref line '{}'", super::shown(line))));
        };
        if name == "capabilities^{}" {
            // There are no refs; the line only carries capabilities.
            return Ok(());
        }
        if name == ".have" {
            self.extra_haves.push(id);
        } else if let Some(name) = name.strip_suffix(b"^{}") {
            self.refs.peel_last(name.as_bstr(), id);
        } else {
            self.refs.add(name, id, None);
        }
        Ok(())
    }
}

/// The next line; `None` for a flush. A line that begins with `ERR` is what the other side says instead.
pub(super) fn read_line(
    reader: &mut PacketReader<'_>,
    failures: &Failures,
) -> Result<Option<BString>, RemoteError> {
    let packet = reader.require().map_err(|error| failures.packet(error))?;
    match packet {
        Packet::Flush => Ok(None),
        Packet::Data(_) => {
            let line = packet.text().unwrap_or_default();
            match line.strip_prefix(b"ERR ") {
                Some(message) => Err(failures.said(&String::from_utf8_lossy(message))),
                None => Ok(Some(line.into())),
            }
        }
        Packet::Delim | Packet::ResponseEnd => {
            Err(failures.not_git("a mark stands where a line has to"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn read(
        lines: &[&str],
        over_http: bool,
        refs_max: usize,
    ) -> Result<Advertisement, RemoteError> {
        let bytes = super::super::lines(|out| {
            for line in lines {
                match *line {
                    "" => out.flush()?,
                    line => out.data(&[line.as_bytes(), b"\n"])?,
                }
            }
            Ok(())
        })
        .unwrap();
        let failures = Failures {
            url: "test".to_owned(),
        };
        Advertisement::read(
            &mut PacketReader::new(&bytes[..]),
            over_http,
            refs_max,
            &failures,
        )
    }

    #[test]
    fn refs_of_version_0_are_read_with_what_the_server_can_do() {
        let first = format!("{ID} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git/2.39.5");
        let lines = [
            "# service=git-upload-pack".to_owned(),
            String::new(),
            first,
            format!("{ID} refs/heads/main"),
            format!("{ID} refs/tags/v1"),
            format!("{} refs/tags/v1^{{}}", ID.replace('0', "f")),
            format!("{ID} refs/heads/not..valid"),
            String::new(),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let read = read(&lines, true, 10).unwrap();
        assert!(read.can("multi_ack") && read.can("agent") && !read.can("multi"));
        assert_eq!(read.refs.refs.len(), 2);
        assert!(read.refs.refs[1].peeled.is_some());
        assert_eq!(read.refs.skipped, ["refs/heads/not..valid"]);
        assert_eq!(read.refs.head_ref, RefName::branch("main").ok());
        assert!(!read.shallow);
    }

    #[test]
    fn capabilities_of_version_2_may_have_several_words() {
        let read = read(
            &["version 2", "ls-refs=unborn", "fetch=shallow filter", ""],
            true,
            1,
        )
        .unwrap();
        assert_eq!(read.version, Version::V2);
        assert!(read.offers("ls-refs", "unborn") && read.offers("fetch", "filter"));
        assert!(!read.offers("fetch", "fil"));
    }

    #[test]
    fn an_empty_repository_has_capabilities_only() {
        let line = format!("{} capabilities^{{}}\0report-status", "0".repeat(40));
        let read = read(&[&line, ""], false, 1).unwrap();
        assert!(read.refs.refs.is_empty() && read.can("report-status"));
    }

    #[test]
    fn what_is_no_advertisement_is_refused() {
        let refs = format!("{ID} refs/heads/a");
        for (lines, expected) in [
            (
                vec!["ERR no such repository: /x", ""],
                "Repository not found",
            ),
            (vec!["ERR too busy", ""], "too busy"),
            (vec!["hello", ""], "smart protocol"),
            (vec!["version 2", "object-format=sha256", ""], "sha256"),
            (vec![refs.as_str(), refs.as_str(), ""], "refs"),
            (vec![refs.as_str()], "hung up"),
        ] {
            let error = read(&lines, false, 1).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_lines_are_read_or_refused(lines: Vec<String>, v2: bool) {
            let version = if v2 { "version 2" } else { "version 1" };
            let mut all = vec![version];
            all.extend(lines.iter().map(String::as_str));
            let _ = read(&all, true, 5);
        }
    }
}
