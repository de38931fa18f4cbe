//! Between HTTP and the site: one request in, one answer out, one line in the log.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use http::header::ACCEPT;
use http::{HeaderMap, Method, StatusCode};

use super::answer::{Answer, Ask};
use super::html::decoded;
use super::log::AccessLog;
use super::site::Site;

/// What every request is answered from.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) site: Arc<Site>,
    pub(super) log: Arc<AccessLog>,
}

/// Answers a request.
pub(super) async fn serve(State(served): State<Served>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| *peer);
    let line = format!(
        "{} {} {:?}",
        request.method(),
        request.uri(),
        request.version()
    );
    let answer = match ask(&served.site, &request) {
        Ok(ask) => look(served.site, ask).await,
        Err(answer) => *answer,
    };
    let status = answer.response.status().as_u16();
    served.log.note(peer, &line, status, answer.bytes);
    answer.response
}

/// What is asked for, or the answer to what is no question.
fn ask(site: &Site, request: &Request) -> Result<Ask, Box<Answer>> {
    let is_head = match *request.method() {
        Method::GET => false,
        Method::HEAD => true,
        Method::OPTIONS => return Err(Box::new(site.options())),
        _ => return Err(Box::new(site.not_allowed())),
    };
    let path = decoded(request.uri().path()).ok_or_else(|| {
        Box::new(site.refusal(StatusCode::BAD_REQUEST, "The path is encoded wrongly"))
    })?;
    Ok(Ask {
        path,
        wants_json: wants_json(request.headers()),
        is_head,
        headers: request.headers().clone(),
    })
}

/// Reading the store blocks, and so belongs on a thread that may.
async fn look(site: Arc<Site>, ask: Ask) -> Answer {
    let looking = site.clone();
    let answered = tokio::task::spawn_blocking(move || looking.answer(&ask)).await;
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "request broke off");
        site.refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The store could not be read",
        )
    })
}

/// Whether JSON is asked for by name: browsers, which take anything, get pages.
fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|kind| kind.split(';').next())
        .any(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_name_it() {
        for (accept, expected) in [
            ("application/json", true),
            ("text/html, Application/JSON;q=0.9", true),
            ("*/*", false),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_json(&headers), expected, "{accept}");
        }
    }
}
