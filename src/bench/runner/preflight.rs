//! Checks before a run that each server starts and serves the page, so that a mistake in a command
//! is reported at once.

use super::context::{RunContext, RunError};
use super::sample::{self, SampleSpec};
use crate::bench::arms::{ArmSpec, Start};
use crate::bench::client::parser::{Parser, Response};
use crate::bench::load::Page;
use crate::bench::workloads::pages;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Limit for connecting, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Limit for the bytes of a response.
const MAX_RESPONSE: u64 = 16 * 1024 * 1024;

/// Starts the server of an arm, requests the small page, and stops the server.
///
/// # Errors
/// A sentence for the user, with the name of the arm.
pub fn check(context: &mut RunContext, spec: &SampleSpec) -> Result<(), RunError> {
    let name = &spec.arm_spec.arm.name;
    attempt(context, spec).map_err(|error| match error {
        RunError::Failed(reason) => RunError::Failed(format!("{name}: {reason}")),
        RunError::Interrupted => RunError::Interrupted,
    })
}

fn attempt(context: &mut RunContext, spec: &SampleSpec) -> Result<(), RunError> {
    let page = page(&spec.arm_spec);
    let server = sample::start(context, spec, None, &[])?;
    let address = sample::address(spec, server.as_ref());
    let checked = get(address, &page.path).and_then(|response| compare(&response, &page));
    server.map_or(Ok(()), |server| server.stop(context))?;
    Ok(checked.map_err(|reason| format!("GET {} on {address}: {reason}", page.path))?)
}

/// The page that is requested from an arm.
pub fn page(arm_spec: &ArmSpec) -> Page {
    match &arm_spec.start {
        Start::Running(url) => Page {
            path: url.path.clone(),
            status: 200,
            length: None,
            hash: None,
        },
        Start::Model(_) | Start::Command(_) => pages::small(),
    }
}

/// Requests a page, on a connection of its own.
///
/// # Errors
/// There is no complete response in time.
pub fn get(address: SocketAddr, path: &str) -> Result<Response, String> {
    let failed = |error: std::io::Error| format!("no response: {error}");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    read_response(stream)
}

fn read_response(stream: impl Read) -> Result<Response, String> {
    let mut stream = stream.take(MAX_RESPONSE);
    let mut parser = Parser::default();
    parser.hashes_body = true;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = stream.read(&mut buffer);
        let length = length.map_err(|error| format!("no complete response: {error}"))?;
        let mut bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            let end = parser.end();
            return end
                .ok_or_else(|| "the connection was closed before the end of the response".into());
        }
        match parser.feed(&mut bytes) {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => {}
            Err(_) => return Err("the response is not HTTP/1".to_owned()),
        }
    }
}

/// Compares a response with the page.
fn compare(response: &Response, page: &Page) -> Result<(), String> {
    if response.status != page.status {
        return Err(format!(
            "the status is {}, expected {}",
            response.status, page.status
        ));
    }
    if let Some(length) = page.length.filter(|length| *length != response.length) {
        return Err(format!(
            "the body has {} bytes, expected {length}: the server must serve the directory \
             {{root}}",
            response.length
        ));
    }
    match (page.hash, response.hash) {
        (Some(expected), Some(found)) if expected != found => {
            Err("the body has other bytes than the file in {root}".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::body_hash;

    #[test]
    fn a_response_that_is_not_the_page_is_an_error_with_the_difference() {
        let page = Page {
            path: "/".to_owned(),
            status: 200,
            length: Some(3),
            hash: Some(body_hash(b"abc")),
        };
        let check = |bytes: &[u8]| read_response(bytes).and_then(|one| compare(&one, &page));
        let error = |bytes: &[u8]| check(bytes).unwrap_err();
        assert_eq!(check(b"HTTP/1.1 200 OK\r\n\r\nabc"), Ok(()));
        let chunked = b"HTTP/1.1 103 Early Hints\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(check(chunked), Ok(()));
        let missing = error(b"HTTP/1.1 404 Not Found\r\n\r\nabc");
        assert_eq!(missing, "the status is 404, expected 200");
        assert!(error(b"HTTP/1.1 200 OK\r\n\r\nab").starts_with("the body has 2 bytes"));
        assert!(error(b"HTTP/1.1 200 OK\r\n\r\nabd").starts_with("the body has other bytes"));
        assert_eq!(error(b"SSH-2.0-x\r\n\r\n"), "the response is not HTTP/1");
        let truncated = error(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab");
        assert!(
            truncated.starts_with("the connection was closed"),
            "{truncated}"
        );
    }
}
