//! The seams: a `Transport`, an `Accept` and the `Sockets` of the engine, over the simulated
//! world. What the server does here is what it would do to the kernel, so this is where it is
//! watched.

use crate::faults::{Answer, Call};
use crate::line::Edge;
use crate::oracle::Seen;
use crate::world::{Said, Shared};
use oneloop::reactor::engine::Sockets;
use oneloop::reactor::listener::{Accept, Listener};
use oneloop::transport::{ReadReadiness, ReadyFlags, Transport};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// The server's end of a line.
pub struct Wire {
    world: Shared,
    id: usize,
    readiness: ReadReadiness,
}

/// One of the listening sockets.
pub struct Door(pub Shared, pub usize);

/// What the engine asks for.
pub struct House(pub Shared);

impl Wire {
    /// An event came for this socket.
    pub fn note(&mut self, edge: Edge) {
        self.readiness.on_ready(ReadyFlags {
            readable: edge.readable,
            read_until_blocked: edge.read_until_blocked,
        });
        self.world.borrow_mut().lines[self.id].seen.noted = true;
    }

    fn seen(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.world.borrow_mut().lines[self.id].seen);
    }

    /// A call is about to be made.
    fn visited(&self) {
        self.seen(|seen| seen.visited = true);
        self.world.borrow_mut().change_before_call();
    }

    /// Remembers a call and what came of it.
    fn tried<T: std::fmt::Debug>(&self, call: Call, result: &Result<T, Errno>) {
        let mut world = self.world.borrow_mut();
        let is_refused = matches!(result, Err(Errno::WOULDBLOCK));
        let line = &mut world.lines[self.id];
        line.tried = Some((call, is_refused));
        line.seen.progressed |= !is_refused;
        if line.closed {
            world.accuse(format!("{call:?} on line {} after it was closed", self.id));
        }
        world.stir(self.id);
        world.say(|| {
            let came_of_it = match result {
                Ok(done) => format!("{done:?}"),
                Err(Errno::WOULDBLOCK) => "would block".into(),
                Err(error) => error.to_string(),
            };
            format!("line {}: {call:?} -> {came_of_it}", self.id)
        });
    }
}

impl Transport for Wire {
    fn receive(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.visited();
        if room.is_empty() {
            self.world
                .borrow_mut()
                .accuse("a receive into no room".into());
        }
        if self.readiness.is_drained() {
            self.tried::<()>(Call::Receive, &Err(Errno::WOULDBLOCK));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let received = {
            let world = &mut *self.world.borrow_mut();
            let answer = world.answer(self.id, Call::Receive);
            world.lines[self.id].receive(room, answer)
        };
        self.tried(Call::Receive, &received);
        let received = received.map_err(io::Error::from);
        self.readiness.on_read(&received, room.len());
        let length = *received.as_ref().unwrap_or(&0);
        let is_shut = self.world.borrow().lines[self.id].shut;
        self.seen(|seen| seen.received(length, is_shut));
        received
    }

    fn is_drained(&self) -> bool {
        self.readiness.is_drained()
    }

    fn assume_readable(&mut self) {
        self.readiness.assume_readable();
        self.seen(|seen| seen.looks += 1);
    }

    fn send(&mut self, bytes: &[u8], _: bool) -> io::Result<usize> {
        self.visited();
        let sent = self.give(Call::Send, bytes.len() as u64, |line, length| {
            line.matcher.sent(&bytes[..length as usize])
        });
        self.tried(Call::Send, &sent);
        self.seen(|seen| seen.sent(*sent.as_ref().unwrap_or(&0), false));
        Ok(sent? as usize)
    }

    fn send_file(
        &mut self,
        file: &File,
        offset: u64,
        length: u64,
        _: &mut [u8],
    ) -> io::Result<usize> {
        self.visited();
        let (file, end) = self.world.borrow().file(file);
        let left = end.saturating_sub(offset).min(length);
        let sent = if left == 0 {
            self.world.borrow_mut().syscalls += 1;
            self.world.borrow_mut().lines[self.id].failed = true;
            Ok(0)
        } else {
            self.give(Call::SendFile, left, |line, length| {
                line.matcher.file_sent(file, offset, length)
            })
        };
        self.tried(Call::SendFile, &sent);
        self.seen(|seen| seen.sent(*sent.as_ref().unwrap_or(&0), true));
        Ok(sent? as usize)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.visited();
        let done = {
            let world = &mut *self.world.borrow_mut();
            let answer = world.answer(self.id, Call::Shutdown);
            if let Err(wrong) = world.lines[self.id].matcher.shut() {
                world.accuse(format!("line {}: {wrong}", self.id));
            }
            if !world.may_shut(self.id) {
                world.accuse(format!("line {}: shut before its last response", self.id));
            }
            world.lines[self.id].shut_down(answer)
        };
        self.tried(Call::Shutdown, &done);
        Ok(done?)
    }

    fn abort(&mut self) {
        self.world.borrow_mut().lines[self.id].aborted = true;
    }
}

impl Wire {
    /// Sends as much of `length` bytes as there is room for; `check` looks at what left.
    fn give(
        &mut self,
        call: Call,
        length: u64,
        check: impl FnOnce(&mut crate::line::Line, u64) -> Result<(), String>,
    ) -> Result<u64, Errno> {
        let world = &mut *self.world.borrow_mut();
        let answer = world.answer(self.id, call);
        let line = &mut world.lines[self.id];
        if line.shut || length == 0 {
            let what = format!(
                "line {}: {call:?} of {length} bytes, shut: {}",
                self.id, line.shut
            );
            world.accuse(what);
            return Err(Errno::PIPE);
        }
        let taken = line.room_for(length, answer)?;
        let checked = check(line, taken);
        line.has_sent();
        if let Err(wrong) = checked {
            world.accuse(format!("line {}: {wrong}", self.id));
        }
        Ok(taken)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        world.descriptors += 1;
        world.has_moved = true;
        if let Err(wrong) = world.lines[self.id].ends_in_order() {
            world.accuse(format!("line {}: {wrong}", self.id));
        }
        world.lines[self.id].may_lose = world.is_cut() || world.lines[self.id].has_said_all();
        world.lines[self.id].close();
        world.forget_token(self.id);
        world.stir(self.id);
        if let Err(wrong) = world.lines[self.id].matcher.closed() {
            world.accuse(format!("line {}: {wrong}", self.id));
        }
        let aborted = world.lines[self.id].aborted;
        world.say(|| format!("line {}: closed, aborted: {aborted}", self.id));
        world.judge_end(self.id);
    }
}

impl Accept for Door {
    type Stream = usize;

