//! Customers who stay: those who do nothing while the storm lasts and are served after it, and
//! those whom the server has to show the door.

use crate::chance::Chance;
use crate::lab::{Lab, count};
use crate::line::{Checked, Ending, Line};
use crate::questions::Kind;

/// Connections that do nothing.
#[derive(Debug)]
pub struct Crowd(Vec<Line>);

impl Crowd {
    /// Comes in. Some ask something first.
    pub fn come(lab: &Lab, size: usize, chance: &mut Chance) -> Checked<Self> {
        let mut lines = Vec::with_capacity(size);
        let question = lab.question("/small.txt");
        for number in 0..size {
            let mut line = Line::open(lab.address, chance)?;
            if number % 4 == 0 {
                line.send(question.request.as_bytes())?;
                line.hear(&question.answer)?;
                count(&lab.tally.answers, 1);
            }
            lines.push(line);
        }
        count(&lab.tally.connections, size as u64);
        Ok(Self(lines))
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Everybody asks something, and many at once. Returns who has been answered.
    pub fn ask(&mut self, lab: &Lab, chance: &mut Chance) -> Checked<usize> {
        let mut answered = 0;
        let light = lab.questions(Kind::Light);
        for group in self.0.chunks_mut(256) {
            let questions: Vec<_> = group.iter().map(|_| *chance.pick(&light)).collect();
            for (line, question) in group.iter_mut().zip(&questions) {
                line.send(question.request.as_bytes())?;
            }
            for (line, question) in group.iter_mut().zip(&questions) {
                let heard = line.hear(&question.answer);
                heard.map_err(|fault| format!("idle until now: {fault}"))?;
                answered += 1;
            }
        }
        count(&lab.tally.answers, answered as u64);
        Ok(answered)
    }

    /// Goes, every other one with a reset.
    pub fn go(self, lab: &Lab) {
        for (number, line) in self.0.into_iter().enumerate() {
            if number % 2 == 0 {
                count(&lab.tally.resets, 1);
                line.reset();
            }
        }
    }
}

/// Connections that never end by themselves.
#[derive(Debug)]
pub struct Squatters {
    /// They ask for a large file and take none of it.
    deaf: Vec<Line>,
    /// They have heard the last answer, and the end of it, and stay.
    stubborn: Vec<Line>,
}

impl Squatters {
    /// So many of each kind.
    pub fn come(lab: &Lab, size: usize, chance: &mut Chance) -> Checked<Self> {
        let (mut deaf, mut stubborn) = (Vec::new(), Vec::new());
        let large = lab.question("/large.bin");
        for _ in 0..size {
            let mut line = Line::narrow(lab.address, chance, 16 << 10)?;
            line.send(large.request.as_bytes())?;
            deaf.push(line);
            let mut line = Line::open(lab.address, chance)?;
            let question = lab.any(Kind::Last, chance);
            line.send(question.request.as_bytes())?;
            line.hear(&question.answer)?;
            line.hear_end()?;
            stubborn.push(line);
        }
        count(&lab.tally.connections, 2 * size as u64);
        count(&lab.tally.answers, size as u64);
        Ok(Self { deaf, stubborn })
    }

    /// The server has closed all of them: now they look what it left them.
    pub fn find_out(self, lab: &Lab) -> Checked {
        let question = lab.question("/large.bin");
        for mut line in self.deaf {
            line.hear_head(&question.answer)?;
            let body = question.answer.body();
            let mut heard = 0;
            let ending = loop {
                match line.receive(64 << 10) {
                    Ok(bytes) => {
                        if body.get(heard..heard + bytes.len()) != Some(bytes) {
                            return Err(format!("who took nothing: other bytes from {heard}"));
                        }
                        heard += bytes.len();
                    }
                    Err(ending) => break ending,
                }
            };
            if ending != Ending::Reset || heard == body.len() {
                return Err(format!("who took nothing: {ending:?} after {heard} bytes"));
            }
            count(&lab.tally.aborted, 1);
        }
        drop(self.stubborn);
        Ok(())
    }
}
