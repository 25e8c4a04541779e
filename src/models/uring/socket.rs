//! A socket whose operations complete, as a [`Transport`].

use super::accept_queue::reset_on_close;
use super::driver::Driver;
use crate::transport::Transport;
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A connected socket. Its operations are the driver's, and outlive it.
pub struct UringSocket {
    driver: Rc<RefCell<Driver>>,
    key: usize,
    is_tcp: bool,
}

impl UringSocket {
    /// The socket `key` of `driver`.
    pub fn new(driver: Rc<RefCell<Driver>>, key: usize, is_tcp: bool) -> Self {
        Self {
            driver,
            key,
            is_tcp,
        }
    }

    /// Its completions are about this connection from now on.
    pub fn register(&self, connection: usize) {
        self.driver.borrow_mut().register(self.key, connection);
    }

    /// Closes it, after what is in flight.
    pub fn close(self) {
        self.driver.borrow_mut().close(self.key);
    }
}

impl Transport for UringSocket {
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.driver.borrow_mut().receive(self.key, buf)
    }

    fn is_known_empty(&self) -> bool {
        let driver = self.driver.borrow();
        let peek = || {
            let peeked = recv(
                driver.descriptor(self.key)?,
                &mut [0],
                RecvFlags::PEEK | RecvFlags::DONTWAIT,
            );
            // 0: the peer has closed, and no byte lies before the end.
            Ok::<_, Errno>(matches!(peeked, Err(Errno::AGAIN) | Ok((_, 0))))
        };
        // Other sockets than those of TCP do not say how much they hold.
        driver.is_known_empty(self.key) && (self.is_tcp || peek() == Ok(true))
    }

    fn assume_readable(&mut self) {
        self.driver.borrow_mut().ask(self.key);
    }

    fn is_send_closed(&self) -> bool {
        self.driver.borrow().is_gone(self.key)
    }

    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<usize> {
        self.driver.borrow_mut().send(self.key, bytes, more)
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        copy: &mut [u8],
    ) -> io::Result<usize> {
        let mut driver = self.driver.borrow_mut();
        driver.send_file(self.key, file, offset, length, copy)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        let driver = self.driver.borrow();
        Ok(shutdown(driver.descriptor(self.key)?, Shutdown::Write)?)
    }

    fn reset_on_close(&mut self) {
        let driver = self.driver.borrow();
        if let Ok(descriptor) = driver.descriptor(self.key) {
            reset_on_close(descriptor);
        }
    }
}
