//! Room `bench`: does everybody start, and answer as it must? Asked once before the run, so that a
//! mistake in a command is told at once, and not by a table full of holes.

use super::run_context::{RunContext, Trouble};
use super::sample::{self, Order};
use crate::bench::arms::{ArmSpec, Start};
use crate::bench::load::{Page, body_hash};
use crate::bench::workloads::pages;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long each read may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, bytes: one small page.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Starts an arm, asks for the small page, and stops it.
///
/// # Errors
/// With a sentence for the user that names the arm_spec.
pub fn check(lab: &mut RunContext, order: &Order) -> Result<(), Trouble> {
    let name = order.arm_spec.arm.name.clone();
    attempt(lab, order).map_err(|trouble| match trouble {
        Trouble::Failed(why) => Trouble::Failed(format!("{name}: {why}")),
        Trouble::Interrupted => Trouble::Interrupted,
    })
}

fn attempt(lab: &mut RunContext, order: &Order) -> Result<(), Trouble> {
    let page = page(order.arm_spec);
    let server = sample::start(lab, order, None, &[])?;
    let address = sample::address(order, server.as_ref());
    let answer = ask(address, &page.path);
    let checked = answer.and_then(|answer| is_right(&answer, &page));
    server.map_or(Ok(()), |server| server.stop(lab))?;
    Ok(checked.map_err(|why| format!("GET {} on {address}: {why}", page.path))?)
}

/// What an arm is asked for.
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

/// A whole answer: everything until the end of the stream.
///
/// # Errors
/// If there is none in time.
pub fn ask(address: SocketAddr, path: &str) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("no answer ({error})");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(told)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    stream
        .take(LONGEST)
        .read_to_end(&mut answer)
        .map_err(told)?;
    Ok(answer)
}

fn is_right(answer: &[u8], page: &Page) -> Result<(), String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = end
        .and_then(|at| answer.split_at_checked(at.saturating_add(4)))
        .ok_or_else(|| "the answer is no HTTP/1.1".to_owned())?;
    let head = String::from_utf8_lossy(head);
    let status: Option<u16> = head
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.trim().parse().ok());
    if status != Some(page.status) {
        let line = head.lines().next().unwrap_or_default();
        return Err(format!(
            "the answer is `{line}`, and must be {}",
            page.status
        ));
    }
    let Some(length) = page.length else {
        return Ok(());
    };
    if body.len() as u64 != length {
        return Err(format!(
            "the body has {} bytes, and must have {length}: it serves another directory than \
             {{root}}, or in chunks",
            body.len()
        ));
    }
    match page.hash {
        Some(hash) if hash != body_hash(body) => {
            Err("the body has other bytes than the file in {root}".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_not_the_page_is_told() {
        let page = Page {
            path: "/".to_owned(),
            status: 200,
            length: Some(3),
            hash: Some(body_hash(b"abc")),
        };
        let told = |answer: &[u8]| is_right(answer, &page).unwrap_err();
        assert_eq!(is_right(b"HTTP/1.1 200 OK\r\n\r\nabc", &page), Ok(()));
        let missing = told(b"HTTP/1.1 404 Not Found\r\n\r\nabc");
        assert_eq!(
            missing,
            "the answer is `HTTP/1.1 404 Not Found`, and must be 200"
        );
        assert!(told(b"HTTP/1.1 200 OK\r\n\r\nab").starts_with("the body has 2 bytes"));
        assert!(told(b"HTTP/1.1 200 OK\r\n\r\nabd").starts_with("the body has other bytes"));
        assert_eq!(told(b"SSH-2.0-x\r\n"), "the answer is no HTTP/1.1");
        let open = Page {
            length: None,
            hash: None,
            ..page
        };
        assert_eq!(is_right(b"HTTP/1.1 200 OK\r\n\r\nwhatever", &open), Ok(()));
    }
}
