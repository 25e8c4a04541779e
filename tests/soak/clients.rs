//! Well-behaved clients: the kinds of requests, and ways to disconnect.

use crate::connection::{Checked, Connection, Fault, PIECE};
use crate::context::{Context, HEADER, LINGER, SEND, count};
use crate::exchanges::{Exchange, Kind};
use crate::random::Random;
use crate::site::MEDIUM;
use std::thread::sleep;
use std::time::Duration;

/// A client.
#[derive(Debug)]
pub struct Client<'l> {
    /// The server and the counters.
    pub context: &'l Context,
    /// Its number, unique at a time.
    pub number: usize,
    /// Its random numbers.
    pub random: Random,
}

/// The kinds of visits; each checks the responses.
pub type Visit = fn(&mut Client<'_>) -> Checked;

impl<'l> Client<'l> {
    /// A connection.
    pub fn connect(&mut self) -> Checked<Connection> {
        count(&self.context.tally.connections, 1);
        Connection::open(self.context.address, &mut self.random)
    }

    /// A connection with a small receive buffer: the server blocks soon.
    pub fn connect_narrow(&mut self) -> Checked<Connection> {
        count(&self.context.tally.connections, 1);
        let buffer = 8192 << self.random.below(5);
        Connection::narrow(self.context.address, &mut self.random, buffer)
    }

    /// Sends one request after the other on one connection.
    pub fn ask(&mut self) -> Checked {
        let mut connection = self.connect()?;
        for _ in 0..=self.random.below(20) {
            let exchange = self.any_light();
            connection.send(exchange.request.as_bytes())?;
            self.hear(&mut connection, exchange)?;
        }
        self.leave(connection)
    }

    /// Pipelines many requests in one or a few packets, and receives the responses in order. Half
    /// of the clients have a small buffer, so the server has to keep what the socket refuses.
    pub fn pipeline(&mut self) -> Checked {
        let mut connection = match self.random.one_in(2) {
            true => self.connect()?,
            false => self.connect_narrow()?,
        };
        let exchanges: Vec<_> = (0..2 + self.random.below(50))
            .map(|_| self.any_light())
            .collect();
        let requests: String = exchanges.iter().map(|one| one.request.as_str()).collect();
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            let length = rest.len().min(1 + self.random.below(requests.len()));
            if !self.send_in_time(&mut connection, &rest[..length])? {
                return Ok(());
            }
            rest = &rest[length..];
        }
        sleep(Duration::from_millis(self.random.next() % 20));
        for exchange in exchanges {
            self.hear(&mut connection, exchange)?;
        }
        self.leave(connection)
    }

    /// Requests more than all buffers hold before it receives anything: the socket refuses small
    /// responses, too, and the server has to keep them.
    pub fn request_more_than_the_buffers(&mut self) -> Checked {
        let mut connection = self.connect_narrow()?;
        let exchange = self.context.exchange("/riding.bin");
        let times = 300 + self.random.below(300);
        if !self.send_in_time(&mut connection, exchange.request.repeat(times).as_bytes())? {
            return Ok(());
        }
        sleep(Duration::from_millis(self.random.next() % 100));
        for _ in 0..times {
            self.hear(&mut connection, exchange)?;
        }
        self.leave(connection)
    }

    /// Shuts down its sending side, and receives the responses.
    pub fn half_close(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let mut exchanges: Vec<_> = (0..self.random.below(4))
            .map(|_| self.any_light())
            .collect();
        exchanges.push(self.context.exchange("/medium.bin"));
        for exchange in &exchanges {
            connection.send(exchange.request.as_bytes())?;
        }
        connection.half_close()?;
        for exchange in exchanges {
            self.hear(&mut connection, exchange)?;
        }
        self.end(connection)
    }

    /// Sends its requests byte by byte.
    pub fn drip(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchanges = [self.any_light(), self.any_light()];
        let pause = Duration::from_micros(self.random.below(2000) as u64);
        for byte in exchanges.iter().flat_map(|one| one.request.as_bytes()) {
            if !self.send_in_time(&mut connection, &[*byte])? {
                return Ok(());
            }
            if self.random.one_in(3) {
                sleep(pause);
            }
        }
        for exchange in exchanges {
            self.hear(&mut connection, exchange)?;
        }
        self.leave(connection)
    }

    /// Receives a file slowly.
    pub fn read_slowly(&mut self) -> Checked {
        let mut connection = self.connect_narrow()?;
        let exchange = self.context.exchange("/medium.bin");
        connection.send(exchange.request.as_bytes())?;
        connection.hear_head(&exchange.answer)?;
        let piece = (8 << 10) << self.random.below(4);
        match connection.hear_body(exchange.answer.body(), piece, sleep_for) {
            Ok(()) => count(&self.context.tally.answers, 1),
            Err(Fault::Ended(..)) if self.context.is_late(&connection, SEND) => return Ok(()),
            Err(fault) => return Err(self.about(exchange, fault)),
        }
        self.leave(connection)
    }

    /// Receives a large file as fast as possible.
    pub fn download(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.exchange("/large.bin");
        connection.send(exchange.request.as_bytes())?;
        self.hear(&mut connection, exchange)?;
        self.leave(connection)
    }

    /// Requests files that change, and receives some of them slowly.
    pub fn watch(&mut self) -> Checked {
        let context = self.context;
        let is_slow = self.random.one_in(8);
        let mut connection = match is_slow {
            true => self.connect_narrow()?,
            false => self.connect()?,
        };
        for _ in 0..=self.random.below(10) {
            let file = self.random.pick(&context.changing);
            let asked = match is_slow {
                true => file.ask(&mut connection, 32 << 10, sleep_for),
                false => file.ask(&mut connection, PIECE, |_| {}),
            };
            match asked {
                Ok(()) => count(&context.tally.answers, 1),
                Err(_) if is_slow && context.is_late(&connection, SEND) => return Ok(()),
                Err(error) => return Err(error),
            }
            if is_slow {
                break;
            }
        }
        self.leave(connection)
    }

    /// Sends a request after which the server closes, alone or behind others.
    pub fn send_the_last_request(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let mut exchanges: Vec<_> = (0..self.random.below(3))
            .map(|_| self.any_light())
            .collect();
        exchanges.push(self.context.any(Kind::Last, &mut self.random));
        let requests: String = exchanges.iter().map(|one| one.request.as_str()).collect();
        connection.send(requests.as_bytes())?;
        for exchange in exchanges {
            self.hear(&mut connection, exchange)?;
        }
        self.end(connection)
    }

    /// Requests several ranges.
    pub fn ask_for_parts(&mut self) -> Checked {
        let mut connection = self.connect()?;
        for exchange in self.context.exchanges(Kind::Parts) {
            connection.send(exchange.request.as_bytes())?;
            let head = connection.head()?;
            let answer = exchange.answer.with_boundary_of(&head);
            let answer = answer.ok_or_else(|| format!("no parts: {head}"))?;
            connection.check_head(head.as_bytes(), &answer)?;
            connection
                .hear_body(answer.body(), PIECE, |_| {})
                .map_err(|fault| self.about(exchange, fault))?;
            count(&self.context.tally.answers, 1);
        }
        self.leave(connection)
    }

    /// Requests a listing. Their memory is limited: it may be refused.
    pub fn list(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.any(Kind::Listing, &mut self.random);
        connection.send(exchange.request.as_bytes())?;
        let head = connection.head()?;
        if head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 1\r\n") {
            count(&self.context.tally.busy, 1);
            self.vanish(connection);
            return Ok(());
        }
        connection.check_head(head.as_bytes(), &exchange.answer)?;
        connection.hear_body(exchange.answer.body(), PIECE, |_| {})?;
        count(&self.context.tally.answers, 1);
        self.leave(connection)
    }

    /// Sends a body of a megabyte, and receives only then.
    pub fn upload(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.any(Kind::Upload, &mut self.random);
        let mut sent = connection.send(exchange.request.as_bytes());
        sent = sent.and_then(|()| connection.send(&vec![b'x'; 1 << 20]));
        let heard = sent.and_then(|()| Ok(connection.hear(&exchange.answer)?));
        match heard {
            Ok(()) => count(&self.context.tally.answers, 1),
            Err(_) if self.context.is_late(&connection, LINGER) => return Ok(()),
            Err(error) => return Err(format!("{:?}: {error}", exchange.request)),
        }
        self.end(connection)
    }

    /// Sends a part of a request. Returns whether that was in time.
    fn send_in_time(&self, connection: &mut Connection, bytes: &[u8]) -> Checked<bool> {
        let sent = connection.send(bytes);
        match self.context.is_late(connection, HEADER) {
            true => Ok(false),
            false => sent.map(|()| true),
        }
    }

    /// Receives a response.
    fn hear(&mut self, connection: &mut Connection, exchange: &Exchange) -> Checked {
        connection
            .hear(&exchange.answer)
            .map_err(|fault| self.about(exchange, fault))?;
        count(&self.context.tally.answers, 1);
        Ok(())
    }

    fn about(&self, exchange: &Exchange, fault: Fault) -> String {
        let request = &exchange.request;
        format!("{:?}: {fault}", &request[..request.len().min(200)])
    }

    /// A request with a short response, after which the connection stays open.
    fn any_light(&mut self) -> &'l Exchange {
        self.context.any(Kind::Light, &mut self.random)
    }

    /// Disconnects in one of three ways.
    pub fn leave(&mut self, connection: Connection) -> Checked {
        if self.random.one_in(3) {
            connection.half_close()?;
            return self.end(connection);
        }
        self.vanish(connection);
        Ok(())
    }

    /// Disconnects, with a reset or without.
    pub fn vanish(&mut self, connection: Connection) {
        count(&self.context.tally.bytes, connection.received);
        if self.random.one_in(2) {
            count(&self.context.tally.resets, 1);
            connection.reset();
        }
    }

    /// Checks that the server closes.
    pub fn end(&mut self, mut connection: Connection) -> Checked {
        connection.hear_end()?;
        count(&self.context.tally.bytes, connection.received);
        Ok(())
    }
}

/// A second or so for a medium file.
fn sleep_for(length: usize) {
    sleep(Duration::from_secs_f64(length as f64 / MEDIUM as f64));
}
