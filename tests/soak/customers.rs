//! Customers who want to be served, each in a way of its own; and how each takes its leave.

use crate::chance::Chance;
use crate::lab::{HEADER, LINGER, Lab, SEND, count};
use crate::line::{Checked, Fault, Line, PIECE};
use crate::questions::{Kind, Question};
use crate::site::MEDIUM;
use std::thread::sleep;
use std::time::Duration;

/// One customer.
#[derive(Debug)]
pub struct Customer<'l> {
    /// Whom it visits.
    pub lab: &'l Lab,
    /// Its number: no other one has it at the same time.
    pub number: usize,
    /// What it decides by.
    pub chance: Chance,
}

/// A visit, of which the customer knows what is to come of it.
pub type Visit = fn(&mut Customer<'_>) -> Checked;

impl<'l> Customer<'l> {
    /// A connection.
    pub fn connect(&mut self) -> Checked<Line> {
        count(&self.lab.tally.connections, 1);
        Line::open(self.lab.address, &mut self.chance)
    }

    /// A connection with a small receive buffer: what is not read soon stops the server.
    pub fn connect_narrow(&mut self) -> Checked<Line> {
        count(&self.lab.tally.connections, 1);
        let buffer = 8192 << self.chance.below(5);
        Line::narrow(self.lab.address, &mut self.chance, buffer)
    }

    /// Asks one question after the other on one connection.
    pub fn ask(&mut self) -> Checked {
        let mut line = self.connect()?;
        for _ in 0..=self.chance.below(20) {
            let question = self.any_light();
            line.send(question.request.as_bytes())?;
            self.hear(&mut line, question)?;
        }
        self.leave(line)
    }

    /// Asks many at once, in one packet or a few, and hears the answers in that order. Half of them
    /// have little room for answers, and the server has to keep what the socket refuses.
    pub fn pipeline(&mut self) -> Checked {
        let mut line = match self.chance.one_in(2) {
            true => self.connect()?,
            false => self.connect_narrow()?,
        };
        let questions: Vec<_> = (0..2 + self.chance.below(50))
            .map(|_| self.any_light())
            .collect();
        let requests: String = questions.iter().map(|one| one.request.as_str()).collect();
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            let length = rest.len().min(1 + self.chance.below(requests.len()));
            if !self.send_in_time(&mut line, &rest[..length])? {
                return Ok(());
            }
            rest = &rest[length..];
        }
        sleep(Duration::from_millis(self.chance.next() % 20));
        for question in questions {
            self.hear(&mut line, question)?;
        }
        self.leave(line)
    }

    /// Asks for more than fits into all buffers on the way, before it takes anything: then even
    /// what is gathered in memory is refused by the socket, and the server has to keep it.
    pub fn order_a_lot(&mut self) -> Checked {
        let mut line = self.connect_narrow()?;
        let question = self.lab.question("/riding.bin");
        let times = 300 + self.chance.below(300);
        if !self.send_in_time(&mut line, question.request.repeat(times).as_bytes())? {
            return Ok(());
        }
        sleep(Duration::from_millis(self.chance.next() % 100));
        for _ in 0..times {
            self.hear(&mut line, question)?;
        }
        self.leave(line)
    }

    /// Says that this was all, and hears the answers then.
    pub fn half_close(&mut self) -> Checked {
        let mut line = self.connect()?;
        let mut questions: Vec<_> = (0..self.chance.below(4))
            .map(|_| self.any_light())
            .collect();
        questions.push(self.lab.question("/medium.bin"));
        for question in &questions {
            line.send(question.request.as_bytes())?;
        }
        line.half_close()?;
        for question in questions {
            self.hear(&mut line, question)?;
        }
        self.end(line)
    }

    /// Sends its requests byte by byte.
    pub fn drip(&mut self) -> Checked {
        let mut line = self.connect()?;
        let questions = [self.any_light(), self.any_light()];
        let pause = Duration::from_micros(self.chance.below(2000) as u64);
        for byte in questions.iter().flat_map(|one| one.request.as_bytes()) {
            if !self.send_in_time(&mut line, &[*byte])? {
                return Ok(());
            }
            if self.chance.one_in(3) {
                sleep(pause);
            }
        }
        for question in questions {
            self.hear(&mut line, question)?;
        }
        self.leave(line)
    }

    /// Takes a file a bit at a time.
    pub fn read_slowly(&mut self) -> Checked {
        let mut line = self.connect_narrow()?;
        let question = self.lab.question("/medium.bin");
        line.send(question.request.as_bytes())?;
        line.hear_head(&question.answer)?;
        let piece = (8 << 10) << self.chance.below(4);
        match line.hear_body(question.answer.body(), piece, sleep_for) {
            Ok(()) => count(&self.lab.tally.answers, 1),
            Err(Fault::Ended(..)) if self.lab.is_late(&line, SEND) => return Ok(()),
            Err(fault) => return Err(self.about(question, fault)),
        }
        self.leave(line)
    }

    /// Takes a large file as fast as it comes.
    pub fn download(&mut self) -> Checked {
        let mut line = self.connect()?;
        let question = self.lab.question("/large.bin");
        line.send(question.request.as_bytes())?;
        self.hear(&mut line, question)?;
        self.leave(line)
    }

    /// Asks for files that change, some of them slowly.
    pub fn watch(&mut self) -> Checked {
        let lab = self.lab;
        let is_slow = self.chance.one_in(8);
        let mut line = match is_slow {
            true => self.connect_narrow()?,
            false => self.connect()?,
        };
        for _ in 0..=self.chance.below(10) {
            let file = self.chance.pick(&lab.changing);
            let asked = match is_slow {
                true => file.ask(&mut line, 32 << 10, sleep_for),
                false => file.ask(&mut line, PIECE, |_| {}),
            };
            match asked {
                Ok(()) => count(&lab.tally.answers, 1),
                Err(_) if is_slow && lab.is_late(&line, SEND) => return Ok(()),
                Err(error) => return Err(error),
            }
            if is_slow {
                break;
            }
        }
        self.leave(line)
    }

    /// Asks what the server closes after: on its own, or behind others.
    pub fn ask_for_the_last_time(&mut self) -> Checked {
        let mut line = self.connect()?;
        let mut questions: Vec<_> = (0..self.chance.below(3))
            .map(|_| self.any_light())
            .collect();
        questions.push(self.lab.any(Kind::Last, &mut self.chance));
        let requests: String = questions.iter().map(|one| one.request.as_str()).collect();
        line.send(requests.as_bytes())?;
        for question in questions {
            self.hear(&mut line, question)?;
        }
        self.end(line)
    }

    /// Asks for several ranges at once.
    pub fn ask_for_parts(&mut self) -> Checked {
        let mut line = self.connect()?;
        for question in self.lab.questions(Kind::Parts) {
            line.send(question.request.as_bytes())?;
            let head = line.head()?;
            let answer = question.answer.with_boundary_of(&head);
            let answer = answer.ok_or_else(|| format!("no parts: {head}"))?;
            line.check_head(head.as_bytes(), &answer)?;
            line.hear_body(answer.body(), PIECE, |_| {})
                .map_err(|fault| self.about(question, fault))?;
            count(&self.lab.tally.answers, 1);
        }
        self.leave(line)
    }

    /// Looks at a directory. Only so many listings are made at once.
    pub fn list(&mut self) -> Checked {
        let mut line = self.connect()?;
        let question = self.lab.any(Kind::Listing, &mut self.chance);
        line.send(question.request.as_bytes())?;
        let head = line.head()?;
        if head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nRetry-After: 1\r\n") {
            count(&self.lab.tally.busy, 1);
            self.vanish(line);
            return Ok(());
        }
        line.check_head(head.as_bytes(), &question.answer)?;
        line.hear_body(question.answer.body(), PIECE, |_| {})?;
        count(&self.lab.tally.answers, 1);
        self.leave(line)
    }

    /// Uploads a megabyte to who does not want it, and only then listens.
    pub fn upload(&mut self) -> Checked {
        let mut line = self.connect()?;
        let question = self.lab.any(Kind::Upload, &mut self.chance);
        let mut sent = line.send(question.request.as_bytes());
        sent = sent.and_then(|()| line.send(&vec![b'x'; 1 << 20]));
        let heard = sent.and_then(|()| Ok(line.hear(&question.answer)?));
        match heard {
            Ok(()) => count(&self.lab.tally.answers, 1),
            Err(_) if self.lab.is_late(&line, LINGER) => return Ok(()),
            Err(error) => return Err(format!("{:?}: {error}", question.request)),
        }
        self.end(line)
    }

    /// Sends a part of what is asked, and says whether that was in time for the whole of it.
    fn send_in_time(&self, line: &mut Line, bytes: &[u8]) -> Checked<bool> {
        let sent = line.send(bytes);
        match self.lab.is_late(line, HEADER) {
            true => Ok(false),
            false => sent.map(|()| true),
        }
    }

    /// Hears one answer.
    fn hear(&mut self, line: &mut Line, question: &Question) -> Checked {
        line.hear(&question.answer)
            .map_err(|fault| self.about(question, fault))?;
        count(&self.lab.tally.answers, 1);
        Ok(())
    }

    fn about(&self, question: &Question, fault: Fault) -> String {
        let request = &question.request;
        format!("{:?}: {fault}", &request[..request.len().min(200)])
    }

    /// A question with a short answer, after which the connection stays.
    fn any_light(&mut self) -> &'l Question {
        self.lab.any(Kind::Light, &mut self.chance)
    }

    /// Takes leave in one of three ways.
    pub fn leave(&mut self, line: Line) -> Checked {
        if self.chance.one_in(3) {
            line.half_close()?;
            return self.end(line);
        }
        self.vanish(line);
        Ok(())
    }

    /// Is gone, with a reset or without.
    pub fn vanish(&mut self, line: Line) {
        count(&self.lab.tally.bytes, line.received);
        if self.chance.one_in(2) {
            count(&self.lab.tally.resets, 1);
            line.reset();
        }
    }

    /// Hears that the server closes.
    pub fn end(&mut self, mut line: Line) -> Checked {
        line.hear_end()?;
        count(&self.lab.tally.bytes, line.received);
        Ok(())
    }
}

/// A second or so for a medium file.
fn sleep_for(length: usize) {
    sleep(Duration::from_secs_f64(length as f64 / MEDIUM as f64));
}
