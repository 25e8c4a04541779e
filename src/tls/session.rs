//! [`TlsTransport`]: a TLS session over a socket.
//!
//! rustls does no I/O. The steps between it and the socket are here: read, process, write. None of
//! them waits, and each call does a bounded number. After every process step that may have produced
//! something to send (the answer to a KeyUpdate, an alert) the write step follows.

use crate::transport::{Handshake, Transport};
use rustls::{InvalidMessage, ServerConfig, ServerConnection};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of plaintext that one send encrypts: the most that fits into a record (RFC 8446 5.1). What
/// the socket does not take is kept, so this is also a bound on memory.
const MAX_PLAINTEXT: usize = 16 * 1024;

/// Receives of the socket in one receive of the transport. Records without plaintext (an empty one,
/// a KeyUpdate) let a peer cause any number of them.
const MAX_RECEIVES: usize = 16;

/// The answer to a request that is not encrypted.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 56\r\n\
    Connection: close\r\n\r\n\
    This port speaks HTTPS: use https:// instead of http://\n";

/// Begins sessions: what the connections of a listener share.
#[derive(Clone, Debug)]
pub struct TlsAcceptor(Arc<ServerConfig>);

impl TlsAcceptor {
    pub(super) fn new(config: ServerConfig) -> Self {
        Self(Arc::new(config))
    }
}

/// A socket, and the TLS session of the server on it.
#[derive(Debug)]
pub struct TlsTransport<T> {
    socket: T,
    session: ServerConnection,
    /// Bytes of plaintext that are encrypted, and not reported as sent yet.
    unreported: usize,
    /// Plaintext was received since the latest send: perhaps a part of a request.
    is_in_request: bool,
    has_peer_closed: bool,
    /// close_notify is in the session or sent, or the session has failed: nothing is encrypted or
    /// decrypted after that.
    has_closed: bool,
}

impl<T: Transport> TlsTransport<T> {
    /// A session without a handshake.
    ///
    /// # Errors
    /// The configuration of the acceptor is wrong.
    pub fn new(socket: T, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let mut session = ServerConnection::new(acceptor.0.clone()).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(MAX_PLAINTEXT));
        Ok(Self {
            socket,
            session,
            unreported: 0,
            is_in_request: false,
            has_peer_closed: false,
            has_closed: false,
        })
    }

    /// The socket.
    pub fn socket_mut(&mut self) -> &mut T {
        &mut self.socket
    }

    /// The socket, to be closed.
    pub fn into_socket(self) -> T {
        self.socket
    }

    /// Receives once and processes what has arrived. Returns how many bytes that was.
    fn read_and_process(&mut self) -> io::Result<usize> {
        let length = self.session.read_tls(&mut FromSocket(&mut self.socket))?;
        match self.session.process_new_packets() {
            Ok(state) => {
                self.has_peer_closed |= state.peer_has_closed();
                Ok(length)
            }
            Err(error) => {
                let is_handshaking = self.session.is_handshaking();
                match error {
                    // Not a record: most likely a request for http://.
                    rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)
                        if is_handshaking =>
                    {
                        let _ = self.socket.send(NOT_TLS, false);
                    }
                    // The alert is sent if the socket takes it.
                    _ => drop(self.write(false)),
                }
                // No close_notify: this is no clean end.
                self.has_closed = true;
                log::debug!("TLS: {error}");
                Err(io::Error::new(ErrorKind::InvalidData, error))
            }
        }
    }

    /// Writes what the session has to send, all of it.
    fn write(&mut self, more: bool) -> io::Result<()> {
        while self.session.wants_write() {
            let socket = &mut self.socket;
            if self.session.write_tls(&mut ToSocket { socket, more })? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Like [`write`](Self::write), and a socket that takes nothing now is no error: the next call
    /// of any step goes on. So a peer that does not read can still be read from.
    fn write_if_possible(&mut self) -> io::Result<()> {
        match self.write(false) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }

    /// Encrypts `bytes`, unless the plaintext of an earlier call is not written yet. Returns how
    /// many bytes of plaintext are written.
    fn encrypt_and_write(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        if self.unreported == 0 {
            // What was left of other messages.
            self.write(false)?;
            let (record, _) = bytes.split_at(bytes.len().min(MAX_PLAINTEXT));
            self.unreported = self.session.writer().write(record)?;
            assert!(self.unreported > 0, "an empty session takes plaintext");
        }
        self.write(more)?;
        self.is_in_request = false;
        Ok(std::mem::take(&mut self.unreported))
    }
}

impl<T: Transport> Transport for TlsTransport<T> {
    fn needs_handshake(&self) -> bool {
        true
    }

    fn handshake(&mut self) -> io::Result<Handshake> {
        self.write(false)?;
        if self.session.is_handshaking() {
            if self.read_and_process()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.write(false)?;
        }
        Ok(match self.session.is_handshaking() {
            true => Handshake::Unfinished,
            false => Handshake::Complete,
        })
    }

    /// After our close_notify, the bytes as they are on the socket: they are dropped anyway.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.has_closed {
            return self.socket.receive(buf);
        }
        for _ in 0..MAX_RECEIVES {
            match self.session.reader().read(buf) {
                Ok(length) => {
                    self.is_in_request |= length > 0;
                    return Ok(length);
                }
                // Without close_notify: all the same if no request can have been cut off by it.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && !self.is_in_request => {
                    return Ok(0);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.write_if_possible()?;
            self.read_and_process()?;
            self.write_if_possible()?;
        }
        Err(ErrorKind::Interrupted.into())
    }

    /// Not before the peer's close_notify has arrived: it sends one when it gets ours, and that
    /// would meet a closed socket.
    fn is_known_empty(&self) -> bool {
        self.has_peer_closed && self.socket.is_known_empty()
    }

    fn is_send_closed(&self) -> bool {
        self.socket.is_send_closed()
    }

    fn assume_readable(&mut self) {
        self.socket.assume_readable();
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.encrypt_and_write(bytes, more)
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        if self.unreported > 0 {
            return self.encrypt_and_write(&[], false);
        }
        let max_length = usize::try_from(length).unwrap_or(usize::MAX);
        let (copy, _) = copy.split_at_mut(copy.len().min(max_length).min(MAX_PLAINTEXT));
        match file.read_at(copy, offset)? {
            0 => Ok(0),
            length => self.encrypt_and_write(copy.split_at(length).0, false),
        }
    }

    fn close_notify(&mut self) -> io::Result<()> {
        if self.session.is_handshaking() {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_closed, true) {
            self.session.send_close_notify();
        }
        self.write(false)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.socket.shutdown()
    }

    fn changes_interest(&mut self, is_blocked: bool) -> bool {
        self.socket.changes_interest(is_blocked)
    }

    fn reset_on_close(&mut self) {
        self.socket.reset_on_close();
    }
}

/// A socket to read from, as rustls asks for it.
struct FromSocket<'t, T>(&'t mut T);

impl<T: Transport> Read for FromSocket<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.receive(buf)
    }
}

/// A socket to write to, as rustls asks for it.
struct ToSocket<'t, T> {
    socket: &'t mut T,
    more: bool,
}

impl<T: Transport> Write for ToSocket<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.send(bytes, self.more)
    }

    /// The records of a handshake in one send.
    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        match records {
            [record] => self.write(record),
            records => {
                let records: Vec<&[u8]> = records.iter().map(|record| &**record).collect();
                self.write(&records.concat())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
