//! The costs that are allowed. A change that costs more fails. One that costs fewer system calls
//! fails, too: write the numbers that `cargo bench --bench counts` prints into this table.

use crate::workload::{Round, Workload};

/// A workload and its allowed costs.
#[derive(Debug)]
pub struct Row {
    /// The requests.
    pub workload: Workload,
    /// The system calls of one round. Others are not allowed.
    pub calls: &'static [Calls],
    /// Most instructions in user space for one request: the measured number plus 10 %.
    pub instructions: i64,
    /// Most allocations for one round.
    pub allocations: i64,
}

/// How often a round makes a system call.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// The name.
    pub name: &'static str,
    /// The fewest calls.
    pub least: i64,
    /// The most calls.
    pub most: i64,
}

const fn exactly(name: &'static str, number: i64) -> Calls {
    between(name, number, number)
}

/// For calls that depend on whether the server or the client is faster.
const fn between(name: &'static str, least: i64, most: i64) -> Calls {
    Calls { name, least, most }
}

/// Requests for the small file, one after another on one connection.
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

/// The same, with a line in the access log for each.
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
        // The queue to the writer has a lock. On a busy machine the writer may hold it.
        between("futex", 0, 2),
    ],
    instructions: 9_090,
    allocations: 0,
};

/// One stat per iteration, for all requests.
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

/// Accepted, answered and closed in one iteration: the socket is never registered with the poll.
pub const ANEW: Row = Row {
    workload: Workload {
        name: "a connection per request",
        round: Round::Anew,
        lines: "Connection: close\r\n",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        // The second returns EAGAIN: the queue is empty.
        exactly("accept4", 2),
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        exactly("sendto", 1),
        exactly("close", 1),
    ],
    // On a busy machine the server wakes more often, because it is stopped and continued.
    instructions: 7_930,
    allocations: 0,
};

/// All requests arrive in one receive, and all responses leave in one send.
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

/// A file in the open-file cache, sent with sendfile.
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

/// The client has the file.
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

/// There is no 404.html.
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

/// A range of the small file.
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

/// Opened, read and cached.
pub const MANY: Row = Row {
    workload: Workload {
        name: "a small file, each another",
        path: "/#",
        ..KEEP_ALIVE.workload
    },
    calls: &[
        exactly("recvfrom", 1),
        exactly("newfstatat", 1),
        // The first one (O_PATH) finds out whether it is a file: opening a FIFO has an effect.
        exactly("openat2", 2),
        exactly("statx", 1),
        exactly("fstat", 2),
        exactly("pread64", 1),
        exactly("close", 2),
        exactly("sendto", 1),
        exactly("epoll_wait", 1),
    ],
    // Under callgrind the path is walked segment by segment, twice.
    instructions: 21_200,
    // Eleven, and sometimes a larger table for the cache.
    allocations: 12,
};

/// All rows, in the order in which they are printed.
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
