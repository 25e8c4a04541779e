//! What is asked of the server while it is watched: always the same, by one thread.

use crate::client::{Answer, Client};
use crate::process::site;
use crate::server::{Cost, Tool, Watched};
use std::fs::{self, File};
use std::thread::sleep;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// Rounds of the shorter of the two runs that are compared.
pub const ROUNDS: usize = 50;

/// What is not told from nothing in these rounds: starting and stopping takes a few calls more
/// or less from one time to the next. A cost in every fourth round is beyond it.
pub const SLACK: i64 = ROUNDS as i64 / 5;

/// When the files were last modified, after 1970.
const AN_AGE: Duration = Duration::from_secs(1_000_000_000);

/// What a client does, round by round.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// As it is told.
    pub name: &'static str,
    /// The server's.
    pub options: &'static str,
    /// What belongs to one round.
    pub round: Round,
    /// The path. `#` becomes the number of the request.
    pub path: &'static str,
    /// Further lines of the head. `#` becomes the entity-tag of the small file.
    pub lines: &'static str,
    /// Of every answer.
    pub status: u16,
}

/// One round. The next begins when everything is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// One request, always on the same connection.
    One,
    /// A request on each of so many connections, which are there before the server looks.
    AtOnce(usize),
    /// So many requests in one write.
    Pipelined(usize),
    /// A connection for one request, which is there before the server looks. The client closes when
    /// the server has.
    Anew,
}

impl Round {
    /// How many requests it has.
    pub fn requests(self) -> usize {
        match self {
            Self::One | Self::Anew => 1,
            Self::AtOnce(many) | Self::Pipelined(many) => many,
        }
    }

    /// Whether the server is stopped while the clients act. Stopping and going on interrupts
    /// epoll_wait(2) some number of times, so that there it cannot be counted.
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
    /// What [`ROUNDS`] rounds cost: the difference of two processes, of which one has twice as many
    /// of them. What starting and stopping costs is in both.
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
        let known = client.ask("/small");
        let tag = known.field("ETag").expect("a file has a tag");
        server.rest();
        drop(client);
        server.rest();
        let clients = (0..self.round.connections()).map(|_| connect(&server));
        let mut clients: Vec<_> = clients.collect();
        for round in 0..rounds {
            let first = round * self.round.requests();
            let numbers = first..first + self.round.requests();
            let requests: Vec<_> = numbers.map(|number| self.request(number, tag)).collect();
            self.play(&server, &mut clients, &requests);
            server.rest();
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
                self.hear(&mut client);
                client.expect_end();
            }
            Round::AtOnce(_) => {
                server.frozen(|| {
                    for (client, request) in clients.iter_mut().zip(requests) {
                        client.send(request);
                    }
                });
                clients.iter_mut().for_each(|client| self.hear(client));
            }
            Round::One | Round::Pipelined(_) => {
                clients[0].send(requests.concat());
                for _ in requests {
                    self.hear(&mut clients[0]);
                }
            }
        }
    }

    fn request(&self, number: usize, tag: &str) -> String {
        let path = self.path.replace('#', &number.to_string());
        let lines = self.lines.replace('#', tag);
        format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
    }

    fn hear(&self, client: &mut Client) {
        let answer = match self.status {
            // It has no body, and no length.
            304 => Answer {
                head: client.head(),
                body: Vec::new(),
            },
            _ => client.answer(),
        };
        assert_eq!(answer.status(), self.status, "{}", self.name);
    }
}

fn connect(server: &Watched) -> Client {
    let client = Client::to(server.address());
    server.rest();
    client
}

/// A small file, a large one, and one for each request of the longest run. All are old, so that
/// the server remembers what it may.
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
    // That they were made just now shows, and is a reason to remember nothing.
    sleep(Duration::from_millis(50));
    root
}
