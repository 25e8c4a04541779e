//! Bytes ready to send: headers, and bodies small enough to ride along. A leaf: std only.
//!
//! Responses to requests that arrived together gather here and leave in one write. Like
//! the inbox it holds no memory while it is empty: the loop lends its own buffer, and
//! only what the socket refused to take moves into memory of the connection's own.

/// Bytes rendered and not yet taken by the socket.
#[derive(Debug, Default)]
pub struct Outbox {
    buffer: Vec<u8>,
    /// `buffer[..sent]` is gone.
    sent: usize,
    /// Bytes of bodies among those that were appended since it was last empty.
    body: u32,
    /// Bytes of framing behind the last of them.
    behind: u32,
}

impl Outbox {
    /// Whether everything has been sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.buffer.len()
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// What is to be sent next.
    pub fn unsent(&self) -> &[u8] {
        self.buffer.get(self.sent..).unwrap_or_default()
    }

    /// The end of the buffer, to append to.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Of the bytes just appended, `length` are a body, and `behind` follow it.
    pub fn record_body(&mut self, length: u64, behind: u32) {
        self.body = (self.body).saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        self.behind = behind;
    }

    /// The socket took `length` bytes.
    pub fn sent(&mut self, length: usize) {
        self.sent += length;
        debug_assert!(self.sent <= self.buffer.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops everything. Returns how many of the unsent bytes belong to bodies. (If several
    /// responses were gathered and some of them were sent, a part of a header may count, too.)
    pub fn abandon(&mut self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let unsent = u32::try_from(self.unsent().len()).unwrap_or(u32::MAX);
        let unsent_body = unsent.saturating_sub(self.behind).min(self.body);
        self.clear();
        unsent_body.into()
    }

    fn clear(&mut self) {
        self.buffer.clear();
        (self.sent, self.body, self.behind) = (0, 0, 0);
    }

    /// Takes the loop's buffer if the outbox has none of its own.
    pub fn borrow_from(&mut self, spare: &mut Vec<u8>) {
        if self.buffer.capacity() == 0 {
            std::mem::swap(&mut self.buffer, spare);
        }
    }

    /// Gives the loop's buffer back, moving what is unsent into a buffer of its own size.
    /// With nothing unsent, no memory stays behind.
    pub fn give_back_to(&mut self, spare: &mut Vec<u8>) {
        if spare.capacity() == 0 {
            let own = self.unsent().to_vec();
            *spare = std::mem::replace(&mut self.buffer, own);
            spare.clear();
            self.sent = 0;
        } else if self.is_empty() {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abandoning_returns_how_many_bytes_of_a_body_were_not_sent() {
        for (sent, unsent_body) in [(0, 5), (8, 5), (11, 2), (13, 0), (14, 0), (15, 0)] {
            let mut outbox = Outbox::default();
            outbox.end().extend_from_slice(b"header, hello\r\n");
            outbox.record_body(5, 2);
            outbox.sent(sent);
            assert_eq!(outbox.abandon(), unsent_body);
            assert_eq!((outbox.abandon(), outbox.unsent()), (0, &b""[..]));
        }
        let mut outbox = Outbox::default();
        for _ in 0..2 {
            outbox.end().extend_from_slice(b"header, hello");
            outbox.record_body(5, 0);
        }
        assert_eq!(outbox.abandon(), 10);
    }

    #[test]
    fn an_outbox_with_nothing_unsent_holds_no_memory() {
        let mut spare = Vec::with_capacity(100);
        let mut outbox = Outbox::default();
        outbox.borrow_from(&mut spare);
        outbox.end().extend_from_slice(b"hello world");
        outbox.sent(6);
        outbox.give_back_to(&mut spare);
        assert!(spare.is_empty() && spare.capacity() == 100);
        assert_eq!(
            (outbox.unsent(), outbox.buffer.capacity()),
            (b"world".as_slice(), 5)
        );
        outbox.borrow_from(&mut spare);
        assert_eq!(
            spare.capacity(),
            100,
            "an outbox with bytes keeps its own buffer"
        );
        outbox.end().extend_from_slice(b"!");
        outbox.sent(6);
        assert!(outbox.is_empty());
        outbox.give_back_to(&mut spare);
        assert_eq!((spare.capacity(), outbox.buffer.capacity()), (100, 0));
    }
}
