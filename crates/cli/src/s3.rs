//! Where an S3 bucket is and who asks for it, as far as the bucket's URL does not say.

use serde::Deserialize;

/// Who asks an S3 service, and where it is if the bucket's URL does not say.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct S3Settings {
    pub(crate) access_key: Option<String>,
    pub(crate) secret_key: Option<String>,
    pub(crate) session_token: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
}

// Keys never reach a log or a panic message.
impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Settings")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// `PACKHOUSE_S3_*`, else the file, else `AWS_*`: the general variables must not override what was written for
    /// this program.
    pub(crate) fn with_variables(self, variable: &dyn Fn(&str) -> Option<String>) -> S3Settings {
        let decide = |own: &str, file: Option<String>, general: &[&str]| {
            let general = || general.iter().find_map(|name| variable(name));
            variable(&format!("PACKHOUSE_S3_{own}"))
                .or(file)
                .or_else(general)
        };
        S3Settings {
            access_key: decide("ACCESS_KEY", self.access_key, &["AWS_ACCESS_KEY_ID"]),
            secret_key: decide("SECRET_KEY", self.secret_key, &["AWS_SECRET_ACCESS_KEY"]),
            session_token: decide("SESSION_TOKEN", self.session_token, &["AWS_SESSION_TOKEN"]),
            endpoint: decide(
                "ENDPOINT",
                self.endpoint,
                &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
            ),
            region: decide("REGION", self.region, &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        }
    }

    /// `url` with the endpoint and the region, where it is an S3 bucket that does not name its own.
    pub(crate) fn complete(&self, url: String) -> String {
        if !url.starts_with("s3:") {
            return url;
        }
        let mut url = url;
        for (name, value) in [("endpoint", &self.endpoint), ("region", &self.region)] {
            let named = url.split_once('?').is_some_and(|(_, query)| {
                query
                    .split('&')
                    .any(|pair| pair.split('=').next() == Some(name))
            });
            if let (Some(value), false) = (value, named) {
                let mark = if url.contains('?') { '&' } else { '?' };
                url.push_str(&format!("{mark}{name}={}", encode(value)));
            }
        }
        url
    }
}

/// `value` as it may stand in a query.
fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    value
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_s3_variables_win_over_the_file_and_general_ones_do_not() {
        let file = S3Settings {
            access_key: Some("file".into()),
            secret_key: Some("file".into()),
            ..Default::default()
        };
        let variables = |name: &str| match name {
            "PACKHOUSE_S3_ACCESS_KEY" => Some("own".to_owned()),
            "AWS_SECRET_ACCESS_KEY" | "AWS_REGION" => Some("general".to_owned()),
            _ => None,
        };
        let decided = file.with_variables(&variables);
        assert_eq!(decided.access_key.as_deref(), Some("own"));
        assert_eq!(decided.secret_key.as_deref(), Some("file"));
        assert_eq!(decided.region.as_deref(), Some("general"));
    }

    #[test]
    fn an_s3_address_is_completed_and_never_overruled() {
        let s3 = S3Settings {
            endpoint: Some("http://127.0.0.1:9000".into()),
            region: Some("eu&x".into()),
            ..Default::default()
        };
        let complete = |url: &str| s3.complete(url.to_owned());
        assert_eq!(
            complete("s3://b/p"),
            "s3://b/p?endpoint=http://127.0.0.1:9000&region=eu%26x"
        );
        assert_eq!(
            complete("s3://b?region=us&endpoint=x"),
            "s3://b?region=us&endpoint=x"
        );
        assert_eq!(complete("file:///b"), "file:///b");
    }
}