    fn accept(&mut self) -> io::Result<usize> {
        let Self(world, door) = self;
        let mut world = world.borrow_mut();
        world.doors[*door].passed_over = 0;
        if let Answer::Fails(error) = world.door_answer() {
            if error == Errno::CONNABORTED {
                world.next_waiting(*door);
            }
            world.door_said = Some(Said::Error(error));
            world.say(|| format!("accept at {door} -> {error}"));
            return Err(error.into());
        }
        if world.descriptors == 0 && !world.doors[*door].waiting.is_empty() {
            world.door_said = Some(Said::NoDescriptor);
            return Err(Errno::MFILE.into());
        }
        let next = world.next_waiting(*door);
        world.door_said = Some(next.map_or(Said::Nobody, |_| Said::Someone));
        world.say(|| format!("accept at {door} -> {next:?}"));
        let id = next.ok_or(io::Error::from(Errno::WOULDBLOCK))?;
        world.judge_order(*door);
        world.descriptors -= 1;
        world.lines[id].accepted = true;
        Ok(id)
    }

    fn stop_deferring(&mut self) -> bool {
        self.0.borrow().plan.holds_back
    }
}

impl Sockets<Door, Wire> for House {
    fn connect(&mut self, _: Listener, id: usize) -> io::Result<(Wire, Option<IpAddr>)> {
        self.0.borrow_mut().lines[id].is_welcome = true;
        let wire = Wire {
            world: self.0.clone(),
            id,
            readiness: ReadReadiness::default(),
        };
        Ok((wire, Some(address_of(id))))
    }

    fn register(&mut self, wire: &mut Wire, key: usize) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        let answer = world.answer(wire.id, Call::Register);
        let line = &mut world.lines[wire.id];
        if let Answer::Fails(error) = answer {
            line.failed = true;
            return Err(error.into());
        }
        line.register(key);
        world.stir(wire.id);
        Ok(())
    }

    fn release(&mut self, wire: Wire) {
        drop(wire);
    }

    fn close(&mut self, doors: Vec<Door>) {
        for Door(_, door) in doors {
            let mut world = self.0.borrow_mut();
            world.door_open = false;
            let could = world.descriptors > 0 && !world.plan.faults.may_fail();
            if could && !world.doors[door].waiting.is_empty() {
                world.accuse("a door was closed on somebody who waited".into());
            }
        }
    }
}

/// A peer's address tells whose line it is.
fn address_of(id: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(id as u32))
}

/// Whose line has this address.
pub fn id_of(address: Option<IpAddr>) -> usize {
    match address {
        Some(IpAddr::V4(address)) => address.to_bits() as usize,
        _ => usize::MAX,
    }
}
