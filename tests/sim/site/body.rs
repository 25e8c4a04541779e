//! A body as it left: from memory, or straight from a file?

/// Bytes of a body, and which of them came straight from a file.
#[derive(Debug, Default)]
pub struct Body {
    pub bytes: Vec<u8>,
    stretches: Vec<Stretch>,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    at: usize,
    end: usize,
    inode: usize,
    offset: u64,
}

impl Body {
    /// A stretch of a file follows.
    pub fn push_file(&mut self, bytes: &[u8], inode: usize, offset: u64) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.stretches.push(Stretch {
            at,
            end: self.bytes.len(),
            inode,
            offset,
        });
    }

    /// Whether what stands at `at` is a stretch of this file in this version, as far as it goes. What
    /// came straight from the file only has to come from the right place: somebody may have
    /// written to the file meanwhile.
    pub fn holds(&self, at: usize, bytes: &[u8], inode: usize, offset: u64) -> bool {
        let end = self.bytes.len().min(at + bytes.len());
        let mut here = at;
        while here < end {
            let stretch = self.stretches.iter().find(|stretch| stretch.end > here);
            let next = match stretch {
                Some(stretch) if stretch.at <= here => {
                    let from = stretch.offset + (here - stretch.at) as u64;
                    if stretch.inode != inode || from != offset + (here - at) as u64 {
                        return false;
                    }
                    stretch.end.min(end)
                }
                other => {
                    let next = other.map_or(end, |stretch| stretch.at.min(end));
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
