//! The server's interfaces to the system (`Transport`, `Accept`, `Sockets`) over the simulated
//! kernel. They record each call and check it.

use crate::checker::Observed;
use crate::connection::Edge;
use crate::faults::{Call, CallResult};
use crate::kernel::{AcceptResult, SharedKernel};
use oneloop::event_loop::engine::Sockets;
use oneloop::handler::ListenerInfo;
use oneloop::listen::accept::Accept;
use oneloop::notifier::Notifier;
use oneloop::transport::{ReadReadiness, ReadyFlags, Transport};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The server's end of a connection.
pub struct SimSocket {
    kernel: SharedKernel,
    id: usize,
    readiness: ReadReadiness,
    is_send_closed: bool,
}

/// A listening socket.
pub struct SimListener(pub SharedKernel, pub usize);

/// The sockets of the engine.
pub struct SimSockets(pub SharedKernel);

impl SimSocket {
    /// An event for this socket.
    pub fn on_event(&mut self, edge: Edge) {
        self.readiness.on_ready(ReadyFlags {
            readable: edge.readable,
            read_until_blocked: edge.read_until_blocked,
        });
        let connection = &mut self.kernel.borrow_mut().connections[self.id];
        connection.observed.was_announced = true;
        self.is_send_closed |= edge.read_until_blocked && connection.reset;
    }

    fn observed(&self, change: impl FnOnce(&mut Observed)) {
        change(&mut self.kernel.borrow_mut().connections[self.id].observed);
    }

    /// Called before each system call.
    fn before_call(&self) {
        self.observed(|observed| observed.served = true);
        self.kernel.borrow_mut().change_before_call();
    }

    /// Records a call and its result.
    fn record<T: std::fmt::Debug>(&self, call: Call, result: &Result<T, Errno>) {
        let mut kernel = self.kernel.borrow_mut();
        let would_block = matches!(result, Err(Errno::WOULDBLOCK));
        let connection = &mut kernel.connections[self.id];
        connection.last_call = Some((call, would_block));
        connection.observed.progressed |= !would_block;
        if connection.closed {
            kernel.report_violation(format!(
                "{call:?} on connection {} after it was closed",
                self.id
            ));
        }
        kernel.touch(self.id);
        kernel.log(|| {
            let text = match result {
                Ok(done) => format!("{done:?}"),
                Err(Errno::WOULDBLOCK) => "would block".into(),
                Err(error) => error.to_string(),
            };
            format!("connection {}: {call:?} -> {text}", self.id)
        });
    }
}

impl Transport for SimSocket {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.before_call();
        if buffer.is_empty() {
            self.kernel
                .borrow_mut()
                .report_violation("a receive into an empty buffer".into());
        }
        if self.readiness.is_known_empty() {
            self.record::<()>(Call::Receive, &Err(Errno::WOULDBLOCK));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = {
            let kernel = &mut *self.kernel.borrow_mut();
            let result = kernel.result(self.id, Call::Receive);
            kernel.connections[self.id].receive(buffer, result)
        };
        self.record(Call::Receive, &received);
        let received = received.map_err(io::Error::from);
        self.readiness.on_read(&received, buffer.len());
        let length = *received.as_ref().unwrap_or(&0);
        let is_shut = self.kernel.borrow().connections[self.id].shut;
        self.observed(|observed| observed.received(length, is_shut));
        received
    }

    fn is_known_empty(&self) -> bool {
        self.readiness.is_known_empty()
    }

    fn is_send_closed(&self) -> bool {
        self.is_send_closed
    }

    fn assume_readable(&mut self) {
        self.readiness.assume_readable();
        self.observed(|observed| observed.rechecks += 1);
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.before_call();
        let sent = self.send_bytes(Call::Send, bytes.len() as u64, |connection, length| {
            connection.checker.sent(&bytes[..length as usize])
        });
        self.record(Call::Send, &sent);
        self.observed(|observed| observed.sent(*sent.as_ref().unwrap_or(&0), false));
        Ok(sent? as usize)
    }

    fn send_file(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        length: u64,
        _: &mut [u8],
    ) -> io::Result<usize> {
        self.before_call();
        let (file, end) = self.kernel.borrow().file(file);
        let left = end.saturating_sub(offset).min(length);
        let sent = if left == 0 {
            self.kernel.borrow_mut().syscalls += 1;
            self.kernel.borrow_mut().connections[self.id].failed = true;
            Ok(0)
        } else {
            self.send_bytes(Call::SendFile, left, |connection, length| {
                connection.checker.file_sent(file, offset, length)
            })
        };
        self.record(Call::SendFile, &sent);
        self.observed(|observed| observed.sent(*sent.as_ref().unwrap_or(&0), true));
        Ok(sent? as usize)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.before_call();
        let done = {
            let kernel = &mut *self.kernel.borrow_mut();
            let result = kernel.result(self.id, Call::Shutdown);
            if let Err(wrong) = kernel.connections[self.id].checker.shut() {
                kernel.report_violation(format!("connection {}: {wrong}", self.id));
            }
            if !kernel.may_shut_down(self.id) {
                kernel.report_violation(format!(
                    "connection {}: shut before its last response",
                    self.id
                ));
            }
            kernel.connections[self.id].shut_down(result)
        };
        self.record(Call::Shutdown, &done);
        Ok(done?)
    }

