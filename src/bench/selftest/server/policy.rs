//! What a known-answer server responds, and when. No I/O, no clock: times are nanoseconds since its
//! start.

use super::{Policy, ServerConfig};
use crate::bench::load::{Fault, Page, body_hash};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Every n-th request gets a wrong response of this kind. The numbers are primes, so two kinds
/// rarely coincide; if they do, the first one counts.
pub const FAULTS: [(u64, Fault); 8] = [
    (97, Fault::Truncated),
    (89, Fault::Status),
    (83, Fault::Content),
    (79, Fault::Reset),
    (73, Fault::Closed),
    (71, Fault::Length),
    (67, Fault::Malformed),
    (61, Fault::Unsolicited),
];

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its bytes.
    pub message: Rc<Message>,
    /// When it is sent.
    pub due: u64,
    /// What happens afterwards.
    pub then: Then,
}

/// What happens after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The connection stays open.
    Continue,
    /// The connection is closed.
    Close,
    /// The connection is reset.
    Reset,
}

/// The bytes of a response.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Head and body.
    pub bytes: Vec<u8>,
    head_length: usize,
    body_length: usize,
    /// Whether a client gets a complete response.
    pub is_complete: bool,
}

impl Message {
    fn new(status: &str, length: usize, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        Self {
            head_length: head.len(),
            body_length: body.len(),
            is_complete: body.len() == length,
            bytes: [&head[..], body].concat(),
        }
    }

    /// How many of the first `sent` bytes belong to the body.
    pub fn body_bytes_in(&self, sent: usize) -> usize {
        sent.saturating_sub(self.head_length).min(self.body_length)
    }
}

/// The page of a known-answer server, with a body of `size` bytes.
pub fn page(size: usize) -> Page {
    let body = body(size);
    Page {
        path: "/".to_owned(),
        status: 200,
        length: Some(body.len() as u64),
        hash: Some(body_hash(&body)),
    }
}

fn body(size: usize) -> Vec<u8> {
    b"right ".iter().copied().cycle().take(size).collect()
}

/// All messages of a server.
struct Messages {
    correct: Rc<Message>,
    wrong: Vec<(Fault, Rc<Message>)>,
    /// Replaces every second message with status 500.
    not_found: Rc<Message>,
}

impl Messages {
    fn new(size: usize) -> Self {
        let correct = body(size);
        let half = correct.get(..size / 2).unwrap_or_default();
        let other: Vec<u8> = correct.iter().map(|byte| byte ^ 1).collect();
        let longer = [&correct[..], b"longer"].concat();
        let ok = |length, body: &[u8]| Message::new("200 OK", length, body);
        let mut unsolicited = ok(size, &correct);
        unsolicited.bytes.extend(b"unsolicited");
        let not_http = b"220 this is not HTTP\r\n\r\n";
        let malformed = Message {
            bytes: not_http.to_vec(),
            head_length: not_http.len(),
            ..Message::default()
        };
        let wrong = [
            (Fault::Truncated, ok(size, half)),
            (Fault::Status, Message::new("500 Wrong", size, &correct)),
            (Fault::Content, ok(size, &other)),
            (Fault::Length, ok(longer.len(), &longer)),
            (Fault::Malformed, malformed),
            (Fault::Unsolicited, unsolicited),
            (Fault::Reset, Message::default()),
            (Fault::Closed, Message::default()),
        ];
        Self {
            correct: Rc::new(ok(size, &correct)),
            wrong: wrong
                .map(|(fault, message)| (fault, Rc::new(message)))
                .into(),
            not_found: Rc::new(Message::new("404 Not Found", size, &correct)),
        }
    }

    /// The message for the `time`-th fault of this kind, from 0.
    fn wrong(&self, fault: Fault, time: u64) -> Rc<Message> {
        if fault == Fault::Status && time % 2 == 1 {
            return self.not_found.clone();
        }
        let found = self.wrong.iter().find(|(known, _)| *known == fault);
        found
            .map(|(_, message)| message.clone())
            .unwrap_or_default()
    }
}

