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

/// What a client does on a connection; it checks the responses.
pub type Behaviour = fn(&mut Client<'_>) -> Checked;

impl<'l> Client<'l> {
    /// A connection.
    pub fn connect(&mut self) -> Checked<Connection> {
        count(&self.context.counters.connections, 1);
        Connection::open(self.context.address, &mut self.random)
    }

    /// A connection with a small receive buffer: the server blocks soon.
    pub fn connect_narrow(&mut self) -> Checked<Connection> {
        count(&self.context.counters.connections, 1);
        let buffer = 8192 << self.random.below(5);
        Connection::narrow(self.context.address, &mut self.random, buffer)
    }

    /// Sends one request after the other on one connection.
    pub fn request_in_sequence(&mut self) -> Checked {
        let mut connection = self.connect()?;
        for _ in 0..=self.random.below(20) {
            let exchange = self.any_light();
            connection.send(exchange.request.as_bytes())?;
            self.expect_response(&mut connection, exchange)?;
        }
        self.finish(connection)
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
        let requests: String = exchanges
            .iter()
            .map(|exchange| exchange.request.as_str())
            .collect();
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
            self.expect_response(&mut connection, exchange)?;
        }
        self.finish(connection)
    }

    /// Requests more than all buffers hold before it receives anything: the socket refuses small
    /// responses, too, and the server has to keep them.
    pub fn request_more_than_the_buffers(&mut self) -> Checked {
        let mut connection = self.connect_narrow()?;
        let exchange = self.context.exchange("/inline.bin");
        let times = 300 + self.random.below(300);
        if !self.send_in_time(&mut connection, exchange.request.repeat(times).as_bytes())? {
            return Ok(());
        }
        sleep(Duration::from_millis(self.random.next() % 100));
        for _ in 0..times {
            self.expect_response(&mut connection, exchange)?;
        }
        self.finish(connection)
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
            self.expect_response(&mut connection, exchange)?;
        }
        self.expect_close(connection)
    }

    /// Sends its requests byte by byte.
    pub fn send_byte_by_byte(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchanges = [self.any_light(), self.any_light()];
        let pause = Duration::from_micros(self.random.below(2000) as u64);
        for byte in exchanges
            .iter()
            .flat_map(|exchange| exchange.request.as_bytes())
        {
            if !self.send_in_time(&mut connection, &[*byte])? {
                return Ok(());
            }
            if self.random.one_in(3) {
                sleep(pause);
            }
        }
        for exchange in exchanges {
            self.expect_response(&mut connection, exchange)?;
        }
        self.finish(connection)
    }

    /// Receives a file slowly.
    pub fn read_slowly(&mut self) -> Checked {
        let mut connection = self.connect_narrow()?;
        let exchange = self.context.exchange("/medium.bin");
        connection.send(exchange.request.as_bytes())?;
        connection.expect_head(&exchange.response)?;
        let piece = (8 << 10) << self.random.below(4);
        match connection.expect_body(exchange.response.body(), piece, sleep_for) {
            Ok(()) => count(&self.context.counters.responses, 1),
            Err(Fault::Ended(..)) if self.context.is_late(&connection, SEND) => return Ok(()),
            Err(fault) => return Err(self.about(exchange, fault)),
        }
        self.finish(connection)
    }

    /// Receives a large file as fast as possible.
    pub fn download(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.exchange("/large.bin");
        connection.send(exchange.request.as_bytes())?;
        self.expect_response(&mut connection, exchange)?;
        self.finish(connection)
    }

    /// Requests files that change, and receives some of them slowly.
    pub fn request_changing_files(&mut self) -> Checked {
        let context = self.context;
        let is_slow = self.random.one_in(8);
        let mut connection = match is_slow {
            true => self.connect_narrow()?,
            false => self.connect()?,
        };
        for _ in 0..=self.random.below(10) {
            let file = self.random.pick(&context.changing);
            let result = match is_slow {
                true => file.fetch(&mut connection, 32 << 10, sleep_for),
                false => file.fetch(&mut connection, PIECE, |_| {}),
            };
            match result {
                Ok(()) => count(&context.counters.responses, 1),
                Err(_) if is_slow && context.is_late(&connection, SEND) => return Ok(()),
                Err(error) => return Err(error),
            }
            if is_slow {
                break;
            }
        }
        self.finish(connection)
    }

    /// Sends a request after which the server closes, alone or behind others.
    pub fn send_the_last_request(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let mut exchanges: Vec<_> = (0..self.random.below(3))
            .map(|_| self.any_light())
            .collect();
        exchanges.push(self.context.any(Kind::Last, &mut self.random));
        let requests: String = exchanges
            .iter()
            .map(|exchange| exchange.request.as_str())
            .collect();
        connection.send(requests.as_bytes())?;
        for exchange in exchanges {
            self.expect_response(&mut connection, exchange)?;
        }
        self.expect_close(connection)
    }

    /// Requests several ranges.
    pub fn request_ranges(&mut self) -> Checked {
        let mut connection = self.connect()?;
        for exchange in self.context.exchanges(Kind::Parts) {
            connection.send(exchange.request.as_bytes())?;
            let head = connection.head()?;
            let response = exchange.response.with_boundary_of(&head);
            let response = response.ok_or_else(|| format!("no parts: {head}"))?;
            connection.check_head(head.as_bytes(), &response)?;
            connection
                .expect_body(response.body(), PIECE, |_| {})
                .map_err(|fault| self.about(exchange, fault))?;
            count(&self.context.counters.responses, 1);
        }
        self.finish(connection)
    }

    /// Requests a listing. The memory of listings is limited, so a request may be refused.
    pub fn list(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.any(Kind::Listing, &mut self.random);
        connection.send(exchange.request.as_bytes())?;
        let head = connection.head()?;
        if head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 1\r\n") {
            count(&self.context.counters.busy, 1);
            self.disconnect(connection);
            return Ok(());
        }
        connection.check_head(head.as_bytes(), &exchange.response)?;
        connection.expect_body(exchange.response.body(), PIECE, |_| {})?;
        count(&self.context.counters.responses, 1);
        self.finish(connection)
    }

    /// Sends a body of a megabyte, and receives only then.
    pub fn upload(&mut self) -> Checked {
        let mut connection = self.connect()?;
        let exchange = self.context.any(Kind::Upload, &mut self.random);
        let sent = connection.send(exchange.request.as_bytes());
        let sent = sent.and_then(|()| connection.send(&vec![b'x'; 1 << 20]));
        let result = sent.and_then(|()| Ok(connection.expect_response(&exchange.response)?));
        match result {
            Ok(()) => count(&self.context.counters.responses, 1),
            Err(_) if self.context.is_late(&connection, LINGER) => return Ok(()),
            Err(error) => return Err(format!("{:?}: {error}", exchange.request)),
        }
        self.expect_close(connection)
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
    fn expect_response(&mut self, connection: &mut Connection, exchange: &Exchange) -> Checked {
        connection
            .expect_response(&exchange.response)
            .map_err(|fault| self.about(exchange, fault))?;
        count(&self.context.counters.responses, 1);
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

    /// Half-closes and checks that the server closes, or disconnects.
    pub fn finish(&mut self, connection: Connection) -> Checked {
        if self.random.one_in(3) {
            connection.half_close()?;
            return self.expect_close(connection);
        }
        self.disconnect(connection);
        Ok(())
    }

    /// Disconnects, with a reset or without.
    pub fn disconnect(&mut self, connection: Connection) {
        count(&self.context.counters.bytes, connection.received);
        if self.random.one_in(2) {
            count(&self.context.counters.resets, 1);
            connection.reset();
        }
    }

    /// Checks that the server closes.
    pub fn expect_close(&mut self, mut connection: Connection) -> Checked {
        connection.expect_end()?;
        count(&self.context.counters.bytes, connection.received);
        Ok(())
    }
}

/// A second or so for a medium file.
fn sleep_for(length: usize) {
    sleep(Duration::from_secs_f64(length as f64 / MEDIUM as f64));
}
