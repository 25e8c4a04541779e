//! What a request costs. A change that costs more turns this table red; one that costs less does,
//! too, and the table is then to be written anew from what `cargo bench --bench counts` prints.

use crate::workload::{Round, Workload};

/// A workload, and what it is allowed.
#[derive(Debug)]
pub struct Row {
    /// What is done.
    pub workload: Workload,
    /// System calls of one round. What is not named is not called.
    pub calls: &'static [Calls],
    /// Most instructions in user space for one request: what was measured, and a tenth.
    pub instructions: i64,
    /// Most allocations for one round.
    pub allocations: i64,
}

/// How often a round makes a system call.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Its name.
    pub name: &'static str,
    /// At least so often.
    pub least: i64,
    /// At most so often.
    pub most: i64,
}

const fn exactly(name: &'static str, number: i64) -> Calls {
    between(name, number, number)
}

/// For what depends on who is faster, the server or the client.
const fn between(name: &'static str, least: i64, most: i64) -> Calls {
    Calls { name, least, most }
}

/// Requests for the small file, one after the other on one connection.
pub const KEEP_ALIVE: Row = Row {
    workload: Workload {
        name: "keep-alive",
        options: "-q",
        round: Round::One,
        path: "/small",
        lines: "",
        status: 200,
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("sendto", 1),
        exactly("newfstatat", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 5_720,
    allocations: 0,
};

/// The same, and the loop renders a line of the log for each.
pub const LOGGED: Row = Row {
    workload: Workload {
        name: "keep-alive, access log",
        options: "",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("sendto", 1),
        exactly("newfstatat", 1),
        exactly("epoll_wait", 1),
        // The queue to the writer has a lock, and on a busy machine the writer may hold it.
        between("futex", 0, 2),
    ],
    instructions: 9_090,
    allocations: 0,
};

/// A turn looks at the file once, for all of them.
pub const AT_ONCE: Row = Row {
    workload: Workload {
        name: "64 connections at once",
        round: Round::AtOnce(64),
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 64),
        exactly("sendto", 64),
        exactly("newfstatat", 1),
    ],
    instructions: 4_830,
    allocations: 0,
};

/// Accepted, answered and closed, all in one turn: the poll never hears of the socket.
pub const ANEW: Row = Row {
    workload: Workload {
        name: "a connection per request",
        round: Round::Anew,
        lines: "Connection: close\r\n",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        // The second says that nobody waits any more.
        exactly("accept4", 2),
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        exactly("sendto", 1),
        exactly("close", 1),
    ],
    // On a busy machine the server wakes more often, for it is stopped and goes on.
    instructions: 7_190,
    allocations: 0,
};

/// All come with one receive and leave with one send.
pub const PIPELINED: Row = Row {
    workload: Workload {
        name: "16 requests pipelined",
        round: Round::Pipelined(16),
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("sendto", 1),
        exactly("newfstatat", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 3_580,
    allocations: 0,
};

/// Kept open, and sent from the file.
pub const LARGE: Row = Row {
    workload: Workload {
        name: "100 KiB",
        path: "/large",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        exactly("sendto", 1),
        exactly("sendfile", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 5_910,
    allocations: 0,
};

/// The client has it already.
pub const NOT_MODIFIED: Row = Row {
    workload: Workload {
        name: "304",
        lines: "If-None-Match: #\r\n",
        status: 304,
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("sendto", 1),
        exactly("newfstatat", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 7_270,
    allocations: 0,
};

/// There is no 404.html either.
pub const MISSING: Row = Row {
    workload: Workload {
        name: "404",
        path: "/missing",
        status: 404,
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        exactly("openat2", 2),
        exactly("sendto", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 9_920,
    allocations: 5,
};

/// Of the small file.
pub const RANGE: Row = Row {
    workload: Workload {
        name: "a range",
        lines: "Range: bytes=100-199\r\n",
        status: 206,
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("sendto", 1),
        exactly("newfstatat", 1),
        exactly("epoll_wait", 1),
    ],
    instructions: 8_250,
    allocations: 2,
};

/// Looked at, opened, read and remembered.
pub const MANY: Row = Row {
    workload: Workload {
        name: "a small file, each another",
        path: "/#",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        // The first of them finds out whether it is a file, for opening a FIFO would be noticed.
        exactly("openat2", 2),
        exactly("statx", 1),
        exactly("fstat", 2),
        exactly("pread64", 1),
        exactly("close", 2),
        exactly("sendto", 1),
        exactly("epoll_wait", 1),
    ],
    // Under callgrind the name is walked segment by segment, and that twice.
    instructions: 21_200,
    // Eleven, and now and then a larger table of what is remembered.
    allocations: 12,
};

/// All of it, in the order in which it is printed.
pub const TABLE: [&Row; 10] = [
    &KEEP_ALIVE,
    &LOGGED,
    &AT_ONCE,
    &ANEW,
    &PIPELINED,
    &LARGE,
    &NOT_MODIFIED,
    &MISSING,
    &RANGE,
    &MANY,
];
