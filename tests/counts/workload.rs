//! The requests to the server: always the same, from one thread.

use crate::client::{Client, Response};
use crate::process::site;
use crate::server::{Cost, Tool, Watched};
use std::fs::{self, File};
use std::thread::sleep;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Rounds of the shorter of the two runs that are compared.
pub const ROUNDS: usize = 50;

/// The noise in the counts: starting and stopping takes a few calls more or less each time. A cost
/// in every fourth round is above it.
pub const SLACK: i64 = ROUNDS as i64 / 5;

/// The modification time of the files, since 1970.
const AN_AGE: Duration = Duration::from_secs(1_000_000_000);

/// What a client does, round by round.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name in the table.
    pub name: &'static str,
    /// The options of the server.
    pub options: &'static str,
    /// What one round is.
    pub round: Round,
    /// The path. `#` becomes the number of the request.
    pub path: &'static str,
    /// Further lines of the head. `#` becomes the entity-tag of the small file.
    pub lines: &'static str,
    /// The status of every response.
    pub status: u16,
}

/// One round. The next begins when all requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// One request, always on the same connection.
    One,
    /// A request on each of this many connections, all sent before the server runs.
    AtOnce(usize),
    /// This many requests in one write.
    Pipelined(usize),
    /// A new connection for one request, sent before the server runs. The client closes after the
    /// server.
    Anew,
}

impl Round {
    /// The number of requests.
    pub fn requests(self) -> usize {
        match self {
            Self::One | Self::Anew => 1,
            Self::AtOnce(many) | Self::Pipelined(many) => many,
        }
    }

    /// Whether the server is stopped while the clients send. That interrupts epoll_wait(2) an
    /// unknown number of times, so it is not counted.
    pub fn is_frozen(self) -> bool {
        matches!(self, Self::AtOnce(_) | Self::Anew)
    }

    fn connections(self) -> usize {
        match self {
            Self::One | Self::Pipelined(_) => 1,
            Self::AtOnce(many) => many,
            Self::Anew => 0,
        }
    }
}

impl Workload {
    /// The cost of [`ROUNDS`] rounds: the difference of two processes, one of which runs twice as
    /// many rounds. Both have the cost of starting and stopping.
    pub fn cost(&self, tool: Tool) -> Cost {
        let [once, twice] = [1, 2].map(|times| self.run(tool, times * ROUNDS));
        let mut cost = Cost::new();
        for (name, number) in twice {
            *cost.entry(name).or_default() += number;
        }
        for (name, number) in once {
            *cost.entry(name).or_default() -= number;
        }
        if self.round.is_frozen() {
            cost.remove("epoll_wait");
        }
        cost.retain(|_, number| number.abs() > SLACK);
        cost
    }

    fn run(&self, tool: Tool, rounds: usize) -> Cost {
        let root = files();
        let server = Watched::start(tool, root.path(), self.options);
        let mut client = connect(&server);
        let known = client.fetch("/small");
        let tag = known.field("ETag").expect("a file has a tag");
        server.wait_until_asleep();
        drop(client);
        server.wait_until_asleep();
        let clients = (0..self.round.connections()).map(|_| connect(&server));
        let mut clients: Vec<_> = clients.collect();
        for round in 0..rounds {
            let first = round * self.round.requests();
            let numbers = first..first + self.round.requests();
            let requests: Vec<_> = numbers.map(|number| self.request(number, tag)).collect();
            self.play(&server, &mut clients, &requests);
            server.wait_until_asleep();
        }
        drop(clients);
        server.finish()
    }

    fn play(&self, server: &Watched, clients: &mut [Client], requests: &[String]) {
        match self.round {
            Round::Anew => {
                let mut client = server.frozen(|| {
                    let mut client = Client::to(server.address());
                    client.send(&requests[0]);
                    client
                });
                self.expect_response(&mut client);
                client.expect_end();
            }
            Round::AtOnce(_) => {
                server.frozen(|| {
                    for (client, request) in clients.iter_mut().zip(requests) {
                        client.send(request);
                    }
                });
                clients
                    .iter_mut()
                    .for_each(|client| self.expect_response(client));
            }
            Round::One | Round::Pipelined(_) => {
                clients[0].send(requests.concat());
                for _ in requests {
                    self.expect_response(&mut clients[0]);
                }
            }
        }
    }

    fn request(&self, number: usize, tag: &str) -> String {
        let path = self.path.replace('#', &number.to_string());
        let lines = self.lines.replace('#', tag);
        format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
    }

    fn expect_response(&self, client: &mut Client) {
        let response = match self.status {
            // It has no body and no Content-Length.
            304 => Response {
                head: client.read_head(),
                body: Vec::new(),
            },
            _ => client.read_response(),
        };
        assert_eq!(response.status(), self.status, "{}", self.name);
    }
}

fn connect(server: &Watched) -> Client {
    let client = Client::to(server.address());
    server.wait_until_asleep();
    client
}

/// A small file, a large one, and one for each request of the longest run. All are old, so that the
/// server caches them.
fn files() -> TempDir {
    let large = vec![b'x'; 100 * 1024];
    let root = site(&[("small", &large[..1024]), ("large", &large)]);
    for number in 0..2 * ROUNDS {
        fs::write(root.path().join(format!("{number}")), &large[..1024]).unwrap();
    }
    for entry in fs::read_dir(root.path()).unwrap() {
        let file = File::options().append(true).open(entry.unwrap().path());
        file.unwrap().set_modified(UNIX_EPOCH + AN_AGE).unwrap();
    }
    // Their ctime is new, and the server does not cache a racy file.
    sleep(Duration::from_millis(50));
    root
}
