//! The first server: accept, read to the blank line, write one page, close.
//!
//! What waits: the process, in read(2) or write(2) of one socket, and everybody else for it. There
//! is no protocol to speak of: what was asked for is not even looked at.
//! What a connection costs: three calls and a socket; and each request is a connection.
//! Where it loses: at the second request of a client, at the second client, and at whoever asks for
//! another page. All that the other models have in common is missing here, so this is what they
//! are to be compared with: how much of a server is its waiting, and how much is HTTP?
//!
//! What is not missing is what keeps it alive: a peer may say nothing, too much or too little, read
//! nothing, or vanish, and each of these ends in time.

use super::acceptor::Acceptor;
use super::control::Control;
use crate::clock::Now;
use crate::limits::Limits;
use crate::transport::blocking::Handle;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a head that are read at once.
const ROOM: usize = 4096;

/// After this time of sleep in a write it is looked whether the server stops at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// What everybody is sent.
pub fn answer(content_type: &str, page: &[u8]) -> Vec<u8> {
    let length = page.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    [head.as_bytes(), page].concat()
}

/// Serves until the server is stopped.
///
/// # Errors
/// A listening socket failed in a way that cannot be mended.
pub fn run(
    mut acceptor: Acceptor,
    answer: &[u8],
    control: &Arc<Control>,
    limits: &Limits,
) -> io::Result<()> {
    while let Some(client) = acceptor.accept(|| control.is_draining())? {
        let _registration = control.register(client.handle.clone());
        let client = &client.handle;
        let served = match read_head(client, control, limits) {
            Ok(true) => write_all(client, answer, control, limits).and_then(|()| {
                client.finish_sending()?;
                see_off(client, limits)
            }),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            log::debug!("a client was lost: {error}");
        }
        // Here the socket is closed.
    }
    Ok(())
}

/// Reads to the blank line, and forgets it. Returns whether it came: the peer may have gone away.
fn read_head(client: &Handle, control: &Control, limits: &Limits) -> io::Result<bool> {
    client.set_idle(true);
    let time = match control.is_draining() {
        false => limits.header_timeout,
        // Who came last is answered if he has something to say, and not waited for.
        true => limits.min_idle.min(limits.header_timeout),
    };
    let deadline = Now::read().instant + time;
    let (mut head, mut room) = (Vec::new(), [0; ROOM]);
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() {
        if head.len() > limits.head {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the head is too long",
            ));
        }
        match read(client, &mut room, deadline)? {
            [] => return Ok(false),
            bytes => head.extend_from_slice(bytes),
        }
        client.set_idle(false);
    }
    Ok(true)
}

/// Writes it whole, or makes sure that nobody takes what left for the whole.
fn write_all(client: &Handle, answer: &[u8], control: &Control, limits: &Limits) -> io::Result<()> {
    let begun = Now::read().instant;
    let (mut unsent, mut moved) = (answer, begun);
    while !unsent.is_empty() {
        let patience = PATIENCE.min(limits.send_timeout);
        let error = match client.write(unsent, patience) {
            Ok(length) => {
                unsent = unsent.get(length..).unwrap_or_default();
                moved = Now::read().instant;
                None
            }
            Err(error) if is_early(&error) => None,
            Err(error) => Some(error),
        };
        let sent = answer.len() - unsent.len();
        let now = Now::read().instant;
        let is_over = now >= by_when(begun, moved, sent, limits) || control.is_aborting();
        if let Some(error) = error.or_else(|| is_over.then(|| ErrorKind::TimedOut.into())) {
            client.abort();
            return Err(error);
        }
    }
    Ok(())
}

/// Something must have left in each `send_timeout`, and after the first, enough on average.
fn by_when(begun: Instant, moved: Instant, sent: usize, limits: &Limits) -> Instant {
    let stall = moved + limits.send_timeout;
    match (sent as u64).checked_div(limits.min_send_rate.into()) {
        Some(earned) => stall.min(begun + limits.send_timeout + Duration::from_secs(earned)),
        None => stall,
    }
}

/// Reads what the peer still sends, until it closes: a close with bytes unread would be a reset,
/// and might take the page along that it has not read yet.
fn see_off(client: &Handle, limits: &Limits) -> io::Result<()> {
    let deadline = Now::read().instant + limits.linger_timeout;
    let (mut room, mut read_in_vain) = ([0; ROOM], 0);
    client.set_idle(true);
    while read_in_vain < limits.linger_bytes {
        match read(client, &mut room, deadline)? {
            [] => break,
            bytes => read_in_vain += bytes.len() as u64,
        }
    }
    Ok(())
}

/// Sleeps until something has come; nothing at all is the end.
fn read<'r>(client: &Handle, room: &'r mut [u8], deadline: Instant) -> io::Result<&'r [u8]> {
    loop {
        let most = deadline.saturating_duration_since(Now::read().instant);
        if most.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match client.read(room, most) {
            Ok(length) => return Ok(room.get(..length).unwrap_or_default()),
            Err(error) if is_early(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The time was up, or a signal came: no word from the peer.
fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
