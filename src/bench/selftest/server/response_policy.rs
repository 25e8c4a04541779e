//! Room `bench`: what does an oracle answer, and when? No I/O, no clock: times are nanoseconds
//! since it began.

use super::text::{Text, Texts};
use super::{Manner, Oracle};
use crate::bench::load::Fault;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Every so many-th request is answered in a wrong way. Primes, so that the ways hardly ever meet;
/// where they do the first one counts.
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

/// One answer that is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its bytes.
    pub text: Rc<Text>,
    /// When the first of them may go.
    pub begins: u64,
    /// How long after that the last may go; those between in proportion.
    pub lasts: u64,
    /// What follows.
    pub end: End,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The next.
    Next,
    /// The end of the stream.
    Close,
    /// A reset.
    Reset,
}

/// What is remembered of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Which it was, from 0, in the order in which they were accepted.
    pub number: u64,
    /// Requests so far.
    asked: u64,
    /// When its last answer was, or is to be, complete.
    last: u64,
}

impl Memory {
    /// Of a new connection.
    pub fn of(number: u64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }
}

/// Who decides.
pub struct ResponsePolicy {
    manner: Manner,
    texts: Texts,
    /// Requests so far, of all connections.
    pub asked: u64,
    /// Answers that are wrong on purpose.
    pub faults: BTreeMap<Fault, u64>,
    /// Answers that are late on purpose.
    pub late: u64,
    /// When the first request came.
    pub first: Option<u64>,
    /// When the answers that are given one after the other are all given.
    free_at: u64,
}

impl ResponsePolicy {
    /// Of an oracle.
    pub fn new(oracle: &Oracle) -> Self {
        Self {
            manner: oracle.manner.clone(),
            texts: Texts::new(oracle.size),
            asked: 0,
            faults: BTreeMap::new(),
            late: 0,
            first: None,
            free_at: 0,
        }
    }

    /// Answers a request that came at `now`; or never will, if that is its manner.
    pub fn answer(&mut self, client: &mut Memory, now: u64) -> Option<Answer> {
        self.asked += 1;
        client.asked += 1;
        let first = *self.first.get_or_insert(now);
        let mut answer = Answer {
            text: self.texts.right.clone(),
            begins: now,
            lasts: 0,
            end: End::Next,
        };
        match &self.manner {
            Manner::Null | Manner::Refuse { .. } => {}
            Manner::Delay { long, among } => {
                answer.begins = now + long + client.phase(*long, *among);
            }
            Manner::Beat { long, among } => {
                let beat = match client.asked {
                    1 => now + long + client.phase(*long, *among),
                    _ => client.last + long,
                };
                answer.begins = beat + now.saturating_sub(beat).div_ceil(*long) * long;
            }
            Manner::Stall { after, long, each } => {
                let stall = first + after..first + after + long;
                let begins = now.max(self.free_at);
                let begins = if stall.contains(&begins) {
                    stall.end
                } else {
                    begins
                };
                self.free_at = begins + each;
                answer.begins = self.free_at;
            }
            Manner::TwoPoint { every, late } => {
                if self.asked.is_multiple_of(*every) {
                    answer.begins += late;
                    self.late += 1;
                }
            }
            Manner::Faulty => self.spoil(&mut answer),
            Manner::Paced { rate } => {
                answer.lasts = time_of(answer.text.body, *rate);
                // A client is quick to ask again; who is not has stopped reading.
                if client.asked > 1 && now.saturating_sub(client.last) < answer.lasts {
                    answer.begins = client.last;
                }
            }
            Manner::Quota { each } => {
                let number = usize::try_from(client.number).ok();
                let quota = number.and_then(|number| each.get(number));
                if client.asked > quota.copied().unwrap_or(0) {
                    return None;
                }
            }
        }
        client.last = answer.begins + answer.lasts;
        Some(answer)
    }

    /// Makes the answer to the present request a wrong one, if it is its turn.
    fn spoil(&mut self, answer: &mut Answer) {
        let turn = FAULTS
            .iter()
            .find(|(every, _)| self.asked.is_multiple_of(*every));
        let Some((_, fault)) = turn.copied() else {
            return;
        };
        let times = self.faults.entry(fault).or_default();
        answer.text = self.texts.wrong(fault, *times);
        answer.end = match fault {
            Fault::Truncated | Fault::Closed => End::Close,
            Fault::Reset => End::Reset,
            _ => End::Next,
        };
        *times += 1;
    }
}

