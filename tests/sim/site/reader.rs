//! Takes the responses on one line apart as they leave: head, framing, body. Whether they are the
//! right ones, `judge` says when they are complete, or will never be.

use super::body::Body;
use super::judge::Case;
use super::{SharedPlace, Window};
use crate::asks::{Ask, Manner, Method};
use crate::proofreader::{Proofreader, Standing};
use crate::site::ask::SiteAsk;

#[derive(Debug)]
pub struct Reader {
    place: SharedPlace,
    id: usize,
    asks: Vec<Ask>,
    /// What has left of a head that is not complete.
    head: Vec<u8>,
    reply: Option<Reply>,
    over: bool,
    total: u64,
    ends: Vec<u64>,
}

/// A response whose head is complete.
#[derive(Debug)]
struct Reply {
    head: Head,
    window: Window,
    framing: Framing,
    body: Body,
}

#[derive(Debug)]
pub struct Head {
    pub status: u16,
    fields: Vec<(String, String)>,
}

/// What is still to come.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes.
    Counted(u64),
    /// The line with a chunk's size, as far as it has come.
    ChunkSize(Vec<u8>),
    /// So many bytes of a chunk, its line end included.
    Chunk(usize),
    /// This many bytes of the last line end.
    ChunksEnd(usize),
    UntilClose,
    Nothing,
}

impl Reader {
    pub fn new(place: SharedPlace, id: usize, asks: &[Ask]) -> Self {
        Self {
            place,
            id,
            asks: asks.to_vec(),
            head: Vec::new(),
            reply: None,
            over: false,
            total: 0,
            ends: Vec::new(),
        }
    }

    fn begin(&mut self) -> Result<(), String> {
        let head = Head::parse(&self.head)?;
        self.head.clear();
        let ask = &self.asks[self.ends.len()];
        let mut place = self.place.borrow_mut();
        let window = place.windows[self.id].pop_front();
        let window = window.ok_or("a response that nobody gave")?;
        let framing = head.framing(ask)?;
        self.reply = Some(Reply {
            head,
            window,
            framing,
            body: Body::default(),
        });
        Ok(())
    }

    /// Goes on to the next reply if this one is complete.
    fn finish(&mut self) -> Result<(), String> {
        if let Some(reply) = &self.reply
            && matches!(reply.framing, Framing::Nothing | Framing::Counted(0))
        {
            self.over = reply.head.has("connection", "close");
            self.judge(true)?;
            self.ends.push(self.total);
            self.reply = None;
        }
        Ok(())
    }

    fn judge(&self, is_whole: bool) -> Result<(), String> {
        let Some(reply) = &self.reply else {
            return Ok(());
        };
        let at = self.ends.len();
        let place = &mut *self.place.borrow_mut();
        let validator = place.said[self.id].get(&at).cloned().unwrap_or_default();
        let case = Case {
            ask: &self.asks[at],
            validator: &validator,
            window: reply.window,
            head: &reply.head,
            body: &reply.body,
            is_whole,
        };
        let fault = |what| format!("reply {at} to {:?}: {what}; {:?}", case.ask, case.head);
        let learned = case.judge(place).map_err(fault)?;
        place
            .book
            .learn(&case, &learned, &place.tree)
            .map_err(fault)
    }
}

impl Proofreader for Reader {
    fn sent(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let [byte, rest @ ..] = bytes {
            if self.over || self.ends.len() == self.asks.len() {
                return Err(format!("{} bytes after the last response", bytes.len()));
            }
            match &mut self.reply {
                None => {
                    self.head.push(*byte);
                    bytes = rest;
                    self.total += 1;
                    if self.head.ends_with(b"\r\n\r\n") {
                        self.begin()?;
                    }
                }
                Some(reply) => {
                    let taken = reply.sent(bytes)?;
                    self.total += taken as u64;
                    bytes = &bytes[taken..];
                }
            }
            self.finish()?;
        }
        Ok(())
    }