    fn reset_on_close(&mut self) {
        self.kernel.borrow_mut().connections[self.id].resets_on_close = true;
    }
}

impl SimSocket {
    /// Sends as many of `length` bytes as the socket accepts. `check` examines them.
    fn send_bytes(
        &mut self,
        call: Call,
        length: u64,
        check: impl FnOnce(&mut crate::connection::SimConnection, u64) -> Result<(), String>,
    ) -> Result<u64, Errno> {
        let kernel = &mut *self.kernel.borrow_mut();
        let result = kernel.result(self.id, call);
        let connection = &mut kernel.connections[self.id];
        if connection.shut || length == 0 {
            let what = format!(
                "connection {}: {call:?} of {length} bytes, shut: {}",
                self.id, connection.shut
            );
            kernel.report_violation(what);
            return Err(Errno::PIPE);
        }
        let taken = connection.space_for(length, result)?;
        let checked = check(connection, taken);
        connection.has_sent();
        if let Err(wrong) = checked {
            kernel.report_violation(format!("connection {}: {wrong}", self.id));
        }
        Ok(taken)
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut kernel = self.kernel.borrow_mut();
        kernel.descriptors += 1;
        kernel.has_moved = true;
        if let Err(wrong) = kernel.connections[self.id].ends_in_order() {
            kernel.report_violation(format!("connection {}: {wrong}", self.id));
        }
        kernel.connections[self.id].may_lose =
            kernel.is_abort_allowed() || kernel.connections[self.id].has_sent_last_request();
        kernel.connections[self.id].close();
        kernel.forget_token(self.id);
        kernel.touch(self.id);
        if let Err(wrong) = kernel.connections[self.id].checker.closed() {
            kernel.report_violation(format!("connection {}: {wrong}", self.id));
        }
        let resets = kernel.connections[self.id].resets_on_close;
        kernel.log(|| format!("connection {}: closed, with a reset: {resets}", self.id));
        kernel.check_close(self.id);
    }
}

impl Accept for SimListener {
    type Stream = usize;

    fn accept(&mut self) -> io::Result<usize> {
        let Self(kernel, listener) = self;
        let mut kernel = kernel.borrow_mut();
        kernel.listeners[*listener].passed_over = 0;
        if let CallResult::Error(error) = kernel.accept_result() {
            if error == Errno::CONNABORTED {
                kernel.pop_pending(*listener);
            }
            kernel.last_accept = Some(AcceptResult::Error(error));
            kernel.log(|| format!("accept at {listener} -> {error}"));
            return Err(error.into());
        }
        if kernel.descriptors == 0 && !kernel.listeners[*listener].pending.is_empty() {
            kernel.last_accept = Some(AcceptResult::NoDescriptor);
            return Err(Errno::MFILE.into());
        }
        let next = kernel.pop_pending(*listener);
        kernel.last_accept =
            Some(next.map_or(AcceptResult::NoneWaiting, |_| AcceptResult::Accepted));
        kernel.log(|| format!("accept at {listener} -> {next:?}"));
        let id = next.ok_or(io::Error::from(Errno::WOULDBLOCK))?;
        kernel.check_accept_order(*listener);
        kernel.descriptors -= 1;
        kernel.connections[id].accepted = true;
        Ok(id)
    }

    fn stop_deferring(&mut self) -> bool {
        self.0.borrow().scenario.defers_accept
    }
}

impl Sockets<SimListener, SimSocket> for SimSockets {
    fn make_transport(
        &mut self,
        _: ListenerInfo,
        id: usize,
    ) -> io::Result<(SimSocket, Option<SocketAddr>)> {
        self.0.borrow_mut().connections[id].is_connected = true;
        let socket = SimSocket {
            kernel: self.0.clone(),
            id,
            readiness: ReadReadiness::default(),
            is_send_closed: false,
        };
        Ok((socket, Some(SocketAddr::new(address_of(id), 1))))
    }

    fn register(&mut self, socket: &mut SimSocket, key: usize) -> io::Result<()> {
        let mut kernel = self.0.borrow_mut();
        let result = kernel.result(socket.id, Call::Register);
        let connection = &mut kernel.connections[socket.id];
        if let CallResult::Error(error) = result {
            connection.failed = true;
            return Err(error.into());
        }
        connection.register(key);
        kernel.touch(socket.id);
        Ok(())
    }

    fn close_connection(&mut self, socket: SimSocket) {
        drop(socket);
    }

    fn watch(&mut self, _: &Notifier) -> io::Result<()> {
        Ok(())
    }

    fn close_listeners(&mut self, listeners: Vec<SimListener>) {
        for SimListener(_, listener) in listeners {
            let mut kernel = self.0.borrow_mut();
            kernel.is_listening = false;
            let could = kernel.descriptors > 0 && !kernel.scenario.faults.may_fail();
            if could && !kernel.listeners[listener].pending.is_empty() {
                kernel.report_violation("a listener was closed while connections waited".into());
            }
        }
    }
}

/// The address of a peer contains the number of its connection.
fn address_of(id: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(id as u32))
}

/// The number of the connection with this address.
pub fn id_of(address: Option<IpAddr>) -> usize {
    match address {
        Some(IpAddr::V4(address)) => address.to_bits() as usize,
        _ => usize::MAX,
    }
}
