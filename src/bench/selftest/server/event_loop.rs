//! Room `bench`: the loop of an oracle, which never sleeps.
//!
//! It asks every connection in turn whether something has come. So nobody has to be woken, which
//! is what answers later and less steadily than was meant; it knows the time to a microsecond; and
//! under load it has fewer system calls for each request than any client. It takes a processor
//! for itself, and gives it away whenever nothing was to be done.

use super::response_policy::{Answer, End, Memory, ResponsePolicy};
use super::{Manner, Oracle, ServerCounters};
use crate::clock::Now;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Received at once.
const BUFFER: usize = 16 * 1024;
/// Answers that may wait on one connection before more requests are read.
const QUEUE: usize = 64;
/// Of an answer that is given slowly, so much at once at least.
const PIECE: usize = 4096;
/// A turn of so many looks for new connections; so does each in which nothing was to be done.
const TURNS: u64 = 16;
/// Connections whose answers are counted one by one.
const COUNTED: usize = 10_000;
/// Arrivals that are kept.
const LOGGED: usize = 1_000_000;

/// Serves until `end`.
///
/// # Errors
/// Those of accept(2).
pub fn serve(
    oracle: &Oracle,
    listener: TcpListener,
    end: &AtomicBool,
) -> io::Result<ServerCounters> {
    listener.set_nonblocking(true)?;
    let mut listener = Some(listener);
    let mut clients: Vec<Client> = Vec::new();
    let mut desk = Desk {
        mind: ResponsePolicy::new(oracle),
        ledger: ServerCounters::default(),
        log: oracle.log,
        origin: Now::read().instant,
        buffer: vec![0; BUFFER],
    };
    let mut turn = 0;
    let mut was_idle = true;
    while !end.load(Ordering::Relaxed) {
        turn += 1;
        let mut did = false;
        if (was_idle || turn % TURNS == 0)
            && let Some(client) = listener.as_ref().map(accept).transpose()?.flatten()
        {
            clients.push(Client::new(client, &mut desk.ledger));
            did = true;
            if is_enough(oracle, desk.ledger.connections) {
                listener = None;
            }
        }
        clients.retain_mut(|client| client.visit(&mut desk, &mut did).is_some());
        was_idle = !did;
        if was_idle {
            std::thread::yield_now();
        }
    }
    Ok(desk.close())
}

fn is_enough(oracle: &Oracle, connections: u64) -> bool {
    matches!(oracle.manner, Manner::Refuse { most } if connections >= most)
}

fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(Some(stream))
        }
        Err(error) if is_nothing(&error) => Ok(None),
        // Who has left before he was accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What all clients share.
struct Desk {
    mind: ResponsePolicy,
    ledger: ServerCounters,
    log: bool,
    origin: Instant,
    buffer: Vec<u8>,
}

impl Desk {
    fn now(&self) -> u64 {
        let since = Now::read().instant.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn close(self) -> ServerCounters {
        ServerCounters {
            requests: self.mind.asked,
            faults: self.mind.faults,
            late: self.mind.late,
            ..self.ledger
        }
    }
}

/// One connection.
struct Client {
    stream: TcpStream,
    memory: Memory,
    /// How much of the empty line that ends a head has come.
    matched: usize,
    answers: VecDeque<Answer>,
    /// Bytes of the first of them that were handed over.
    given: usize,
}

impl Client {
    fn new(stream: TcpStream, ledger: &mut ServerCounters) -> Self {
        let number = ledger.connections;
        ledger.connections += 1;
        if ledger.shares.len() < COUNTED {
            ledger.shares.push(0);
        }
        Self {
            stream,
            memory: Memory::of(number),
            matched: 0,
            answers: VecDeque::new(),
            given: 0,
        }
    }

    /// Takes what has come, and gives what is due. `None` when it is over.
    fn visit(&mut self, desk: &mut Desk, did: &mut bool) -> Option<()> {
        if self.answers.len() < QUEUE {
            self.receive(desk, did)?;
        }
        while let Some(answer) = self.answers.front() {
            let due = due(answer, desk.now());
            let piece = answer.text.bytes.get(self.given..due).unwrap_or_default();
            let is_last = due == answer.text.bytes.len();
            if !is_last && piece.len() < PIECE {
                return Some(());
            }
            *did = true;
            if !piece.is_empty() {
                match self.stream.write(piece) {
                    Ok(length) => {
                        let body = |given: usize| answer.text.body_in(given) as u64;
                        desk.ledger.body_bytes += body(self.given + length) - body(self.given);
                        self.given += length;
                    }
                    Err(error) if is_nothing(&error) => return Some(()),
                    Err(_) => return None,
                }
            }
            if self.given < answer.text.bytes.len() {
                return Some(());
            }
            self.finish(desk)?;
        }
        Some(())
    }

    /// The first answer is given.
    fn finish(&mut self, desk: &mut Desk) -> Option<()> {
        let answer = self.answers.pop_front()?;
        self.given = 0;
        if answer.text.is_whole {
            desk.ledger.answers += 1;
            let number = usize::try_from(self.memory.number).ok();
            if let Some(share) = number.and_then(|number| desk.ledger.shares.get_mut(number)) {
                *share += 1;
            }
        }
        match answer.end {
            End::Next => Some(()),
            End::Close => None,
            End::Reset => {
                // Where that fails the client counts an end, which the comparison shows.
                let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
                None
            }
        }
    }

    fn receive(&mut self, desk: &mut Desk, did: &mut bool) -> Option<()> {
        desk.ledger.looks.0 += 1;
        let length = match self.stream.read(&mut desk.buffer) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if is_nothing(&error) => {
                desk.ledger.looks.1 += 1;
                return Some(());
            }
            Err(_) => return None,
        };
        *did = true;
        let now = desk.now();
        let bytes = desk.buffer.get(..length).unwrap_or_default();
        let mut requests = 0;
        for byte in bytes {
            self.matched = match (self.matched, byte) {
                (0 | 2, b'\r') | (1, b'\n') => self.matched + 1,
                (3, b'\n') => {
                    requests += 1;
                    0
                }
                (_, b'\r') => 1,
                _ => 0,
            };
        }
        for _ in 0..requests {
            self.answers.extend(desk.mind.answer(&mut self.memory, now));
            if desk.log && desk.ledger.arrivals.len() < LOGGED {
                let first = desk.mind.first.unwrap_or(now);
                desk.ledger.arrivals.push(now - first);
            }
        }
        Some(())
    }
}

/// How many bytes of an answer may be given by `now`.
fn due(answer: &Answer, now: u64) -> usize {
    let all = answer.text.bytes.len();
    match now.checked_sub(answer.begins) {
        None => 0,
        Some(since) if since >= answer.lasts => all,
        Some(since) => {
            let part = all as u128 * u128::from(since) / u128::from(answer.lasts);
            usize::try_from(part).unwrap_or(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::Texts;
    use super::*;

    #[test]
    fn bytes_are_due_in_proportion_to_the_time() {
        let answer = Answer {
            text: Texts::new(1000).right.clone(),
            begins: 100,
            lasts: 1000,
            end: End::Next,
        };
        let all = answer.text.bytes.len();
        let found = [0, 99, 100, 600, 1099, 1100, 5000].map(|now| due(&answer, now));
        assert_eq!(found, [0, 0, 0, all / 2, all - 2, all, all]);
        assert_eq!(due(&Answer { lasts: 0, ..answer }, 100), all);
    }
}
