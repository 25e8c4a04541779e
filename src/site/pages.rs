//! Room `site`: the small pages that stand where a file does not.
//!
//! HTML for a browser, plain text for everybody else; readable, and so short that they ride
//! behind their header.

use crate::http::fields::FieldLines;
use crate::http::payload::Payload;
use crate::http::response::Response;
use crate::http::status::Status;
use std::sync::Arc;

/// Makes pages; holds the header lines they share.
#[derive(Debug)]
pub struct Pages {
    html: Form,
    text: Form,
    /// Of a page whose form nobody could choose.
    refusal: Arc<FieldLines>,
}

/// How pages of one kind look.
#[derive(Debug)]
struct Form {
    about: Arc<FieldLines>,
    render: fn(Status, &str) -> String,
    /// The page that is asked for most: rendered once.
    missing: Arc<[u8]>,
}

impl Pages {
    /// Pages whose responses carry the `preset` lines, too.
    pub fn new(preset: &FieldLines) -> Self {
        let with_type = |content_type: &str| {
            let mut lines = preset.clone();
            lines.push_metadata("Content-Type", content_type);
            lines
        };
        let form = |content_type: &str, render: fn(Status, &str) -> String| {
            let mut lines = with_type(content_type);
            lines.push_vary("Accept");
            let missing = render(Status::NOT_FOUND, explain(Status::NOT_FOUND));
            Form {
                about: Arc::new(lines),
                render,
                missing: missing.into_bytes().into(),
            }
        };
        Self {
            html: form(HTML, as_html),
            text: form(TEXT, as_text),
            refusal: Arc::new(with_type(TEXT)),
        }
    }

    /// A page that says what `status` means and, where there is more to say, `why`.
    pub fn page(&self, status: Status, why: Option<&str>, html: bool) -> Response {
        let form = if html { &self.html } else { &self.text };
        let body = match why {
            None if status == Status::NOT_FOUND => form.missing.clone(),
            why => (form.render)(status, why.unwrap_or_else(|| explain(status)))
                .into_bytes()
                .into(),
        };
        respond(status, &form.about, body)
    }

    /// The page for a request that could not be understood, and so did not say how it wants it.
    pub fn refusal(&self, status: Status, why: &str) -> Response {
        let body = as_text(status, why).into_bytes();
        respond(status, &self.refusal, body.into())
    }
}

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

fn respond(status: Status, about: &Arc<FieldLines>, body: Arc<[u8]>) -> Response {
    Response::new(status, about.clone()).with(Payload::Bytes(body, None))
}

/// A sentence for the one who asked, about what to do next where something can be done.
fn explain(status: Status) -> &'static str {
    match status {
        Status::MOVED_PERMANENTLY => "this is a directory; its address ends with a slash",
        Status::NOT_FOUND => "there is nothing at this address",
        Status::METHOD_NOT_ALLOWED => "files are only read here: GET, HEAD and OPTIONS",
        Status::PRECONDITION_FAILED => "the file is not the one the request depends on",
        Status::RANGE_NOT_SATISFIABLE => "the file ends before the requested range begins",
        Status::EXPECTATION_FAILED => "the only expectation met here is 100-continue",
        Status::NOT_IMPLEMENTED => "this method is unknown here",
        Status::UNAVAILABLE => "the server is out of resources for a moment; try again",
        Status::INTERNAL_ERROR => "the file could not be read; the server's log says why",
        _ => "the request was not understood",
    }
}

fn as_text(status: Status, why: &str) -> String {
    format!("{} {}: {why}\n", status.code(), status.phrase())
}

/// `why` comes from this program, never from a request, and so needs no escaping.
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
    fn a_page_is_html_for_a_browser_and_text_for_others() {
        let pages = Pages::new(&FieldLines::new());
        let body = |html| match pages.page(Status::NOT_FOUND, None, html).payload {
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
    fn a_page_varies_by_accept_unless_it_could_not_be_asked() {
        let pages = Pages::new(&FieldLines::new());
        let lines =
            |response: Response| String::from_utf8_lossy(response.about.as_bytes()).into_owned();
        for (html, content_type) in [(true, HTML), (false, TEXT)] {
            let expected = format!("Vary: Accept\r\nContent-Type: {content_type}\r\n");
            assert_eq!(lines(pages.page(Status::NOT_FOUND, None, html)), expected);
        }
        let refusal = pages.refusal(Status::BAD_REQUEST, "no");
        assert_eq!(lines(refusal), format!("Content-Type: {TEXT}\r\n"));
    }

    #[test]
    fn no_page_says_anything_that_html_would_misread() {
        for &status in Status::ALL {
            assert!(!explain(status).contains(['<', '>', '&']), "{status:?}");
        }
    }
}
