//! Bytes to send: heads, and bodies that are small enough to be sent with them.
//!
//! Responses to requests that arrived together are gathered here and sent in one write. Like the
//! read buffer it holds no memory while it is empty: the loop lends its own buffer, and only the
//! bytes that the socket did not take are copied to a buffer of the connection's own.

/// Bytes that are rendered and not yet taken by the socket.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    buffer: Vec<u8>,
    /// `buffer[..sent]` is sent.
    sent: usize,
    /// Bytes of bodies that were appended since the buffer was last empty.
    body: u32,
    /// Bytes of framing after the last of them.
    trailing_framing: u32,
}

impl WriteBuffer {
    /// Whether everything has been sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.buffer.len()
    }

    /// Bytes of memory that it holds.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The bytes that are not sent.
    pub fn unsent(&self) -> &[u8] {
        self.buffer.split_at(self.sent).1
    }

    /// The end of the buffer, to append to.
    pub fn end(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Of the bytes just appended, `length` are a body, and `trailing_framing` follow it.
    pub fn record_body(&mut self, length: u64, trailing_framing: u32) {
        self.body = (self.body).saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        self.trailing_framing = trailing_framing;
    }

    /// The socket took `length` bytes.
    pub fn on_sent(&mut self, length: usize) {
        self.sent += length;
        assert!(self.sent <= self.buffer.len());
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
        let unsent_body = unsent.saturating_sub(self.trailing_framing).min(self.body);
        self.clear();
        unsent_body.into()
    }

    fn clear(&mut self) {
        self.buffer.clear();
        (self.sent, self.body, self.trailing_framing) = (0, 0, 0);
    }

    /// Borrows the loop's buffer if this one has none of its own.
    pub fn borrow_from(&mut self, loop_buffer: &mut Vec<u8>) {
        if self.buffer.capacity() == 0 {
            std::mem::swap(&mut self.buffer, loop_buffer);
        }
    }

    /// Gives the loop's buffer back. Copies unsent bytes to a buffer that is as large as they are;
    /// without any, keeps no memory.
    pub fn give_back_to(&mut self, loop_buffer: &mut Vec<u8>) {
        if loop_buffer.capacity() == 0 {
            let own = self.unsent().to_vec();
            *loop_buffer = std::mem::replace(&mut self.buffer, own);
            loop_buffer.clear();
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
            let mut write_buffer = WriteBuffer::default();
            write_buffer.end().extend_from_slice(b"header, hello\r\n");
            write_buffer.record_body(5, 2);
            write_buffer.on_sent(sent);
            assert_eq!(write_buffer.abandon(), unsent_body);
            assert_eq!(
                (write_buffer.abandon(), write_buffer.unsent()),
                (0, &b""[..])
            );
        }
        let mut write_buffer = WriteBuffer::default();
        for _ in 0..2 {
            write_buffer.end().extend_from_slice(b"header, hello");
            write_buffer.record_body(5, 0);
        }
        assert_eq!(write_buffer.abandon(), 10);
    }

    #[test]
    fn a_write_buffer_with_nothing_unsent_holds_no_memory() {
        let mut loop_buffer = Vec::with_capacity(100);
        let mut write_buffer = WriteBuffer::default();
        write_buffer.borrow_from(&mut loop_buffer);
        write_buffer.end().extend_from_slice(b"hello world");
        write_buffer.on_sent(6);
        write_buffer.give_back_to(&mut loop_buffer);
        assert!(loop_buffer.is_empty() && loop_buffer.capacity() == 100);
        assert_eq!(
            (write_buffer.unsent(), write_buffer.buffer.capacity()),
            (b"world".as_slice(), 5)
        );
        write_buffer.borrow_from(&mut loop_buffer);
        assert_eq!(
            loop_buffer.capacity(),
            100,
            "a write buffer with bytes keeps its own buffer"
        );
        write_buffer.end().extend_from_slice(b"!");
        write_buffer.on_sent(6);
        assert!(write_buffer.is_empty());
        write_buffer.give_back_to(&mut loop_buffer);
        assert_eq!(
            (loop_buffer.capacity(), write_buffer.buffer.capacity()),
            (100, 0)
        );
    }
}