/// What the policy needs to know of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionState {
    /// Its number in the order of accept, from 0.
    pub number: u64,
    requests: u64,
    /// When its last response was due.
    last_due: u64,
}

impl ConnectionState {
    /// A new connection.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// How much later its first response is, so that connections are spread over `period`.
    fn offset(&self, period: u64, connections: u64) -> u64 {
        match self.requests {
            1 => period * (self.number % connections) / connections,
            _ => 0,
        }
    }
}

/// Decides on responses.
pub struct Responder {
    policy: Policy,
    messages: Messages,
    /// Requests of all connections.
    pub requests: u64,
    /// Wrong responses by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Late responses.
    pub late: u64,
    /// When the first request arrived.
    pub first_request: Option<u64>,
    /// When a server that responds to one request after the other is free again.
    free_at: u64,
}

impl Responder {
    /// A responder with the policy of a configuration.
    pub fn new(config: &ServerConfig) -> Self {
        Self {
            policy: config.policy.clone(),
            messages: Messages::new(config.body_size),
            requests: 0,
            faults: BTreeMap::new(),
            late: 0,
            first_request: None,
            free_at: 0,
        }
    }

    /// The response to a request that arrives at `now`; `None` if there never is one.
    pub fn respond(&mut self, connection: &mut ConnectionState, now: u64) -> Option<Response> {
        self.requests += 1;
        connection.requests += 1;
        let first = *self.first_request.get_or_insert(now);
        let mut response = Response {
            message: self.messages.correct.clone(),
            due: now,
            then: Then::Continue,
        };
        match &self.policy {
            Policy::Immediate | Policy::Refuse { .. } => {}
            Policy::Delay { delay, connections } => {
                response.due = now + delay + connection.offset(*delay, *connections);
            }
            Policy::Interval {
                interval,
                connections,
            } => {
                let due = match connection.requests {
                    1 => now + interval + connection.offset(*interval, *connections),
                    _ => connection.last_due + interval,
                };
                response.due = due + now.saturating_sub(due).div_ceil(*interval) * interval;
            }
            Policy::Stall {
                after,
                length,
                service_time,
            } => {
                let stall = first + after..first + after + length;
                let begin = now.max(self.free_at);
                let begin = match stall.contains(&begin) {
                    true => stall.end,
                    false => begin,
                };
                self.free_at = begin + service_time;
                response.due = self.free_at;
            }
            Policy::TwoPoint { every, delay } => {
                if self.requests.is_multiple_of(*every) {
                    response.due += delay;
                    self.late += 1;
                }
            }
            Policy::Faulty => self.make_wrong(&mut response),
            Policy::Quota { responses } => {
                let number = usize::try_from(connection.number).ok();
                let quota = number.and_then(|number| responses.get(number));
                if connection.requests > quota.copied().unwrap_or(0) {
                    return None;
                }
            }
        }
        connection.last_due = response.due;
        Some(response)
    }

