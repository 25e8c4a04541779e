//! Clients that stay connected: idle ones, which are served afterwards, and stuck ones, which the
//! server has to disconnect.

use crate::connection::{Checked, Connection, Ending};
use crate::context::{Context, count};
use crate::exchanges::Kind;
use crate::random::Random;

/// Connections that do nothing.
#[derive(Debug)]
pub struct IdleClients(Vec<Connection>);

impl IdleClients {
    /// Connects. Some send a request first.
    pub fn connect(context: &Context, size: usize, random: &mut Random) -> Checked<Self> {
        let mut connections = Vec::with_capacity(size);
        let exchange = context.exchange("/small.txt");
        for number in 0..size {
            let mut connection = Connection::open(context.address, random)?;
            if number % 4 == 0 {
                connection.send(exchange.request.as_bytes())?;
                connection.expect_response(&exchange.response)?;
                count(&context.counters.responses, 1);
            }
            connections.push(connection);
        }
        count(&context.counters.connections, size as u64);
        Ok(Self(connections))
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All send a request, many at once. Returns the number of responses.
    pub fn request_all(&mut self, context: &Context, random: &mut Random) -> Checked<usize> {
        let mut answered = 0;
        let light = context.exchanges(Kind::Light);
        for group in self.0.chunks_mut(256) {
            let exchanges: Vec<_> = group.iter().map(|_| *random.pick(&light)).collect();
            for (connection, exchange) in group.iter_mut().zip(&exchanges) {
                connection.send(exchange.request.as_bytes())?;
            }
            for (connection, exchange) in group.iter_mut().zip(&exchanges) {
                let result = connection.expect_response(&exchange.response);
                result.map_err(|fault| format!("idle until now: {fault}"))?;
                answered += 1;
            }
        }
        count(&context.counters.responses, answered as u64);
        Ok(answered)
    }

    /// Disconnects, half of them with a reset.
    pub fn disconnect(self, context: &Context) {
        for (number, connection) in self.0.into_iter().enumerate() {
            if number % 2 == 0 {
                count(&context.counters.resets, 1);
                connection.reset();
            }
        }
    }
}

/// Clients that would keep their connections for ever.
#[derive(Debug)]
pub struct StuckClients {
    /// They request a large file and receive nothing.
    reads_nothing: Vec<Connection>,
    /// They have received the last response and its end, and stay.
    never_closes: Vec<Connection>,
}

impl StuckClients {
    /// Opens `size` connections of each kind.
    pub fn connect(context: &Context, size: usize, random: &mut Random) -> Checked<Self> {
        let (mut reads_nothing, mut never_closes) = (Vec::new(), Vec::new());
        let large = context.exchange("/large.bin");
        for _ in 0..size {
            let mut connection = Connection::narrow(context.address, random, 16 << 10)?;
            connection.send(large.request.as_bytes())?;
            reads_nothing.push(connection);
            let mut connection = Connection::open(context.address, random)?;
            let exchange = context.any(Kind::Last, random);
            connection.send(exchange.request.as_bytes())?;
            connection.expect_response(&exchange.response)?;
            connection.expect_end()?;
            never_closes.push(connection);
        }
        count(&context.counters.connections, 2 * size as u64);
        count(&context.counters.responses, size as u64);
        Ok(Self {
            reads_nothing,
            never_closes,
        })
    }

    /// The server has closed all of them: checks what they received.
    pub fn check(self, context: &Context) -> Checked {
        let exchange = context.exchange("/large.bin");
        for mut connection in self.reads_nothing {
            connection.expect_head(&exchange.response)?;
            let body = exchange.response.body();
            let mut received = 0;
            let ending = loop {
                match connection.receive(64 << 10) {
                    Ok(bytes) => {
                        if body.get(received..received + bytes.len()) != Some(bytes) {
                            return Err(format!(
                                "a client that read nothing: other bytes from {received}"
                            ));
                        }
                        received += bytes.len();
                    }
                    Err(ending) => break ending,
                }
            };
            if ending != Ending::Reset || received == body.len() {
                return Err(format!(
                    "a client that read nothing: {ending:?} after {received} bytes"
                ));
            }
            count(&context.counters.aborted, 1);
        }
        drop(self.never_closes);
        Ok(())
    }
}
