//! Error responses, redirects and the response to OPTIONS: a status with a small page, or none.
//!
//! Pages are HTML for a browser and plain text for other clients, and small enough to be sent in
//! the same write as their header.

use super::open_errors::is_temporary;
use super::path;
use crate::http::fields::FieldLines;
use crate::http::negotiate::names_html;
use crate::http::payload::Payload;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::status::Status;
use std::io;
use std::sync::Arc;

/// The methods that are allowed.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// What scripts of other origins may do, unless the owner of the site sets it.
const PREFLIGHT: [(&str, &str); 3] = [
    ("Access-Control-Allow-Methods", ALLOW),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
];

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Builds the responses; holds the headers that they share.
#[derive(Debug)]
pub(super) struct ErrorResponses {
    common_headers: Arc<FieldLines>,
    html: PageTemplate,
    text: PageTemplate,
    /// Of a page that was not negotiated, as the request could not be parsed.
    refusal_headers: Arc<FieldLines>,
    /// Other origins may read responses (CORS).
    is_shared: bool,
}

/// Pages of one media type.
#[derive(Debug)]
struct PageTemplate {
    headers: Arc<FieldLines>,
    render: fn(Status, &str) -> String,
    /// The page of a 404, the most frequent one: rendered once.
    not_found: Arc<[u8]>,
}

impl ErrorResponses {
    /// Responses with these headers, too. `is_shared`: scripts of other origins may read them.
    pub(super) fn new(common_headers: &Arc<FieldLines>, is_shared: bool) -> Self {
        let with_type = |content_type: &str| {
            let mut headers = FieldLines::clone(common_headers);
            headers.push_metadata("Content-Type", content_type);
            headers
        };
        let template = |content_type: &str, render: fn(Status, &str) -> String| {
            let mut headers = with_type(content_type);
            headers.push_vary("Accept");
            let not_found = render(Status::NotFound, explain(Status::NotFound));
            PageTemplate {
                headers: Arc::new(headers),
                render,
                not_found: not_found.into_bytes().into(),
            }
        };
        Self {
            common_headers: common_headers.clone(),
            html: template(HTML, as_html),
            text: template(TEXT, as_text),
            refusal_headers: Arc::new(with_type(TEXT)),
            is_shared,
        }
    }

    /// A page that explains `status` in the media type that the request prefers.
    pub(super) fn page(&self, status: Status, request: &Request<'_>) -> Response {
        self.render(status, None, names_html(request.fields))
    }

    /// A 400 that says `why`.
    pub(super) fn bad_request(&self, why: &str, request: &Request<'_>) -> Response {
        let is_html = names_html(request.fields);
        self.render(Status::BadRequest, Some(why), is_html)
    }

    fn render(&self, status: Status, why: Option<&str>, is_html: bool) -> Response {
        let template = if is_html { &self.html } else { &self.text };
        let body = match why {
            None if status == Status::NotFound => template.not_found.clone(),
            why => (template.render)(status, why.unwrap_or_else(|| explain(status)))
                .into_bytes()
                .into(),
        };
        Response::new(status, template.headers.clone()).with(Payload::Bytes(body, None))
    }

    /// The page for a request that cannot be parsed, or that has waited for too long (503).
    pub(super) fn refusal(&self, status: Status, why: &str) -> Response {
        let body = as_text(status, why).into_bytes();
        let payload = Payload::Bytes(body.into(), None);
        let mut response = Response::new(status, self.refusal_headers.clone()).with(payload);
        if status == Status::ServiceUnavailable {
            response.headers.push("Retry-After", RETRY_AFTER);
        }
        response
    }

    /// A redirect to the same address with a slash. It is relative from `relative_from` of `name`
    /// on, so that it is right behind any proxy and cannot name another host; `None`: the whole
    /// path, where clients may resolve a relative reference differently.
    pub(super) fn redirect(
        &self,
        request: &Request<'_>,
        name: &[u8],
        relative_from: Option<usize>,
        query: Option<&[u8]>,
    ) -> Response {
        let (start, rest) = match relative_from {
            Some(from) => ("./", name.split_at(from).1),
            None => ("/", name),
        };
        let mut location = start.to_owned();
        for segment in rest.split(|&byte| byte == b'/') {
            location += &format!("{}/", path::encode(segment));
        }
        if let Some(query) = query {
            location += &format!("?{}", path::escape(query));
        }
        let mut response = self.page(Status::MovedPermanently, request);
        response.headers.push("Location", location);
        response
    }

    /// A redirect that a rule asks for. No byte of `location` ends its line.
    pub(super) fn redirect_to(
        &self,
        status: Status,
        location: Vec<u8>,
        request: &Request<'_>,
    ) -> Response {
        let mut response = self.render(status, Some(MOVED), names_html(request.fields));
        response.headers.push("Location", location);
        response
    }

    /// The response to OPTIONS: 204 with the allowed methods.
    pub(super) fn options(&self) -> Response {
        let mut response = Response::new(Status::NoContent, self.common_headers.clone());
        response.headers.push("Allow", ALLOW);
        if self.is_shared {
            for (name, value) in PREFLIGHT {
                if !self.common_headers.has(name) {
                    response.headers.push(name, value);
                }
            }
        }
        response
    }

