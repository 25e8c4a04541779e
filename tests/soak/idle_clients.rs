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
    pub fn come(context: &Context, size: usize, random: &mut Random) -> Checked<Self> {
        let mut lines = Vec::with_capacity(size);
        let exchange = context.exchange("/small.txt");
        for number in 0..size {
            let mut connection = Connection::open(context.address, random)?;
            if number % 4 == 0 {
                connection.send(exchange.request.as_bytes())?;
                connection.hear(&exchange.answer)?;
                count(&context.tally.answers, 1);
            }
            lines.push(connection);
        }
        count(&context.tally.connections, size as u64);
        Ok(Self(lines))
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All send a request, many at once. Returns the number of responses.
    pub fn ask(&mut self, context: &Context, random: &mut Random) -> Checked<usize> {
        let mut answered = 0;
        let light = context.exchanges(Kind::Light);
        for group in self.0.chunks_mut(256) {
            let exchanges: Vec<_> = group.iter().map(|_| *random.pick(&light)).collect();
            for (connection, exchange) in group.iter_mut().zip(&exchanges) {
                connection.send(exchange.request.as_bytes())?;
            }
            for (connection, exchange) in group.iter_mut().zip(&exchanges) {
                let heard = connection.hear(&exchange.answer);
                heard.map_err(|fault| format!("idle until now: {fault}"))?;
                answered += 1;
            }
        }
        count(&context.tally.answers, answered as u64);
        Ok(answered)
    }

    /// Disconnects, half of them with a reset.
    pub fn go(self, context: &Context) {
        for (number, connection) in self.0.into_iter().enumerate() {
            if number % 2 == 0 {
                count(&context.tally.resets, 1);
                connection.reset();
            }
        }
    }
}

/// Connections that clients never end.
#[derive(Debug)]
pub struct StuckClients {
    /// They request a large file and receive nothing.
    deaf: Vec<Connection>,
    /// They have received the last response and its end, and stay.
    stubborn: Vec<Connection>,
}

impl StuckClients {
    /// Opens `size` connections of each kind.
    pub fn come(context: &Context, size: usize, random: &mut Random) -> Checked<Self> {
        let (mut deaf, mut stubborn) = (Vec::new(), Vec::new());
        let large = context.exchange("/large.bin");
        for _ in 0..size {
            let mut connection = Connection::narrow(context.address, random, 16 << 10)?;
            connection.send(large.request.as_bytes())?;
            deaf.push(connection);
            let mut connection = Connection::open(context.address, random)?;
            let exchange = context.any(Kind::Last, random);
            connection.send(exchange.request.as_bytes())?;
            connection.hear(&exchange.answer)?;
            connection.hear_end()?;
            stubborn.push(connection);
        }
        count(&context.tally.connections, 2 * size as u64);
        count(&context.tally.answers, size as u64);
        Ok(Self { deaf, stubborn })
    }

    /// The server has closed all of them: checks what they received.
    pub fn find_out(self, context: &Context) -> Checked {
        let exchange = context.exchange("/large.bin");
        for mut connection in self.deaf {
            connection.hear_head(&exchange.answer)?;
            let body = exchange.answer.body();
            let mut heard = 0;
            let ending = loop {
                match connection.receive(64 << 10) {
                    Ok(bytes) => {
                        if body.get(heard..heard + bytes.len()) != Some(bytes) {
                            return Err(format!(
                                "a client that read nothing: other bytes from {heard}"
                            ));
                        }
                        heard += bytes.len();
                    }
                    Err(ending) => break ending,
                }
            };
            if ending != Ending::Reset || heard == body.len() {
                return Err(format!(
                    "a client that read nothing: {ending:?} after {heard} bytes"
                ));
            }
            count(&context.tally.aborted, 1);
        }
        drop(self.stubborn);
        Ok(())
    }
}
