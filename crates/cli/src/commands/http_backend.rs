//! `packhouse http-backend`: repositories on disk over HTTP by CGI, in the place of `git http-backend`.

use clap::Args;

use super::program;

/// Serve repositories on disk from a web server by CGI, in the place of git http-backend
///
/// Takes its environment: GIT_PROJECT_ROOT, PATH_INFO, REMOTE_USER, GIT_HTTP_EXPORT_ALL and the others. Who may push is
/// the web server's to decide, by setting REMOTE_USER.
#[derive(Args, Debug)]
pub(crate) struct HttpBackendArgs {}

pub(crate) fn run(_: HttpBackendArgs) -> u8 {
    program::run(|input, out| {
        let environment = program::environment();
        let log = &mut |line: &str| crate::complain(line);
        packhouse_programs::http_backend(&environment, Box::new(input), out, log)
    })
}