    /// A 405 with the allowed methods.
    pub(super) fn method_not_allowed(&self, request: &Request<'_>) -> Response {
        let mut response = self.page(Status::MethodNotAllowed, request);
        response.headers.push("Allow", ALLOW);
        response
    }

    /// A 503 if the error is temporary, else a 500. Never a 404: caches would store it.
    pub(super) fn failure(&self, error: &io::Error, request: &Request<'_>) -> Response {
        if !is_temporary(error) {
            return self.page(Status::InternalServerError, request);
        }
        log::debug!("answering 503: {error}");
        self.unavailable(request)
    }

    /// A 503 that says when to try again.
    pub(super) fn unavailable(&self, request: &Request<'_>) -> Response {
        let mut response = self.page(Status::ServiceUnavailable, request);
        response.headers.push("Retry-After", RETRY_AFTER);
        response
    }
}

/// When a client may try again, in seconds (RFC 9110 10.2.3).
const RETRY_AFTER: &str = "1";

/// Why a rule redirects.
const MOVED: &str = "the address has changed; the header Location has the new one";

/// A sentence for the client: what is wrong, and what to do if something can be done.
fn explain(status: Status) -> &'static str {
    match status {
        Status::MovedPermanently => "this is a directory; its address ends with a slash",
        Status::Found | Status::TemporaryRedirect | Status::PermanentRedirect => MOVED,
        Status::BadRequest => "the request target is not a path",
        Status::Unauthorized => "this address asks for a user and a password",
        Status::NotFound => "there is nothing at this address",
        Status::MethodNotAllowed => "only GET, HEAD and OPTIONS are allowed",
        Status::PreconditionFailed => "the file is not the one the request depends on",
        Status::RangeNotSatisfiable => "the file ends before the requested range begins",
        Status::MisdirectedRequest => "no site of this server has the requested host",
        Status::ExpectationFailed => "the only supported expectation is 100-continue",
        Status::NotImplemented => "the method is unknown",
        Status::ServiceUnavailable => "the server is out of resources for a moment; try again",
        Status::InternalServerError => "the file could not be read; the server's log says why",
        // These have no page, or the text of their `Refusal`.
        Status::Ok
        | Status::NoContent
        | Status::PartialContent
        | Status::NotModified
        | Status::RequestTimeout
        | Status::UriTooLong
        | Status::RequestHeaderFieldsTooLarge
        | Status::HttpVersionNotSupported => status.phrase(),
    }
}

fn as_text(status: Status, why: &str) -> String {
    format!("{} {}: {why}\n", status.code(), status.phrase())
}

/// `why` is text of this program, never of a request, and needs no escaping.
fn as_html(status: Status, why: &str) -> String {
    let (code, phrase) = (status.code(), status.phrase());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{code} {phrase}</title>\
         <style>:root{{color-scheme:light dark}}body{{font:1.1rem/1.5 system-ui,sans-serif;\
         max-width:34rem;margin:18vh auto;padding:0 1rem}}h1{{font-size:1.6rem}}</style></head>\n\
         <body><h1>{code} {phrase}</h1><p>{why}.</p></body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_html_for_a_browser_and_text_for_other_clients() {
        let responses = ErrorResponses::new(&Arc::default(), false);
        let body = |html| match responses.render(Status::NotFound, None, html).payload {
            Payload::Bytes(bytes, None) => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            body(false),
            "404 Not Found: there is nothing at this address\n"
        );
        assert!(
            body(true).contains("<h1>404 Not Found</h1><p>there is nothing at this address.</p>")
        );
    }

    #[test]
    fn a_503_for_a_wait_that_was_too_long_has_retry_after() {
        let responses = ErrorResponses::new(&Arc::default(), false);
        let headers = |status| responses.refusal(status, "why").headers;
        let retry = headers(Status::ServiceUnavailable);
        assert_eq!(retry.as_bytes(), b"Retry-After: 1\r\n");
        assert_eq!(headers(Status::RequestTimeout).as_bytes(), b"");
    }

    #[test]
    fn a_page_varies_by_accept_unless_the_request_cannot_be_parsed() {
        let responses = ErrorResponses::new(&Arc::default(), false);
        let headers = |response: Response| {
            let headers = response.shared_fields.as_bytes();
            String::from_utf8_lossy(headers).into_owned()
        };
        for (html, content_type) in [(true, HTML), (false, TEXT)] {
            let expected = format!("Vary: Accept\r\nContent-Type: {content_type}\r\n");
            assert_eq!(
                headers(responses.render(Status::NotFound, None, html)),
                expected
            );
        }
        let refusal = responses.refusal(Status::BadRequest, "no");
        assert_eq!(headers(refusal), format!("Content-Type: {TEXT}\r\n"));
    }

    #[test]
    fn no_explanation_contains_what_html_would_interpret() {
        for &status in Status::ALL {
            assert!(!explain(status).contains(['<', '>', '&']), "{status:?}");
        }
    }
}
