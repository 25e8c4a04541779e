//! The heads of the requests for the page `/request` and of their responses, which the page shows.

use super::life::Head;
use std::collections::VecDeque;

/// Exchanges that are kept: one for each page that is open, as a rule.
const KEPT: usize = 16;

/// A request for the page, and its response.
#[derive(Debug)]
pub struct Exchange {
    number: u64,
    /// The id of its connection.
    pub id: u64,
    /// The head of the request.
    pub request: Head,
    /// The head of the response; `None` until it is rendered.
    pub response: Option<Head>,
}

/// The latest exchanges.
#[derive(Debug, Default)]
pub struct Exchanges {
    kept: VecDeque<Exchange>,
    next: u64,
}

impl Exchanges {
    /// The connection `id` has asked for the page. Returns the number of the exchange.
    pub fn push(&mut self, id: u64, request: Head) -> u64 {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        let number = self.next;
        self.next += 1;
        self.kept.push_back(Exchange {
            number,
            id,
            request,
            response: None,
        });
        number
    }

    /// A response of the connection `id` was rendered.
    pub fn on_response(&mut self, id: u64, response: &Head) {
        if let Some(latest) = self.kept.back_mut().filter(|latest| latest.id == id) {
            latest.response.get_or_insert_with(|| response.clone());
        }
    }

    /// The exchange with this number; `None` if it is not kept any more.
    pub fn get(&self, number: u64) -> Option<&Exchange> {
        self.kept.iter().find(|exchange| exchange.number == number)
    }
}
