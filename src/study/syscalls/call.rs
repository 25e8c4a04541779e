//! A system call of the server.

/// A system call that has returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The number that the system has for the thread; 0 for a loop in a trace.
    pub thread: u64,
    /// `recvfrom`, `epoll_wait` ...
    pub name: String,
    /// What it concerns.
    pub object: Object,
    /// The arguments, as strace writes them. From a trace: the flags of the events.
    pub arguments: String,
    /// What it returned: a number, or an error such as `EAGAIN`.
    pub result: String,
    /// How long it took, in seconds; 0 if that is not known.
    pub took: f64,
    /// It is no call, but an operation that was submitted to the io_uring and has completed. Only a
    /// trace has it.
    pub is_operation: bool,
}

impl Call {
    /// The result in a list: that of accept4 is a number like the others, and not a count.
    pub fn shown_result(&self) -> String {
        match self.result.parse::<u32>() {
            Ok(number) if self.name == "accept4" => format!("descriptor {number}"),
            _ => self.result.clone(),
        }
    }

    /// Whether it is the same call with the same result. Not compared: the thread, the time, the
    /// number of a new descriptor, and how many operations were submitted: a trace does not have
    /// these.
    pub fn is_same(&self, other: &Self) -> bool {
        let has_descriptor = self.name == "accept4" && !self.has_failed() && !other.has_failed();
        let is_entered = self.name == "io_uring_enter";
        let has_same_result = self.result == other.result || has_descriptor || is_entered;
        self.name == other.name && self.object == other.object && has_same_result
    }

    fn has_failed(&self) -> bool {
        self.result.starts_with('E')
    }
}

/// What a descriptor refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The socket of a client.
    Connection,
    /// The listening socket.
    Listener,
    /// The epoll instance.
    Poll,
    /// The io_uring.
    Ring,
    /// The socket by which the handler of a signal wakes the loop.
    Signals,
    /// A file or a directory, by its name without the path.
    File(String),
    /// Something else, or nothing.
    None,
}

impl Object {
    /// The word for it in a table.
    pub fn name(&self) -> &str {
        match self {
            Self::Connection => "connection",
            Self::Listener => "listener",
            Self::Poll => "poll",
            Self::Ring => "ring",
            Self::Signals => "signals",
            Self::File(name) => name,
            Self::None => "",
        }
    }
}
