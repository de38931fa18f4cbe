//! Which program a client asks for, and in which version of the protocol.

/// One of the two programs of the Git protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Fetches and clones.
    UploadPack,
    /// Pushes.
    ReceivePack,
}

impl Service {
    /// The name in URLs and content types, such as `git-upload-pack`.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::UploadPack => "git-upload-pack",
            Service::ReceivePack => "git-receive-pack",
        }
    }

    /// The service called `name`, as the query of `info/refs` gives it.
    pub fn parse(name: &str) -> Option<Service> {
        [Service::UploadPack, Service::ReceivePack]
            .into_iter()
            .find(|service| service.as_str() == name)
    }
}

/// A version of the Git wire protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// The original: every answer starts with all refs.
    #[default]
    V0,
    /// Version 0 behind a line that says so.
    V1,
    /// Commands; refs are asked for. Fetching only.
    V2,
}

impl Version {
    /// The newest version named by a `Git-Protocol` header (`key[=value]` separated by colons).
    /// Unknown keys and versions are passed over, as the protocol asks.
    pub fn from_header(header: Option<&str>) -> Version {
        header
            .unwrap_or_default()
            .split(':')
            .filter_map(|item| match item.trim().strip_prefix("version=")? {
                "1" => Some(Version::V1),
                "2" => Some(Version::V2),
                _ => None,
            })
            .max()
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_known_version_of_the_header_wins() {
        let cases = [
            (None, Version::V0),
            (Some(""), Version::V0),
            (Some("version=0"), Version::V0),
            (Some("version=1"), Version::V1),
            (Some("version=2"), Version::V2),
            (Some("version=9"), Version::V0),
            (Some("version=1:version=2"), Version::V2),
            (Some("version=2:key=value:flag"), Version::V2),
            (Some("version=22"), Version::V0),
        ];
        for (header, version) in cases {
            assert_eq!(Version::from_header(header), version, "{header:?}");
        }
    }

    #[test]
    fn services_are_known_by_their_names() {
        assert_eq!(Service::parse("git-upload-pack"), Some(Service::UploadPack));
        assert_eq!(
            Service::parse("git-receive-pack"),
            Some(Service::ReceivePack)
        );
        assert_eq!(Service::parse("git-upload-archive"), None);
    }
}
