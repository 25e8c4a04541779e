//! The socket of a connection, with TLS or without.

use super::tls::Session;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

/// A socket, and what is above it.
#[derive(Debug)]
pub enum Stream {
    /// The bytes as they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Session<TcpStream>>),
}

/// What a handshake agreed on.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Not finished: it waits for the server.
    Pending,
    /// Finished; a text that says what was agreed on. `None` without TLS.
    Finished(Option<String>),
}

/// What ends a direction.
#[derive(Clone, Copy, Debug)]
pub struct EndMarks {
    /// Ours.
    pub sent: &'static str,
    /// The server's.
    pub received: &'static str,
}

impl Stream {
    /// The socket.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(session) => session.socket(),
        }
    }

    /// Goes on with the handshake.
    ///
    /// # Errors
    /// The server closed the connection, or refused the handshake.
    pub fn handshake(&mut self) -> io::Result<Handshake> {
        match self {
            Self::Plain(_) => Ok(Handshake::Finished(None)),
            Self::Tls(session) => Ok(match session.handshake()? {
                true => Handshake::Finished(Some(session.agreed())),
                false => Handshake::Pending,
            }),
        }
    }

    /// What tells each side that the other sends no more.
    pub fn end_marks(&self) -> EndMarks {
        match self {
            Self::Plain(_) => EndMarks {
                sent: "FIN",
                received: "FIN",
            },
            Self::Tls(_) => EndMarks {
                sent: "close_notify and FIN",
                received: "close_notify",
            },
        }
    }

    /// Says that nothing more follows: close_notify (RFC 8446, section 6.1), and FIN.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn close_our_direction(&mut self) -> io::Result<()> {
        self.close_session();
        self.socket().shutdown(Shutdown::Write)
    }

    /// Sends close_notify, if there is TLS. The socket stays open.
    pub fn close_session(&mut self) {
        match self {
            Self::Plain(_) => {}
            Self::Tls(session) => session.close(),
        }
    }

    /// Closing will reset the connection (SO_LINGER of 0; socket(7)).
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub fn reset_when_closed(&mut self) -> io::Result<()> {
        SockRef::from(&*self.socket()).set_linger(Some(Duration::ZERO))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(session) => session.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(session) => session.write(bytes),
        }
    }

    /// Sends what is encrypted and was not taken yet.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(session) => session.flush(),
        }
    }
}
