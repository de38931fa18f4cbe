//! From an address to a bucket.

use std::sync::Arc;

use reqwest::Url;

use crate::s3::{Location, S3Options};
use crate::{Bucket, BucketError, Key, LocalBucket, memory, s3};

/// What an address does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// For `s3:` addresses.
    pub s3: S3Options,
}

/// Opens the bucket at `address`, without credentials.
///
/// | address | bucket |
/// |---|---|
/// | `file:///folder` | a local folder, created if it is not there |
/// | `memory:` | a new, empty bucket in memory |
/// | `s3://bucket/prefix?endpoint=http://host:port&region=name` | an S3 service; prefix, endpoint and region may be left out |
pub fn open(address: &str) -> Result<Arc<dyn Bucket>, BucketError> {
    open_with(address, &Options::default())
}

/// Opens the bucket at `address`. An S3 service is not talked to before the first request.
pub fn open_with(address: &str, options: &Options) -> Result<Arc<dyn Bucket>, BucketError> {
    let url = Url::parse(address)
        .map_err(|error| wrong(&without_userinfo(address), error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            &without_userinfo(address),
            "credentials do not belong in an address",
        ));
    }
    match url.scheme() {
        "file" => open_local(address, &url),
        "memory" => open_memory(address, &url),
        "s3" => open_s3(address, &url, &options.s3),
        other => Err(wrong(
            address,
            format!("`{other}:` is none of `file:`, `memory:` and `s3:`"),
        )),
    }
}

fn open_local(address: &str, url: &Url) -> Result<Arc<dyn Bucket>, BucketError> {
    refuse_parameters(address, url)?;
    let folder = url
        .to_file_path()
        .map_err(|()| wrong(address, "a local folder is `file:///absolute/path`"))?;
    Ok(Arc::new(LocalBucket::open(&folder)?))
}

fn open_memory(address: &str, url: &Url) -> Result<Arc<dyn Bucket>, BucketError> {
    refuse_parameters(address, url)?;
    if !url.path().is_empty() || url.has_host() {
        return Err(wrong(address, "a bucket in memory is just `memory:`"));
    }
    Ok(Arc::new(memory()))
}

fn open_s3(address: &str, url: &Url, options: &S3Options) -> Result<Arc<dyn Bucket>, BucketError> {
    let bucket = url
        .host_str()
        .ok_or_else(|| wrong(address, "an S3 bucket is `s3://bucket`"))?;
    let prefix = match url.path().trim_matches('/') {
        "" => None,
        prefix => Some(Key::parse(prefix)?),
    };
    let mut endpoint = None;
    let mut region = "us-east-1".to_owned();
    for (name, value) in url.query_pairs() {
        match &*name {
            "endpoint" => endpoint = Some(parse_endpoint(address, &value)?),
            "region" if !value.is_empty() => region = value.into_owned(),
            _ => {
                return Err(wrong(
                    address,
                    format!("`{name}` is none of `endpoint` and `region`, or has no value"),
                ));
            }
        }
    }
    let location = Location {
        bucket,
        prefix,
        endpoint: endpoint.as_deref(),
        region: &region,
    };
    Ok(Arc::new(s3::open(location, options)?))
}

fn parse_endpoint(address: &str, text: &str) -> Result<String, BucketError> {
    let plain = Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
    });
    if !plain {
        // The text is not repeated: it may hold a password.
        let address = address.split('?').next().unwrap_or_default();
        return Err(wrong(
            address,
            "the endpoint is not `http://host:port` or `https://host:port`",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn refuse_parameters(address: &str, url: &Url) -> Result<(), BucketError> {
    match url.query().or(url.fragment()) {
        Some(_) => Err(wrong(address, "this kind of bucket takes no parameters")),
        None => Ok(()),
    }
}

fn wrong(address: &str, reason: impl Into<String>) -> BucketError {
    BucketError::Address {
        address: address.to_owned(),
        reason: reason.into(),
    }
}

/// `address` with what could be a password cut out, parsable or not.
fn without_userinfo(address: &str) -> String {
    match (address.find("://"), address.rfind('@')) {
        (Some(start), Some(end)) if start + 3 <= end => {
            format!("{}…{}", &address[..start + 3], &address[end..])
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(address: &str) -> String {
        open(address).unwrap_err().to_string()
    }

    #[test]
    fn addresses_lead_to_buckets() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/b");
        assert_eq!(
            open(&format!("file://{}", root.display()))
                .unwrap()
                .describe(),
            format!("local folder {}", root.display())
        );
        assert!(root.is_dir());
        assert_eq!(open("memory:").unwrap().describe(), "memory");
        assert_eq!(open("s3://b").unwrap().describe(), "s3://b in us-east-1");
        assert_eq!(
            open("s3://b/p/q/?endpoint=http://127.0.0.1:9/&region=x")
                .unwrap()
                .describe(),
            "s3://b/p/q at http://127.0.0.1:9"
        );
    }

    #[test]
    fn wrong_addresses_are_explained() {
        for (address, reason) in [
            ("", "relative URL without a base"),
            ("/data", "relative URL without a base"),
            ("ftp://x/y", "`ftp:` is none of"),
            ("file:///x?y=z", "takes no parameters"),
            ("memory:shared", "just `memory:`"),
            ("s3:///prefix", "an S3 bucket is"),
            ("s3://b/a/../..%2f", "cannot be a bucket key"),
            ("s3://b?regio=x", "`regio` is none of"),
            ("s3://b?endpoint=localhost:9000", "the endpoint is not"),
        ] {
            let fault = fault(address);
            assert!(fault.contains(reason), "{address}: {fault}");
        }
    }

    #[test]
    fn secrets_are_refused_in_an_address_and_not_repeated() {
        for address in [
            "s3://key:hunter2@bucket",
            "s3://b?endpoint=http://key:hunter2@host",
            "s3://key:hunter2@[::bad",
        ] {
            let fault = fault(address);
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        let options = S3Options {
            secret_key: Some("hunter2".to_owned()),
            ..S3Options::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
