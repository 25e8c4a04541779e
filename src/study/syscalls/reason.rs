//! Why the server makes a system call.

use super::call::{Call, Object};

/// Why the server makes this call. `None` for one that it is not known to make.
pub fn reason(call: &Call) -> Option<&'static str> {
    let (arguments, result) = (&*call.arguments, &*call.result);
    let has = |text: &str| arguments.contains(text);
    Some(match (&*call.name, &call.object) {
        ("epoll_wait" | "epoll_pwait", _) | ("poll" | "pselect6", Object::Poll) => match result {
            "0" => "sleep until a deadline: it has passed",
            "EINTR" => "a signal ended the sleep",
            _ if has("EPOLLHUP") => "woken: the client has reset or closed the connection",
            _ if has("EPOLLRDHUP") => "woken: the client has closed its direction",
            _ if has("EPOLLIN") || !has("EPOLL") => {
                "woken: there is something to read or to accept"
            }
            _ => "woken: a socket can be written, and there is nothing to write",
        },
        ("epoll_ctl", Object::Signals) => "watch for the next signal",
        ("epoll_ctl", Object::Listener) => "watch the listener, except while accepting pauses",
        ("epoll_ctl", _) if has("EPOLLET") => "register the socket with the poll, edge-triggered",
        ("epoll_ctl", _) => "tell the poll what the connection waits for now",
        ("poll" | "ppoll", Object::Listener) => "does another client wait? then this one ends soon",
        ("poll" | "ppoll", _) => "wait for the socket",
        ("accept4", _) if result == "EAGAIN" => "the accept queue is empty",
        ("accept4", _) => "take a connection from the accept queue",
        ("recvfrom" | "read" | "recvmsg", Object::Connection) => match result {
            "EAGAIN" => "nothing has arrived yet",
            "0" => "the client has closed its direction",
            "ECONNRESET" => "the client has reset the connection",
            _ => "read what the client has sent",
        },
        ("recvfrom" | "read", Object::Signals) => "which signal was it?",
        ("sendto" | "write" | "writev" | "sendmsg", Object::Connection) => {
            "send header and body in one call"
        }
        ("sendto" | "write", Object::Signals) => "the handler of a signal wakes the loop",
        ("sendfile" | "sendfile64", _) => "the kernel sends the file; its bytes stay in the kernel",
        ("shutdown", _) => "half-close: no more bytes follow",
        ("setsockopt", _) if has("SO_RCVTIMEO") => "how long a read may block",
        ("setsockopt", _) if has("SO_SNDTIMEO") => "how long a send may block",
        ("setsockopt", _) if has("TCP_NODELAY") => "send small pieces at once",
        ("setsockopt", _) if has("SO_LINGER") => "closing will reset the connection",
        ("newfstatat" | "stat", Object::File(_)) => "is the cached file still the same?",
        ("statx" | "fstat", Object::File(_)) => "size, time and kind of the opened file",
        ("openat2", _) => "open the file, beneath the root only",
        ("openat" | "open", _) => "open the site's root",
        ("pread64" | "read", Object::File(_)) => "read a small file into the cache",
        ("getsockopt", Object::Connection) => "which address does the client have?",
        ("close", Object::Connection) => "close the connection, or a copy of it in another process",
        ("close", Object::Listener | Object::Poll | Object::Signals) => {
            "the child process does not need it"
        }
        ("close", Object::File(_)) => "the file is not needed any more",
        ("clone3" | "clone", _) if has("CLONE_THREAD") => "start a thread for the connection",
        ("clone3" | "clone" | "fork" | "vfork", _) => "start a process for the connection",
        ("wait4", _) if result == "ECHILD" || result == "0" => "no other child has ended",
        ("wait4", _) => "reap the child, or it stays a zombie",
        ("futex", _) if has("FUTEX_WAKE") => "wake the threads that wait for this",
        ("futex", _) => "wait for another thread",
        ("exit" | "exit_group", _) => "the thread or process ends",
        _ => return of_ring(call).or_else(|| runtime(call)),
    })
}

/// Why the model `uring` makes the call, or what the operation has done.
fn of_ring(call: &Call) -> Option<&'static str> {
    let result = &*call.result;
    Some(match &*call.name {
        "io_uring_enter" => match result {
            "EINTR" => "a signal ended the sleep",
            "ETIME" => "sleep until a deadline: it has passed",
            "0" => "sleep until an operation completes",
            _ => "submit what is queued, and sleep until an operation completes",
        },
        "accept" => "the kernel has accepted a connection, and goes on accepting",
        "recv" => match result {
            "0" => "the client has closed its direction",
            "ECONNRESET" => "the client has reset the connection",
            _ => "the kernel has put what came into a buffer of the ring",
        },
        "send" => "the kernel has sent header and body",
        "splice" => "the kernel has sent a part of the file",
        _ => return None,
    })
}

/// Why Rust, the C library or the kernel's interface for signals needs the call.
fn runtime(call: &Call) -> Option<&'static str> {
    Some(match &*call.name {
        "rt_sigprocmask" => "no signal while a thread or process starts or ends",
        "rt_sigaction" => "the handler of a signal is set or read",
        "rt_sigreturn" => "the handler of a signal returns",
        "rseq" | "set_robust_list" | "set_tid_address" => "the C library registers the new thread",
        "gettid" | "getpid" | "sched_getaffinity" => "the new thread asks for its id and its stack",
        "prctl" => "name the thread",
        "sigaltstack" => "Rust: a stack on which to report a stack overflow",
        "mmap" | "munmap" | "mprotect" | "brk" | "mremap" => "memory of the thread: stack or heap",
        "madvise" => "give the memory of the ended thread's stack back",
        "fcntl" if call.arguments.contains("F_GETFD") => {
            "debug builds only: is it open before close?"
        }
        "sched_yield" | "clock_nanosleep" | "nanosleep" => "let other threads run",
        _ => return None,
    })
}