impl Memory {
    /// How much later than others its first answer is.
    fn phase(&self, long: u64, among: u64) -> u64 {
        match self.asked {
            1 => long * (self.number % among) / among,
            _ => 0,
        }
    }
}

/// How long so many bytes take.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a size is below 2^53, and a float saturates"
)]
fn time_of(bytes: usize, rate: f64) -> u64 {
    (bytes as f64 / rate * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn mind(manner: Manner) -> ResponsePolicy {
        ResponsePolicy::new(&Oracle {
            manner,
            processor: None,
            size: 1000,
            log: false,
        })
    }

    /// When the answers to one client begin that asks at these times.
    fn begins(manner: Manner, asks: &[u64]) -> Vec<u64> {
        let (mut mind, mut client) = (mind(manner), Memory::of(1));
        let answers = asks.iter().filter_map(|at| mind.answer(&mut client, *at));
        answers.map(|answer| answer.begins).collect()
    }

    #[test]
    fn a_delay_counts_from_the_request_and_a_beat_from_the_last_answer() {
        let asks = [100, 250, 400, 405];
        let delay = Manner::Delay { long: 50, among: 2 };
        assert_eq!(begins(delay, &asks), [175, 300, 450, 455]);
        // 225 is over when 250 comes, and so are 275 to 375 when 400 comes.
        let beat = Manner::Beat { long: 50, among: 2 };
        assert_eq!(begins(beat, &asks), [175, 275, 425, 475]);
    }

    #[test]
    fn a_stall_holds_up_all_that_comes_meanwhile_and_they_are_served_in_turn() {
        let stall = Manner::Stall {
            after: 100,
            long: 200,
            each: 10,
        };
        let asks = [1000, 1005, 1150, 1200, 1295, 1400];
        assert_eq!(begins(stall, &asks), [1010, 1020, 1310, 1320, 1330, 1410]);
    }

    #[test]
    fn every_third_is_late() {
        let manner = Manner::TwoPoint { every: 3, late: MS };
        assert_eq!(
            begins(manner, &[1, 2, 3, 4, 5, 6]),
            [1, 2, 3 + MS, 4, 5, 6 + MS]
        );
    }

    #[test]
    fn a_paced_answer_begins_where_the_one_before_it_ends() {
        // 1000 bytes at 1 MB a second: a millisecond.
        let manner = Manner::Paced { rate: 1e6 };
        let asks = [0, MS + 10, 2 * MS + 10, 9 * MS];
        assert_eq!(begins(manner, &asks), [0, MS, 2 * MS, 9 * MS]);
    }

    #[test]
    fn a_quota_is_kept_and_others_have_none() {
        let mut mind = mind(Manner::Quota { each: vec![2, 1] });
        let mut answers = |number| {
            let mut client = Memory::of(number);
            (0..5).filter_map(|_| mind.answer(&mut client, 0)).count()
        };
        assert_eq!([0, 1, 2].map(&mut answers), [2, 1, 0]);
    }

    /// The counts follow from the number of requests alone.
    #[test]
    fn faults_are_as_many_as_the_table_of_primes_says() {
        let (mut mind, mut client) = (mind(Manner::Faulty), Memory::of(0));
        let asked = 97 * 89 + 1;
        let mut found: BTreeMap<Fault, u64> = BTreeMap::new();
        let mut wrong = 0;
        for at in 0..asked {
            let right = mind.texts.right.clone();
            wrong += u64::from(mind.answer(&mut client, at).unwrap().text != right);
        }
        for number in 1..=asked {
            if let Some((_, fault)) = FAULTS.iter().find(|(every, _)| number % every == 0) {
                *found.entry(*fault).or_default() += 1;
            }
        }
        assert_eq!(mind.faults, found);
        assert_eq!(found.values().sum::<u64>(), wrong);
        assert_eq!(found[&Fault::Truncated], 89, "none of the first is hidden");
        assert_eq!(found[&Fault::Status], 96, "one of the second is");
    }
}