    fn file_sent(&mut self, file: usize, offset: u64, length: u64) -> Result<(), String> {
        self.total += length;
        let place = self.place.clone();
        let place = place.borrow();
        let Some(Reply { framing, body, .. }) = &mut self.reply else {
            return Err("bytes of a file without a header".into());
        };
        let Framing::Counted(left) = framing else {
            return Err(format!("bytes of a file, but {framing:?}"));
        };
        let bytes = place.tree.bytes(file);
        let (first, end) = (offset as usize, (offset + length) as usize);
        if length > *left || end > bytes.len() {
            return Err(format!("{offset}+{length} of a file, {left} left"));
        }
        *left -= length;
        body.push_file(&bytes[first..end], file, offset);
        drop(place);
        self.finish()
    }

    fn shut(&mut self) -> Result<(), String> {
        if let Some(reply) = &mut self.reply
            && reply.framing == Framing::UntilClose
        {
            reply.framing = Framing::Nothing;
        }
        self.finish()
    }

    fn closed(&mut self) -> Result<(), String> {
        self.judge(false)
    }

    fn standing(&self) -> Standing {
        match self.reply.is_none() && self.head.is_empty() {
            true => Standing::Between,
            false => Standing::Within,
        }
    }

    fn done(&self) -> usize {
        self.ends.len()
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn total(&self) -> u64 {
        self.total
    }

    fn done_within(&self, bytes: u64) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }
}

impl Reply {
    /// Takes what belongs to this body.
    fn sent(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let (taken, is_body) = match &mut self.framing {
            Framing::Nothing => return Err("bytes behind a body".into()),
            Framing::UntilClose => (bytes.len(), true),
            Framing::Counted(left) => {
                let taken = bytes.len().min(*left as usize);
                *left -= taken as u64;
                (taken, true)
            }
            Framing::ChunkSize(line) => {
                line.push(bytes[0]);
                if line.ends_with(b"\r\n") {
                    let digits = String::from_utf8_lossy(&line[..line.len() - 2]);
                    let size = usize::from_str_radix(&digits, 16)
                        .map_err(|_| format!("a chunk of {digits:?} bytes"))?;
                    self.framing = match size {
                        0 => Framing::ChunksEnd(2),
                        size => Framing::Chunk(size + 2),
                    };
                }
                (1, false)
            }
            Framing::Chunk(left @ ..=2) => {
                if bytes[0] != b"\n\r"[*left - 1] {
                    return Err("a chunk without its line end".into());
                }
                *left -= 1;
                if *left == 0 {
                    self.framing = Framing::ChunkSize(Vec::new());
                }
                (1, false)
            }
            Framing::Chunk(left) => {
                let taken = bytes.len().min(*left - 2);
                *left -= taken;
                (taken, true)
            }
            Framing::ChunksEnd(left) => {
                if bytes[0] != b"\n\r"[*left - 1] {
                    return Err("chunks without their line end".into());
                }
                *left -= 1;
                if *left == 0 {
                    self.framing = Framing::Nothing;
                }
                (1, false)
            }
        };
        if is_body {
            self.body.bytes.extend_from_slice(&bytes[..taken]);
        }
        Ok(taken)
    }
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(head).map_err(|error| error.to_string())?;
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap_or_default();
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("a status line of {line:?}"))?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(": ")
                .ok_or_else(|| format!("a field of {line:?}"))?;
            let name = name.to_ascii_lowercase();
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(format!("two fields {name}"));
            }
            fields.push((name, value.into()));
        }
        Ok(Self { status, fields })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(other, _)| other == name)?;
        Some(&field.1)
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.field(name) == Some(value)
    }

    fn framing(&self, ask: &Ask) -> Result<Framing, String> {
        let site = SiteAsk::of(ask);
        let is_head = site.is_some_and(|ask| ask.method == Method::Head);
        let is_old = site.is_some_and(|ask| matches!(ask.manner, Manner::Old | Manner::OldKeep));
        if is_head || self.status == 304 {
            return Ok(Framing::Nothing);
        }
        if let Some(length) = self.field("content-length") {
            let length = length
                .parse()
                .map_err(|_| format!("a length of {length}"))?;
            return Ok(Framing::Counted(length));
        }
        match (self.has("transfer-encoding", "chunked"), is_old) {
            (true, false) => Ok(Framing::ChunkSize(Vec::new())),
            (false, true) if self.has("connection", "close") => Ok(Framing::UntilClose),
            _ => Err("a body without an end".into()),
        }
    }
}
