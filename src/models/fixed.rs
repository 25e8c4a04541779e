//! The simplest model: accept, read to the empty line, send one page, close.
//!
//! What waits: the process, in read(2) or send(2) of one socket. All other connections wait in the
//! kernel's queue. There is hardly a protocol: the request is not parsed.
//! What a connection costs: a socket, for one request. Accept, read, send and close would be four
//! system calls. It makes about nine: a timeout before each read and send, and the lingering close
//! are the others.
//! Where it loses: with a second request, a second client, and another page. The other models are
//! compared with this one, which has none of the code that they share: it shows how much of a
//! server is waiting, and how much is HTTP.
//!
//! It has the limits that keep a server alive: a peer that sends nothing, too much or too little,
//! or reads nothing, is given up in time.

use super::acceptor::Acceptor;
use super::control::Control;
use super::observed_socket::ObservedSocket;
use crate::clock::Now;
use crate::connection::{CloseReason, SendRate, StateName, StepName};
use crate::limits::Limits;
use crate::probe::Probe;
use crate::proxy::ProxyHeader;
use crate::transport::blocking::SEND_TIMEOUT;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Instant;

/// Size of the read buffer in bytes.
const READ_BUFFER: usize = 4096;

/// The response to every request.
pub fn response(content_type: &str, page: &[u8]) -> Vec<u8> {
    let length = page.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    [head.as_bytes(), page].concat()
}

/// Serves until a signal stops the server.
///
/// # Errors
/// A listening socket is broken.
pub fn run(
    mut acceptor: Acceptor,
    response: &[u8],
    control: &Arc<Control>,
    limits: &Limits,
    probe: &mut impl Probe,
) -> io::Result<()> {
    let head = memchr::memmem::find(response, b"\r\n\r\n").map_or(0, |at| at + 4);
    while let Some(mut accepted) = acceptor.accept(|| control.is_draining())? {
        let header = accepted.layers.header.take();
        let _registration = control.register(accepted.handle.clone());
        let mut socket = ObservedSocket::new(&accepted, probe);
        let reason =
            serve(&mut socket, header, response, control, limits).unwrap_or_else(|error| {
                log::debug!("a connection was lost: {error}");
                CloseReason::SocketError(error.kind())
            });
        socket.on_close(reason, head);
        // The socket is closed here.
    }
    Ok(())
}

fn serve(
    socket: &mut ObservedSocket<'_, impl Probe>,
    header: Option<Box<ProxyHeader>>,
    response: &[u8],
    control: &Control,
    limits: &Limits,
) -> io::Result<CloseReason> {
    if !read_head(socket, header, control, limits)? {
        return Ok(CloseReason::PeerClosed);
    }
    socket.enter(StateName::WritingHeader, StepName::Receive);
    write_all(socket, response, control, limits)?;
    socket.enter(StateName::Closing, StepName::Send);
    socket.finish_sending()?;
    linger(socket, limits)?;
    Ok(CloseReason::Completed)
}

/// Reads the header of the PROXY protocol, if there is to be one, and then to the empty line.
/// Returns whether that arrived before the peer closed.
fn read_head(
    socket: &mut ObservedSocket<'_, impl Probe>,
    header: Option<Box<ProxyHeader>>,
    control: &Control,
    limits: &Limits,
) -> io::Result<bool> {
    socket.handle.set_idle(true);
    let time = match control.is_draining() {
        false => limits.header_timeout,
        // While the server stops, a silent connection is not waited for.
        true => limits.min_idle_time.min(limits.header_timeout),
    };
    let deadline = Now::read().instant + time;
    if let Some(mut header) = header {
        header.receive(|buf| Ok(read(socket, buf, deadline)?.len()))?;
    }
    let (mut head, mut buf) = (Vec::new(), [0; READ_BUFFER]);
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() {
        if head.len() > limits.max_head_bytes {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the head is too long",
            ));
        }
        match read(socket, &mut buf, deadline)? {
            [] => return Ok(false),
            bytes => head.extend_from_slice(bytes),
        }
        socket.handle.set_idle(false);
    }
    Ok(true)
}

/// Sends all of `response`, or makes the close a reset, so that the peer does not take a part for
/// the whole.
fn write_all(
    socket: &mut ObservedSocket<'_, impl Probe>,
    response: &[u8],
    control: &Control,
    limits: &Limits,
) -> io::Result<()> {
    let mut unsent = response;
    let mut rate = SendRate::start(Now::read().instant);
    let mut deadline = rate.on_sent(0, limits, Now::read().instant);
    while !unsent.is_empty() {
        let error = match socket.write(unsent, SEND_TIMEOUT.min(limits.send_timeout)) {
            Ok(length) => {
                (_, unsent) = unsent.split_at(length);
                deadline = rate.on_sent(length as u64, limits, Now::read().instant);
                None
            }
            Err(error) if is_timeout_or_signal(&error) => None,
            Err(error) => Some(error),
        };
        let is_over = Now::read().instant >= deadline || control.is_aborting();
        if let Some(error) = error.or_else(|| is_over.then(|| ErrorKind::TimedOut.into())) {
            socket.handle.reset_on_close();
            return Err(error);
        }
    }
    Ok(())
}

/// Lingering close: reads until the peer closes. A close with unread bytes would be a reset, which
/// may destroy the part of the page that the peer has not read.
fn linger(socket: &mut ObservedSocket<'_, impl Probe>, limits: &Limits) -> io::Result<()> {
    let deadline = Now::read().instant + limits.linger_timeout;
    let (mut buf, mut discarded) = ([0; READ_BUFFER], 0);
    socket.handle.set_idle(true);
    while discarded < limits.max_linger_bytes {
        match read(socket, &mut buf, deadline)? {
            [] => break,
            bytes => discarded += bytes.len() as u64,
        }
    }
    Ok(())
}

/// Sleeps until bytes arrive, and returns them. Empty: the peer has closed.
fn read<'b>(
    socket: &mut ObservedSocket<'_, impl Probe>,
    buf: &'b mut [u8],
    deadline: Instant,
) -> io::Result<&'b [u8]> {
    loop {
        let timeout = deadline.saturating_duration_since(Now::read().instant);
        if timeout.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match socket.read(buf, timeout) {
            Ok(length) => return Ok(buf.split_at(length).0),
            Err(error) if is_timeout_or_signal(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the read or send ended without the peer: by its timeout, or by a signal.
fn is_timeout_or_signal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