    /// Makes the response to the current request a wrong one, if its number says so.
    fn make_wrong(&mut self, response: &mut Response) {
        let fault = FAULTS
            .iter()
            .find(|(every, _)| self.requests.is_multiple_of(*every));
        let Some((_, fault)) = fault.copied() else {
            return;
        };
        let times = self.faults.entry(fault).or_default();
        response.message = self.messages.wrong(fault, *times);
        response.then = match fault {
            Fault::Truncated | Fault::Closed => Then::Close,
            Fault::Reset => Then::Reset,
            _ => Then::Continue,
        };
        *times += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn responder(policy: Policy) -> Responder {
        Responder::new(&ServerConfig {
            policy,
            body_size: 1000,
            logs_arrivals: false,
        })
    }

    /// When the responses to requests at these times are due, on one connection.
    fn due(policy: Policy, requests: &[u64]) -> Vec<u64> {
        let (mut responder, mut connection) = (responder(policy), ConnectionState::new(1));
        let responses = requests
            .iter()
            .filter_map(|at| responder.respond(&mut connection, *at));
        responses.map(|response| response.due).collect()
    }

    #[test]
    fn a_delay_starts_at_the_request_and_an_interval_at_the_last_response() {
        let requests = [100, 250, 400, 405];
        let delay = Policy::Delay {
            delay: 50,
            connections: 2,
        };
        assert_eq!(due(delay, &requests), [175, 300, 450, 455]);
        // 225 has passed when 250 comes, and 275 to 375 when 400 comes.
        let interval = Policy::Interval {
            interval: 50,
            connections: 2,
        };
        assert_eq!(due(interval, &requests), [175, 275, 425, 475]);
    }

    #[test]
    fn requests_that_come_in_a_stall_are_served_one_after_the_other_after_it() {
        let stall = Policy::Stall {
            after: 100,
            length: 200,
            service_time: 10,
        };
        let requests = [1000, 1005, 1150, 1200, 1295, 1400];
        assert_eq!(due(stall, &requests), [1010, 1020, 1310, 1320, 1330, 1410]);
    }

    #[test]
    fn every_third_response_is_late() {
        let policy = Policy::TwoPoint {
            every: 3,
            delay: 100,
        };
        assert_eq!(due(policy, &[1, 2, 3, 4, 5, 6]), [1, 2, 103, 4, 5, 106]);
    }

    #[test]
    fn a_connection_gets_the_responses_of_its_quota() {
        let policy = Policy::Quota {
            responses: vec![2, 1],
        };
        let mut responder = responder(policy);
        let mut responses = |number| {
            let mut connection = ConnectionState::new(number);
            (0..5)
                .filter_map(|_| responder.respond(&mut connection, 0))
                .count()
        };
        assert_eq!([0, 1, 2].map(&mut responses), [2, 1, 0]);
    }

    #[test]
    fn the_number_of_requests_decides_the_number_of_faults() {
        let (mut responder, mut connection) = (responder(Policy::Faulty), ConnectionState::new(0));
        let requests = 97 * 89 + 1;
        let mut expected: BTreeMap<Fault, u64> = BTreeMap::new();
        let mut wrong = 0;
        for at in 0..requests {
            let correct = responder.messages.correct.clone();
            let response = responder.respond(&mut connection, at).unwrap();
            wrong += u64::from(response.message != correct);
        }
        for number in 1..=requests {
            if let Some((_, fault)) = FAULTS.iter().find(|(every, _)| number % every == 0) {
                *expected.entry(*fault).or_default() += 1;
            }
        }
        assert_eq!(responder.faults, expected);
        assert_eq!(expected.values().sum::<u64>(), wrong);
        assert_eq!(
            expected[&Fault::Truncated],
            89,
            "the first kind always counts"
        );
        assert_eq!(
            expected[&Fault::Status],
            96,
            "one coincides with the first kind"
        );
    }

    #[test]
    fn each_wrong_message_is_wrong_in_one_way_only() {
        let messages = Messages::new(12);
        let of = |fault, time| {
            let message = messages.wrong(fault, time);
            let bytes = String::from_utf8(message.bytes.clone()).unwrap();
            (bytes, message.is_complete)
        };
        let message = |status: &str, length: usize, body: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
        };
        let (ok, correct) = ("200 OK", "right right ");
        let long = "right right longer";
        let more = "right right unsolicited";
        for (fault, time, bytes, is_complete) in [
            (Fault::Truncated, 0, message(ok, 12, "right "), false),
            (Fault::Status, 0, message("500 Wrong", 12, correct), true),
            (
                Fault::Status,
                1,
                message("404 Not Found", 12, correct),
                true,
            ),
            (Fault::Content, 0, message(ok, 12, "shfiu!shfiu!"), true),
            (Fault::Length, 0, message(ok, 18, long), true),
            (Fault::Unsolicited, 0, message(ok, 12, more), true),
            (Fault::Reset, 0, String::new(), false),
            (Fault::Closed, 0, String::new(), false),
        ] {
            assert_eq!(of(fault, time), (bytes, is_complete), "{fault:?}");
        }
        assert_eq!(messages.correct.body_bytes_in(1000), 12);
        assert_eq!(page(12).length, Some(12));
    }
}
