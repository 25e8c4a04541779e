//! stub
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}
impl ByteRange {
    pub fn first(&self) -> u64 {
        self.first
    }
    pub fn last(&self) -> u64 {
        self.last
    }
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}
impl ByteRange {
    pub fn of<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes
            .get(self.first as usize..=self.last as usize)
            .unwrap_or_default()
    }
}
