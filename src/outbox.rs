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

    /// The socket took `length` bytes.
    pub fn sent(&mut self, length: usize) {
        self.sent += length;
        debug_assert!(self.sent <= self.buffer.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets everything: the connection is lost.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.sent = 0;
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
