//! Amazon S3 and services that speak its protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::{BucketError, Key, RemoteBucket};

/// Attempts after the first that a request gets, within [`RETRY_TIME`].
const RETRIES: usize = 8;
const RETRY_TIME: Duration = Duration::from_secs(90);
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Silence that ends a request. There is no limit on its whole time: a large pack over a slow line takes what it takes.
const SILENCE: Duration = Duration::from_secs(60);

/// Credentials of an S3 service. Without keys, those of the machine's role are asked for where there is one.
#[derive(Clone, Default)]
pub struct S3Options {
    /// The access key id.
    pub access_key: Option<String>,
    /// The secret access key.
    pub secret_key: Option<String>,
    /// The token that belongs to temporary keys.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// Where the objects are.
pub(crate) struct Location<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) prefix: Option<Key>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) region: &'a str,
}

/// Prepares a bucket without talking to the service.
pub(crate) fn open(
    location: Location<'_>,
    options: &S3Options,
) -> Result<RemoteBucket, BucketError> {
    // The HTTP client is built without cryptography of its own. Whoever installed some before us has what we need.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let description = describe(&location);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(location.bucket)
        .with_region(location.region)
        .with_retry(retries())
        .with_client_options(client_options(location.endpoint))
        // One plain DELETE each: several services lack the request that deletes many, or want checksums of their own.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = location.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(key) = &options.access_key {
        builder = builder.with_access_key_id(key);
    }
    if let Some(key) = &options.secret_key {
        builder = builder.with_secret_access_key(key);
    }
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token);
    }
    let store = builder.build().map_err(|source| BucketError::Open {
        bucket: description.clone(),
        source: source.into(),
    })?;
    Ok(RemoteBucket::new(
        Arc::new(store),
        location.prefix,
        description,
    ))
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: RETRIES,
        retry_timeout: RETRY_TIME,
    }
}

fn client_options(endpoint: Option<&str>) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")))
        .with_connect_timeout(CONNECT_TIME)
        .with_read_timeout(SILENCE)
        .with_timeout_disabled()
}

fn describe(location: &Location<'_>) -> String {
    let mut text = format!("s3://{}", location.bucket);
    if let Some(prefix) = &location.prefix {
        text = format!("{text}/{prefix}");
    }
    match location.endpoint {
        Some(endpoint) => format!("{text} at {endpoint}"),
        None => format!("{text} in {}", location.region),
    }
}
