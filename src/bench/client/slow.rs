//! Room `bench`: those who send or read slowly on purpose.

use super::connection::Got;
use super::event_loop::Play;
use std::cmp::Reverse;

/// Between two pieces of what is sent or read slowly, ns.
pub const PACE: u64 = 20_000_000;
/// The longest piece, bytes: to read it takes some 10 us.
const MOST: f64 = 65_536.0;
/// What those send who never come to an end.
const DRIP: &[u8] = b"GET / HTTP/1.1\r\nHost: drip\r\n";
const DRIPS: &[u8] = b"X-Drip: drop\r\n";

impl Play<'_> {
    /// Sends a little of a head that never ends.
    pub(super) fn drip(&mut self, index: usize, rate: f64, now: u64) {
        let Some(line) = self.lines.get_mut(index) else {
            return;
        };
        let (length, pause) = portion(rate);
        // A server that takes nothing is not sent ever more.
        let length = if line.unsent.is_empty() { length } else { 0 };
        for _ in 0..length {
            let at = line.page;
            let endless = DRIPS.get(at.saturating_sub(DRIP.len()) % DRIPS.len());
            line.unsent.extend(DRIP.get(at).or(endless));
            line.page += 1;
        }
        line.flush();
        self.timers.push(Reverse((now + pause, index, line.begun)));
    }

    /// Reads a little.
    pub(super) fn sip(&mut self, index: usize, rate: f64, now: u64) {
        let (mut left, pause) = portion(rate);
        let Some(begun) = self.lines.get(index).map(|line| line.begun) else {
            return;
        };
        self.timers.push(Reverse((now + pause, index, begun)));
        let mut buffer = std::mem::take(&mut self.buffer);
        // A portion may be longer than the buffer.
        while left > 0 {
            let most = left.min(buffer.len());
            let (Some(line), Some(part)) = (self.lines.get_mut(index), buffer.get_mut(..most))
            else {
                break;
            };
            match line.receive(part) {
                Got::Bytes(length) => {
                    left = left.saturating_sub(length.max(1));
                    self.take(index, part.get(..length).unwrap_or_default(), now);
                }
                Got::Nothing => break,
                got @ (Got::End | Got::Failed) => {
                    self.ended(index, got == Got::Failed, now);
                    break;
                }
            }
        }
        self.buffer = buffer;
    }
}

/// How many bytes at once, and how long until the next, for so many bytes a second. Never so many
/// that others wait for it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate is positive, and a float saturates"
)]
fn portion(rate: f64) -> (usize, u64) {
    let length = (rate * PACE as f64 / 1e9).ceil().clamp(1.0, MOST);
    (length as usize, (length / rate * 1e9) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_keep_the_rate() {
        assert_eq!(portion(1.0), (1, 1_000_000_000));
        assert_eq!(portion(50.0), (1, 20_000_000));
        assert_eq!(portion(20_000.0), (400, 20_000_000));
        assert_eq!(portion(75.0), (2, 26_666_666));
        assert_eq!(portion(65_536e3), (65_536, 1_000_000));
    }
}
