//! The bytes of a response body, with the file ranges that `sendfile` sent.

/// The bytes of a body, and which of them came from a file.
#[derive(Debug, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    spans: Vec<FileSpan>,
}

#[derive(Clone, Copy, Debug)]
struct FileSpan {
    at: usize,
    end: usize,
    inode: usize,
    offset: u64,
}

impl Body {
    /// Adds a range of a file.
    pub fn push_file(&mut self, bytes: &[u8], inode: usize, offset: u64) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.spans.push(FileSpan {
            at,
            end: self.bytes.len(),
            inode,
            offset,
        });
    }

    /// Whether the body at `at` is this part of this file in this version, as far as it goes. For
    /// bytes sent from the file only the position counts: the file may have been written to
    /// meanwhile.
    pub fn holds(&self, at: usize, bytes: &[u8], inode: usize, offset: u64) -> bool {
        let end = self.bytes.len().min(at + bytes.len());
        let mut here = at;
        while here < end {
            let span = self.spans.iter().find(|span| span.end > here);
            let next = match span {
                Some(span) if span.at <= here => {
                    let from = span.offset + (here - span.at) as u64;
                    if span.inode != inode || from != offset + (here - at) as u64 {
                        return false;
                    }
                    span.end.min(end)
                }
                other => {
                    let next = other.map_or(end, |span| span.at.min(end));
                    if self.bytes[here..next] != bytes[here - at..next - at] {
                        return false;
                    }
                    next
                }
            };
            here = next;
        }
        true
    }
}
