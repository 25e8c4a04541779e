//! What a site does for HTTPS: the redirect from plain HTTP, and Strict-Transport-Security.

use crate::http::fields::FieldLines;
use crate::http::payload::Payload;
use crate::http::request::{Request, Target};
use crate::http::response::Response;
use crate::http::status::Status;
use crate::site::path::escape;
use std::sync::Arc;

/// The port of https:// URLs without a port.
const DEFAULT_PORT: u16 = 443;

/// What HTTPS changes. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct HttpsPolicy {
    /// Plain requests are redirected to this port.
    pub redirect: Option<u16>,
    /// The value of Strict-Transport-Security: only for encrypted connections (RFC 6797 7.2).
    pub hsts: Option<String>,
    /// The headers of every redirect.
    pub headers: Arc<FieldLines>,
}

/// What is done for HTTPS on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HttpsAction {
    /// Nothing.
    None,
    /// Requests that name a host are redirected. Those of HTTP/1.0 may name none.
    Redirect,
    /// Responses have Strict-Transport-Security.
    AddHsts,
}

impl HttpsPolicy {
    /// What is done on an encrypted or a plain connection.
    pub(super) fn action(&self, is_tls: bool) -> HttpsAction {
        match is_tls {
            false if self.redirect.is_some() => HttpsAction::Redirect,
            true if self.hsts.is_some() => HttpsAction::AddHsts,
            _ => HttpsAction::None,
        }
    }

    /// The redirect to the same address on HTTPS.
    #[cold]
    pub fn redirect(&self, request: &Request<'_>) -> Response {
        let port = self.redirect.unwrap_or(DEFAULT_PORT);
        let (path, query) = match request.target {
            Target::Path { path, query } => (path, query),
            // OPTIONS and CONNECT.
            Target::Asterisk | Target::Authority => (&b"/"[..], None),
        };
        let mut location = b"https://".to_vec();
        location.extend_from_slice(request.host.map_or(&[], without_port));
        if port != DEFAULT_PORT {
            location.extend_from_slice(format!(":{port}").as_bytes());
        }
        location.extend_from_slice(escape(path).as_bytes());
        if let Some(query) = query {
            location.push(b'?');
            location.extend_from_slice(escape(query).as_bytes());
        }
        let body = Arc::from(&b"301 Moved Permanently: use https://\n"[..]);
        let payload = Payload::Bytes(body, None);
        let mut response =
            Response::new(Status::MovedPermanently, self.headers.clone()).with(payload);
        (response.headers).push_metadata("Content-Type", "text/plain; charset=utf-8");
        response.headers.push("Location", location);
        response
    }

    /// Adds what a response on an encrypted connection has in addition.
    #[cold]
    pub fn add_to(&self, response: &mut Response) {
        if let Some(value) = &self.hsts {
            (response.headers).push("Strict-Transport-Security", value);
        }
    }
}

/// Whether a request names a host to redirect to. Host may be empty (RFC 9112 3.2), but the host of
/// an https URI may not (RFC 9110 4.2.2).
pub(super) fn names_host(request: &Request<'_>) -> bool {
    request
        .host
        .is_some_and(|host| !without_port(host).is_empty())
}

/// The host of a Host field. Colons in brackets are those of an IPv6 address.
fn without_port(host: &[u8]) -> &[u8] {
    let port = host.iter().rposition(|byte| *byte == b':');
    let bracket = host.iter().rposition(|byte| *byte == b']');
    match port {
        Some(port) if bracket.is_none_or(|bracket| bracket < port) => host.split_at(port).0,
        _ => host,
    }
}
